//! What goes wrong, and when: drawn from a seed, so that a run can be had again.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::tcp_proxy::NetworkFault;

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A replica is killed (SIGKILL) and started again.
    Kill {
        /// Which.
        replica: usize,
    },
    /// What goes between the replicas and an engine is cut, delayed or held up.
    Engine {
        /// Which.
        engine: usize,
        /// How.
        how: NetworkFault,
    },
    /// What goes between one replica and the database is cut, delayed or held up.
    Database {
        /// Which replica.
        replica: usize,
        /// How.
        how: NetworkFault,
    },
    /// The database's server is restarted.
    DatabaseRestart,
    /// The registry is cut off from everybody, delayed or held up.
    Registry {
        /// How.
        how: NetworkFault,
    },
}

/// A fault, when it begins after the one before it ended, and how long it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedFault {
    /// Quiet time before it.
    pub after: Duration,
    /// What goes wrong.
    pub fault: Fault,
    /// How long; what a killed replica or a restarting database takes to come back is not counted.
    pub lasts: Duration,
}

/// The faults of a run: `count` of them over `replicas` and `engines`. Every kind happens once in
/// each round of all kinds, in an order and with details that the seed decides.
pub fn schedule(seed: u64, count: usize, replicas: usize, engines: usize) -> Vec<PlannedFault> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut planned = Vec::with_capacity(count);
    while planned.len() < count {
        let mut kinds = [0_u8, 1, 2, 3, 4];
        kinds.shuffle(&mut random);
        for kind in kinds {
            let replica = random.random_range(0..replicas);
            let engine = random.random_range(0..engines);
            let how = match random.random_range(0..3) {
                0 => NetworkFault::Reset,
                1 => NetworkFault::Delay(Duration::from_millis(random.random_range(20..200))),
                _ => NetworkFault::Stall,
            };
            planned.push(PlannedFault {
                after: Duration::from_millis(random.random_range(300..2_500)),
                fault: match kind {
                    0 => Fault::Kill { replica },
                    1 => Fault::Engine { engine, how },
                    2 => Fault::Database { replica, how },
                    3 => Fault::DatabaseRestart,
                    _ => Fault::Registry { how },
                },
                lasts: Duration::from_millis(random.random_range(500..4_000)),
            });
        }
    }
    planned.truncate(count);
    planned
}

#[cfg(test)]
mod tests {
    use std::mem::discriminant;

    use super::*;

    #[test]
    fn a_seed_gives_one_schedule_and_another_seed_another() {
        assert_eq!(schedule(7, 20, 2, 3), schedule(7, 20, 2, 3));
        assert_ne!(schedule(7, 20, 2, 3), schedule(8, 20, 2, 3));
    }

    #[test]
    fn every_kind_of_fault_happens_in_every_round() {
        for round in schedule(42, 50, 2, 3).chunks(5) {
            for (index, one) in round.iter().enumerate() {
                assert!(
                    round[..index]
                        .iter()
                        .all(|other| discriminant(&other.fault) != discriminant(&one.fault)),
                    "{round:?}"
                );
            }
        }
    }
}

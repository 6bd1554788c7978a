//! Which engine takes a build: a pure choice.
//!
//! Each base image has a home: the engine with the highest of the numbers that the image's and
//! the engine's names give together (rendezvous hashing, Thaler and Ravishankar 1998). Builds upon
//! one image meet there, and find its layers and the cache of earlier builds; an engine that comes
//! or goes moves only the images that it is home to. A build whose home has no room goes to the
//! engine with the least to do.

use std::cmp::Reverse;

/// An engine that could take a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) capacity: u32,
    pub(crate) running: u32,
}

impl Candidate {
    pub(crate) fn has_room(&self) -> bool {
        self.running < self.capacity
    }

    /// Builds per thousand places.
    fn load(&self) -> u64 {
        u64::from(self.running) * 1000 / u64::from(self.capacity.max(1))
    }
}

/// The engine for a build upon `base`; `None` when none has room. `lost_on` is the engine on which
/// its last attempt was lost: it gets the build again only when it is the only one with room.
pub(crate) fn choose<'a>(
    candidates: &'a [Candidate],
    base: &str,
    lost_on: Option<&str>,
) -> Option<&'a Candidate> {
    let others = |candidate: &&Candidate| Some(candidate.name.as_str()) != lost_on;
    let home = candidates
        .iter()
        .filter(others)
        .max_by_key(|candidate| affinity(base, &candidate.name));
    if let Some(home) = home.filter(|home| home.has_room()) {
        return Some(home);
    }
    candidates
        .iter()
        .filter(|candidate| candidate.has_room())
        .min_by_key(|candidate| {
            (
                !others(candidate),
                candidate.load(),
                Reverse(affinity(base, &candidate.name)),
            )
        })
}

/// A number for an image and an engine that every process of every version computes alike:
/// FNV-1a over both names, then the finalizer of `SplitMix64`, since FNV alone hardly carries a
/// difference in the last letters to the upper bits.
fn affinity(base: &str, engine: &str) -> u64 {
    let fnv = base
        .bytes()
        .chain([0])
        .chain(engine.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn engines(running: &[u32]) -> Vec<Candidate> {
        running
            .iter()
            .enumerate()
            .map(|(number, running)| Candidate {
                name: format!("engine-{number}"),
                capacity: 4,
                running: *running,
            })
            .collect()
    }

    fn home(candidates: &[Candidate], base: &str) -> String {
        choose(candidates, base, None).unwrap().name.clone()
    }

    fn image(number: usize) -> String {
        format!("registry.site:5000/base/image-{number}:1")
    }

    #[test]
    fn images_spread_over_the_engines_and_stay_where_they_are() {
        let three = engines(&[0, 0, 0]);
        let mut homes = BTreeMap::new();
        for number in 0..900 {
            *homes.entry(home(&three, &image(number))).or_insert(0) += 1;
        }
        assert!(
            homes.values().all(|count| (200..400).contains(count)),
            "{homes:?}"
        );
        // Load does not move an image while its home has room.
        let busy = engines(&[3, 0, 2]);
        assert!((0..900).all(|n| home(&busy, &image(n)) == home(&three, &image(n))));
    }

    #[test]
    fn an_engine_that_goes_moves_only_its_own_images() {
        let (three, two) = (engines(&[0, 0, 0]), engines(&[0, 0]));
        for number in 0..300 {
            let (before, after) = (home(&three, &image(number)), home(&two, &image(number)));
            assert!(before == "engine-2" || before == after);
        }
    }

    #[test]
    fn a_full_home_gives_to_the_engine_with_the_least_to_do() {
        let base = (0..100)
            .map(image)
            .find(|base| home(&engines(&[0, 0, 0]), base) == "engine-0")
            .unwrap();
        assert_eq!(home(&engines(&[4, 2, 1]), &base), "engine-2");
        assert_eq!(home(&engines(&[4, 1, 3]), &base), "engine-1");
        assert_eq!(home(&engines(&[3, 0, 0]), &base), "engine-0");
        assert_eq!(choose(&engines(&[4, 4, 4]), &base, None), None);
        assert_eq!(choose(&[], &base, None), None);
    }

    #[test]
    fn a_build_does_not_return_to_the_engine_it_was_lost_on() {
        let idle = engines(&[0, 0, 0]);
        for number in 0..50 {
            let base = image(number);
            let first = home(&idle, &base);
            let second = choose(&idle, &base, Some(&first)).unwrap();
            assert_ne!(second.name, first);
        }
        let only = engines(&[2]);
        assert_eq!(
            choose(&only, "a", Some("engine-0")).map(|one| one.name.as_str()),
            Some("engine-0")
        );
        let full = engines(&[2, 4, 4]);
        assert_eq!(
            choose(&full, "a", Some("engine-0")).map(|one| one.name.as_str()),
            Some("engine-0")
        );
    }
}

//! What is built and when it is cancelled: drawn from a seed, so that a run can be had again.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// Set apart from what else a seed decides.
const STREAM: u64 = 0x6361_6e63_656c;

/// A build to ask for, and to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Its number in the run, from 0.
    pub number: usize,
    /// From when on its time is counted.
    pub since: Since,
    /// When it is cancelled.
    pub after: Duration,
    /// How long its installer sleeps.
    pub sleeps: Duration,
}

/// From when on a build's time is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// From when it was asked for.
    Asked,
    /// From when its push began, which a slow machine comes to late.
    Push,
}

/// The wishes of a run. Most are cancelled within `life` after they were asked for, and most of them
/// would go on for hours; some about their push, or when it is too late.
pub fn cases(seed: u64, count: usize, life: Duration) -> Vec<Case> {
    let mut random = StdRng::seed_from_u64(seed ^ STREAM);
    (0..count)
        .map(|number| {
            let short = life.mul_f64(random.random_range(0.02..0.3));
            let (since, within, sleeps) = match random.random_range(0..4) {
                0 => (Since::Push, life / 6, short),
                1 => (Since::Asked, life, short),
                _ => (Since::Asked, life, Duration::from_hours(6)),
            };
            let after = within.mul_f64(random.random_range(0.0..1.0));
            Case {
                number,
                since,
                after,
                sleeps,
            }
        })
        .collect()
}

/// What installs conda in a wish's build, a shell script: it sleeps, and leaves something to push
/// that was never pushed before. All that it runs carries a mark in its environment, by which it is
/// found among the processes of this machine.
pub fn installer(case: &Case, mark: &str) -> String {
    let seconds = case.sleeps.as_secs_f64();
    format!(
        r#"#!/bin/sh
set -eu
if [ -z "${{{MARK}:-}}" ]; then
    export {MARK}={mark}
    exec sh "$0" "$@"
fi
sleep {seconds}
mkdir -p /usr/local/dros/conda/bin
cd /usr/local/dros/conda
head -c {BALLAST} /dev/urandom > ballast
printf '#!/bin/sh\necho conda 23.1.0\n' > bin/conda
chmod 755 bin/conda
"#
    )
}

/// The variable that holds the mark.
pub const MARK: &str = "FASTBUILD_CANCELS";
/// Bytes to push: an engine takes a moment over them.
const BALLAST: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(6);

    #[test]
    fn a_seed_gives_the_same_wishes() {
        assert_eq!(cases(7, 20, LIFE), cases(7, 20, LIFE));
        assert_ne!(cases(7, 20, LIFE), cases(8, 20, LIFE));
    }

    #[test]
    fn some_builds_end_by_themselves_and_cancels_come_at_any_time() {
        let cases = cases(1, 100, LIFE);
        let some = |fits: fn(&Case) -> bool| cases.iter().any(fits);
        assert!(some(|case| case.sleeps > LIFE && case.after < LIFE / 4));
        assert!(some(|case| case.sleeps > LIFE && case.after > LIFE * 3 / 4));
        assert!(some(|case| case.sleeps + LIFE / 2 < case.after));
        assert!(some(|case| case.since == Since::Push));
        assert!(cases.iter().all(|case| case.after < LIFE));
        let endless = cases.iter().filter(|case| case.sleeps > LIFE);
        assert!(endless.into_iter().all(|case| case.since == Since::Asked));
    }

    #[test]
    fn the_installer_carries_its_mark_and_sleeps() {
        let case = Case {
            number: 3,
            since: Since::Asked,
            after: Duration::ZERO,
            sleeps: Duration::from_millis(1500),
        };
        let script = installer(&case, "t1-3");
        assert!(
            script.contains("export FASTBUILD_CANCELS=t1-3\n"),
            "{script}"
        );
        assert!(
            script.contains("if [ -z \"${FASTBUILD_CANCELS:-}\" ]"),
            "{script}"
        );
        assert!(script.contains("\nsleep 1.5\n"), "{script}");
    }
}

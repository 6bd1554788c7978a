//! Waiting for what another process does. Every poll loop of the tests, of this crate and of the
//! task runner is one of these.

#[cfg(feature = "service")]
mod eventually;

use std::time::{Duration, Instant};

#[cfg(feature = "service")]
pub use self::eventually::{eventually, when, within};

/// The shortest pause between two checks.
const SHORTEST: Duration = Duration::from_millis(5);
/// The longest.
const LONGEST: Duration = Duration::from_millis(250);

/// Checks again and again, without a runtime; whether the condition held within the limit.
#[expect(
    clippy::disallowed_methods,
    reason = "the one wait on a condition that other programs bring about"
)]
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !condition() {
        if started.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(pause(started.elapsed()));
    }
    true
}

/// A twentieth of the time waited so far: what comes soon is seen at once, and what takes long is
/// not slowed down by questions.
fn pause(waited: Duration) -> Duration {
    (waited / 20).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_checked_at_least_once() {
        assert!(wait_until(Duration::ZERO, || true));
        assert!(!wait_until(Duration::ZERO, || false));
    }

    #[test]
    fn pauses_grow_with_the_time_waited() {
        assert_eq!(pause(Duration::ZERO), SHORTEST);
        assert_eq!(pause(Duration::from_secs(1)), Duration::from_millis(50));
        assert_eq!(pause(Duration::from_hours(1)), LONGEST);
    }
}

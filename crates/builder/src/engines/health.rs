//! The health of one engine: what its answers, and missing answers, change. Pure; the monitor asks
//! the engine and tells the other replicas.

use std::time::Duration;

use fastbuild_spec::failure::Failure;
use fastbuild_store::{CheckedHealth, HealthState};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

/// Failed checks in a row after which the builds of an engine are requeued.
const MAX_FAILED_CHECKS: u32 = 2;
/// How often unchanged health is reported; a fraction of the time for which other replicas trust a
/// report.
const REPORT_INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// The health of one engine as this process sees it.
#[derive(Debug)]
pub(super) struct HealthTracker {
    /// The settings row of its address; `None` until the first check.
    pub(super) revision: Option<i64>,
    pub(super) state: HealthState,
    since: Timestamp,
    /// While it is down: when builds stop waiting for it.
    pub(super) given_up_at: Option<Timestamp>,
    /// Why the last check failed.
    pub(super) failure: Option<Failure>,
    /// Failed checks in a row.
    failed_checks: u32,
    /// Builds that lost it. An answer to a check from before the last loss says nothing.
    pub(super) losses: u64,
    /// When it was last reported to the other replicas.
    reported: Option<Timestamp>,
    /// Cancelled when its builds are to be requeued; replaced once it answers again.
    pub(super) away: CancellationToken,
}

/// What the result of a check has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Transition {
    /// It is to be reported to the other replicas.
    pub(super) report: bool,
    /// It was down and answers again.
    pub(super) recovered: bool,
    /// Its builds are to be requeued from now on.
    pub(super) lost: bool,
}

impl HealthTracker {
    pub(super) fn new(revision: Option<i64>, now: Timestamp) -> Self {
        Self {
            revision,
            state: HealthState::Unknown,
            since: now,
            given_up_at: None,
            failure: None,
            failed_checks: 0,
            losses: 0,
            reported: None,
            away: CancellationToken::new(),
        }
    }

    /// Takes the result of a check that began when there had been `losses`.
    pub(super) fn apply(
        &mut self,
        answer: Result<(), Failure>,
        losses: u64,
        given_up_after: Duration,
        now: Timestamp,
    ) -> Transition {
        let mut transition = match answer {
            Ok(()) if losses != self.losses => return Transition::default(),
            Ok(()) => self.up(now),
            Err(failure) => {
                self.failed_checks += 1;
                // One failed check is not enough for an engine that answered before.
                if self.state == HealthState::Up && self.failed_checks < MAX_FAILED_CHECKS {
                    return Transition::default();
                }
                self.down(failure, given_up_after, now)
            }
        };
        if self.failed_checks >= MAX_FAILED_CHECKS && !self.away.is_cancelled() {
            self.away.cancel();
            transition.lost = true;
        }
        transition.report |= self
            .reported
            .is_none_or(|reported| now.duration_since(reported).abs() >= REPORT_INTERVAL);
        if transition.report {
            self.reported = Some(now);
        }
        transition
    }

    fn up(&mut self, now: Timestamp) -> Transition {
        self.failed_checks = 0;
        if self.state == HealthState::Up {
            return Transition::default();
        }
        let recovered = self.state == HealthState::Down;
        self.state = HealthState::Up;
        self.since = now;
        self.given_up_at = None;
        self.failure = None;
        if self.away.is_cancelled() {
            self.away = CancellationToken::new();
        }
        Transition {
            report: true,
            recovered,
            lost: false,
        }
    }

    /// A build lost the engine.
    pub(super) fn lost(&mut self, failure: Failure, given_up_after: Duration, now: Timestamp) {
        self.losses += 1;
        self.down(failure, given_up_after, now);
        self.reported = Some(now);
    }

    fn down(&mut self, failure: Failure, given_up_after: Duration, now: Timestamp) -> Transition {
        let went_down = self.state != HealthState::Down;
        if went_down {
            self.state = HealthState::Down;
            self.since = now;
            self.given_up_at = SignedDuration::try_from(given_up_after)
                .ok()
                .and_then(|given_up_after| now.checked_add(given_up_after).ok());
        }
        let report =
            went_down || self.failure.as_ref().map(|known| known.code) != Some(failure.code);
        self.failure = Some(failure);
        Transition {
            report,
            ..Transition::default()
        }
    }

    pub(super) fn health(&self, engine: &str) -> CheckedHealth {
        CheckedHealth {
            engine: engine.to_owned(),
            up: self.state != HealthState::Down,
            since: self.since,
            given_up_at: self.given_up_at,
            failure: self.failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use fastbuild_spec::failure::ReasonCode;

    use super::*;

    const GIVEN_UP_AFTER: Duration = Duration::from_mins(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn refused() -> Result<(), Failure> {
        Err(Failure::new(ReasonCode::EngineUnreachable, "。", "."))
    }

    fn answering() -> HealthTracker {
        let mut health = HealthTracker::new(Some(1), at(0));
        let transition = health.apply(Ok(()), 0, GIVEN_UP_AFTER, at(0));
        assert!(transition.report && !transition.recovered);
        health
    }

    #[test]
    fn two_failed_checks_lose_an_engine_and_one_answer_recovers_it() {
        let mut health = answering();
        assert_eq!(
            health.apply(refused(), 0, GIVEN_UP_AFTER, at(2)),
            Transition::default()
        );
        let running = health.away.clone();
        let transition = health.apply(refused(), 0, GIVEN_UP_AFTER, at(4));
        assert!(transition.lost && transition.report && running.is_cancelled());
        assert_eq!(health.state, HealthState::Down);
        assert_eq!((health.since, health.given_up_at), (at(4), Some(at(64))));
        // Unchanged health is reported at intervals.
        assert_eq!(
            health.apply(refused(), 0, GIVEN_UP_AFTER, at(6)),
            Transition::default()
        );
        assert!(health.apply(refused(), 0, GIVEN_UP_AFTER, at(36)).report);
        assert_eq!(health.given_up_at, Some(at(64)));

        let transition = health.apply(Ok(()), 0, GIVEN_UP_AFTER, at(40));
        assert!(transition.recovered && transition.report && !transition.lost);
        assert_eq!(health.given_up_at, None);
        assert!(running.is_cancelled() && !health.away.is_cancelled());
    }

    #[test]
    fn single_failed_checks_between_answers_lose_nothing() {
        let mut health = answering();
        for second in [2, 6, 10] {
            assert!(!health.apply(refused(), 0, GIVEN_UP_AFTER, at(second)).lost);
            health.apply(Ok(()), 0, GIVEN_UP_AFTER, at(second + 2));
            assert_eq!(health.state, HealthState::Up);
        }
        assert!(!health.away.is_cancelled());
    }

    #[test]
    fn an_engine_that_never_answered_is_down_after_one_failed_check() {
        let mut health = HealthTracker::new(Some(1), at(0));
        assert!(health.apply(refused(), 0, GIVEN_UP_AFTER, at(1)).report);
        assert_eq!(health.state, HealthState::Down);
    }

    #[test]
    fn an_answer_to_a_check_from_before_a_loss_is_ignored() {
        let mut health = answering();
        let asked = health.losses;
        health.lost(refused().unwrap_err(), GIVEN_UP_AFTER, at(2));
        assert_eq!(
            health.apply(Ok(()), asked, GIVEN_UP_AFTER, at(3)),
            Transition::default()
        );
        assert_eq!(health.state, HealthState::Down);
        // Builds that did not lose it go on until a second check fails.
        assert!(!health.away.is_cancelled());
        let transition = health.apply(Ok(()), health.losses, GIVEN_UP_AFTER, at(4));
        assert!(transition.recovered);
    }
}

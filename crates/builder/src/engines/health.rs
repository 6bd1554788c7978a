//! What an engine's answers, and that there are none, say of it.

use std::time::Duration;

use fastbuild_spec::failure::Failure;
use fastbuild_store::{CheckedHealth, HealthState};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

/// Unanswered questions in a row after which an engine is away.
const UNANSWERED: u32 = 2;
/// How often others are told of what has not changed; a fraction of the time for which they count
/// on it.
const TELL: SignedDuration = SignedDuration::from_secs(30);

/// What is known of one engine.
#[derive(Debug)]
pub(super) struct HealthTracker {
    /// The row its address is from; `None` until it was first asked.
    pub(super) revision: Option<i64>,
    pub(super) state: HealthState,
    since: Timestamp,
    /// For one that is down, from when on nobody waits for it any more.
    pub(super) given_up_at: Option<Timestamp>,
    /// Why it last did not answer.
    pub(super) failure: Option<Failure>,
    /// Questions in a row that were not answered.
    unanswered: u32,
    /// Builds that lost it: an answer to a question from before the last loss says nothing.
    pub(super) losses: u64,
    /// When others were last told.
    told: Option<Timestamp>,
    /// Cancelled when it is away; another one once it has returned.
    pub(super) away: CancellationToken,
}

/// What an answer, or that there was none, has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Transition {
    /// Others are to be told.
    pub(super) tell: bool,
    /// It was down and answers again.
    pub(super) returned: bool,
    /// It is away since now.
    pub(super) left: bool,
}

impl HealthTracker {
    pub(super) fn new(revision: Option<i64>, now: Timestamp) -> Self {
        Self {
            revision,
            state: HealthState::Unknown,
            since: now,
            given_up_at: None,
            failure: None,
            unanswered: 0,
            losses: 0,
            told: None,
            away: CancellationToken::new(),
        }
    }

    /// Takes in what came of a question that was asked when there had been `losses`.
    pub(super) fn hear(
        &mut self,
        answer: Result<(), Failure>,
        losses: u64,
        patience: Duration,
        now: Timestamp,
    ) -> Transition {
        let mut heard = match answer {
            Ok(()) if losses != self.losses => return Transition::default(),
            Ok(()) => self.up(now),
            Err(failure) => {
                self.unanswered += 1;
                // A first question in vain is not enough where it was answered before.
                if self.state == HealthState::Up && self.unanswered < UNANSWERED {
                    return Transition::default();
                }
                self.down(failure, patience, now)
            }
        };
        if self.unanswered >= UNANSWERED && !self.away.is_cancelled() {
            self.away.cancel();
            heard.left = true;
        }
        heard.tell |= self
            .told
            .is_none_or(|told| now.duration_since(told).abs() >= TELL);
        if heard.tell {
            self.told = Some(now);
        }
        heard
    }

    fn up(&mut self, now: Timestamp) -> Transition {
        self.unanswered = 0;
        if self.state == HealthState::Up {
            return Transition::default();
        }
        let returned = self.state == HealthState::Down;
        self.state = HealthState::Up;
        self.since = now;
        self.given_up_at = None;
        self.failure = None;
        if self.away.is_cancelled() {
            self.away = CancellationToken::new();
        }
        Transition {
            tell: true,
            returned,
            left: false,
        }
    }

    /// A build lost it.
    pub(super) fn lost(&mut self, failure: Failure, patience: Duration, now: Timestamp) {
        self.losses += 1;
        self.down(failure, patience, now);
        self.told = Some(now);
    }

    fn down(&mut self, failure: Failure, patience: Duration, now: Timestamp) -> Transition {
        let fell = self.state != HealthState::Down;
        if fell {
            self.state = HealthState::Down;
            self.since = now;
            self.given_up_at = SignedDuration::try_from(patience)
                .ok()
                .and_then(|patience| now.checked_add(patience).ok());
        }
        let tell = fell || self.failure.as_ref().map(|known| known.code) != Some(failure.code);
        self.failure = Some(failure);
        Transition {
            tell,
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

    const PATIENCE: Duration = Duration::from_mins(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn refused() -> Result<(), Failure> {
        Err(Failure::new(ReasonCode::EngineUnreachable, "。", "."))
    }

    fn answering() -> HealthTracker {
        let mut watch = HealthTracker::new(Some(1), at(0));
        let heard = watch.hear(Ok(()), 0, PATIENCE, at(0));
        assert!(heard.tell && !heard.returned);
        watch
    }

    #[test]
    fn an_engine_is_away_after_two_questions_in_vain_and_returns_with_one_answer() {
        let mut watch = answering();
        assert_eq!(
            watch.hear(refused(), 0, PATIENCE, at(2)),
            Transition::default()
        );
        let running = watch.away.clone();
        let heard = watch.hear(refused(), 0, PATIENCE, at(4));
        assert!(heard.left && heard.tell && running.is_cancelled());
        assert_eq!(watch.state, HealthState::Down);
        assert_eq!((watch.since, watch.given_up_at), (at(4), Some(at(64))));
        // What does not change is told now and then.
        assert_eq!(
            watch.hear(refused(), 0, PATIENCE, at(6)),
            Transition::default()
        );
        assert!(watch.hear(refused(), 0, PATIENCE, at(36)).tell);
        assert_eq!(watch.given_up_at, Some(at(64)));

        let heard = watch.hear(Ok(()), 0, PATIENCE, at(40));
        assert!(heard.returned && heard.tell && !heard.left);
        assert_eq!(watch.given_up_at, None);
        assert!(running.is_cancelled() && !watch.away.is_cancelled());
    }

    #[test]
    fn one_question_in_vain_is_not_enough_where_answers_came_before_and_after() {
        let mut watch = answering();
        for second in [2, 6, 10] {
            assert!(!watch.hear(refused(), 0, PATIENCE, at(second)).left);
            watch.hear(Ok(()), 0, PATIENCE, at(second + 2));
            assert_eq!(watch.state, HealthState::Up);
        }
        assert!(!watch.away.is_cancelled());
    }

    #[test]
    fn an_engine_that_never_answered_takes_no_builds_at_once() {
        let mut watch = HealthTracker::new(Some(1), at(0));
        assert!(watch.hear(refused(), 0, PATIENCE, at(1)).tell);
        assert_eq!(watch.state, HealthState::Down);
    }

    #[test]
    fn an_answer_to_a_question_from_before_a_loss_says_nothing() {
        let mut watch = answering();
        let asked = watch.losses;
        watch.lost(refused().unwrap_err(), PATIENCE, at(2));
        assert_eq!(
            watch.hear(Ok(()), asked, PATIENCE, at(3)),
            Transition::default()
        );
        assert_eq!(watch.state, HealthState::Down);
        // Builds that did not lose it go on until it is known that it is away.
        assert!(!watch.away.is_cancelled());
        let heard = watch.hear(Ok(()), watch.losses, PATIENCE, at(4));
        assert!(heard.returned);
    }
}

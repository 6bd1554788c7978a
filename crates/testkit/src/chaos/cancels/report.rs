//! What became of cancelled builds, and how soon the engine was idle, for a person.

use std::{fmt, time::Duration};

use fastbuild_spec::{failure::ReasonCode, state::BuildState};

use super::{Plan, cases::Case};
use crate::chaos::{caller::CancelAnswer, counted, write_verdict};

/// A build that was cancelled. Times begin before the request to cancel it was sent.
#[derive(Debug, Clone)]
pub struct Cancel {
    /// What was asked for.
    pub case: Case,
    /// The build's number.
    pub build: i64,
    /// The state it was in.
    pub found: BuildState,
    /// What the request came to.
    pub answer: CancelAnswer,
    /// How the build ended.
    pub state: BuildState,
    /// Why, where it failed.
    pub reason: Option<ReasonCode>,
    /// When it was seen to have ended.
    pub ended_after: Duration,
    /// When something of it was last seen on the engine, if something was.
    pub seen_after: Option<Duration>,
    /// When the engine ended a push of it, if that was later.
    pub pushed_after: Option<Duration>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// What was run.
    pub plan: Plan,
    /// Each build.
    pub cancels: Vec<Cancel>,
    /// What lies on the engine though its build failed: its label, and the build's number.
    pub left: Vec<(String, i64)>,
}

impl Cancel {
    /// From when on the build had ended and nothing of it was on the engine.
    pub fn idle_after(&self) -> Duration {
        let later = self.seen_after.max(self.pushed_after);
        self.ended_after.max(later.unwrap_or_default())
    }

    /// Whether it ended as its caller was told.
    fn is_true(&self) -> bool {
        use CancelAnswer::{Ended, Requested, TooLate};
        match (self.state, self.reason) {
            (BuildState::BuildAbort, Some(ReasonCode::Cancelled)) => {
                matches!(self.answer, Ended | Requested)
            }
            // It was quicker than the wish.
            (BuildState::PushSuccess, None) => matches!(self.answer, Requested | TooLate),
            _ => false,
        }
    }
}

impl Report {
    /// Every rule that was broken.
    pub fn violations(&self) -> Vec<String> {
        let mut violations = Vec::new();
        for cancel in &self.cancels {
            if !cancel.is_true() {
                violations.push(format!("it did not end as it was told: {cancel:?}"));
            }
            if cancel.idle_after() > self.plan.within {
                violations.push(format!(
                    "the engine was not idle within {:?}: {cancel:?}",
                    self.plan.within
                ));
            }
        }
        for (label, build) in &self.left {
            let cancel = self.cancels.iter().find(|cancel| cancel.build == *build);
            violations.push(format!("the engine still has {label} of {cancel:?}"));
        }
        violations
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cancels = &self.cancels;
        writeln!(out, "seed {}", self.plan.seed)?;
        let found = counted(cancels.iter().map(|cancel| cancel.found.to_string()));
        writeln!(out, "found     {found}")?;
        let answers = counted(cancels.iter().map(|cancel| format!("{:?}", cancel.answer)));
        writeln!(out, "answers   {answers}")?;
        let ends = counted(cancels.iter().map(|cancel| cancel.state.to_string()));
        writeln!(out, "ends      {ends}")?;
        let mut idle: Vec<Duration> = cancels.iter().map(Cancel::idle_after).collect();
        idle.sort_unstable();
        if let (Some(least), Some(greatest)) = (idle.first(), idle.last()) {
            writeln!(
                out,
                "| cancels | at a time | engine idle after, s: median | least | greatest |"
            )?;
            writeln!(out, "|---|---|---|---|---|")?;
            writeln!(
                out,
                "| {} | {} | {:.3} | {:.3} | {:.3} |",
                idle.len(),
                self.plan.at_a_time,
                idle[idle.len() / 2].as_secs_f64(),
                least.as_secs_f64(),
                greatest.as_secs_f64(),
            )?;
        }
        write_verdict(out, &self.violations())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::cancels::cases::Since;

    fn kept() -> Report {
        let cancel = Cancel {
            case: Case {
                number: 0,
                since: Since::Asked,
                after: Duration::from_secs(1),
                sleeps: Duration::from_hours(1),
            },
            build: 7,
            found: BuildState::Building,
            answer: CancelAnswer::Requested,
            state: BuildState::BuildAbort,
            reason: Some(ReasonCode::Cancelled),
            ended_after: Duration::from_millis(300),
            seen_after: Some(Duration::from_millis(200)),
            pushed_after: None,
        };
        Report {
            plan: Plan {
                binary: "fastbuild".into(),
                seed: 7,
                cancels: 1,
                at_a_time: 1,
                life: Duration::from_secs(6),
                within: Duration::from_secs(2),
            },
            cancels: vec![cancel],
            left: Vec::new(),
        }
    }

    /// What is wrong once something was changed.
    fn broken(change: impl FnOnce(&mut Cancel)) -> String {
        let mut report = kept();
        change(&mut report.cancels[0]);
        report.violations().join("\n")
    }

    #[test]
    fn the_engine_is_idle_once_the_last_of_a_build_is_gone() {
        assert_eq!(broken(|_| {}), "");
        let late = Duration::from_millis(2_001);
        for said in [
            broken(|cancel| cancel.ended_after = late),
            broken(|cancel| cancel.seen_after = Some(late)),
            broken(|cancel| cancel.pushed_after = Some(late)),
        ] {
            assert!(
                said.starts_with("the engine was not idle within 2s"),
                "{said}"
            );
        }
        let mut report = kept();
        report.left.push(("x/y/7/1".to_owned(), 7));
        let said = report.violations().join("\n");
        let left = "the engine still has x/y/7/1 of Some(Cancel { case: Case { number: 0";
        assert!(said.starts_with(left), "{said}");
    }

    #[test]
    fn a_build_ends_as_its_caller_was_told() {
        let succeeded = |cancel: &mut Cancel| {
            cancel.state = BuildState::PushSuccess;
            cancel.reason = None;
        };
        assert_eq!(broken(succeeded), "");
        for said in [
            broken(|cancel| cancel.answer = CancelAnswer::TooLate),
            broken(|cancel| cancel.reason = Some(ReasonCode::EngineLost)),
            broken(|cancel| cancel.state = BuildState::BuildFailed),
            broken(|cancel| {
                succeeded(cancel);
                cancel.answer = CancelAnswer::Ended;
            }),
        ] {
            assert!(said.starts_with("it did not end as it was told"), "{said}");
        }
    }
}

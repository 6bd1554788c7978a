//! What must be true when a run is over, whatever went wrong in it. Each rule tells which build broke
//! it and why.

use std::fmt;

use fastbuild_spec::{
    failure::ReasonCode,
    state::{BuildState, Step, StepStatus},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    evidence::{BuildSeen, EventSeen, Evidence, maker},
    workload::Base,
};
use crate::{chaos::caller::CancelAnswer, fake_engine::Push};

/// Attempts that a build may have.
const MAX_ATTEMPTS: i64 = 3;
/// What an engine was sending when its attempt was lost may still arrive for so long.
const ON_THE_WIRE: SignedDuration = SignedDuration::from_secs(1);
/// What the faults of a run can do to a build.
const BY_FAULTS: [ReasonCode; 3] = [
    ReasonCode::EngineLost,
    ReasonCode::EngineUnreachable,
    ReasonCode::RegistryUnavailable,
];

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The order's and the build's number, where it is about one.
    pub build: Option<(usize, i64)>,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.build {
            Some((number, id)) => write!(formatter, "order {number}, build {id}: {}", self.why),
            None => formatter.write_str(&self.why),
        }
    }
}

/// Every rule that was broken.
pub fn violations(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    for build in &evidence.builds {
        let about = [
            ended_once(build),
            truthful(build),
            told(build),
            fenced(build),
            pushed_in_time(build, evidence),
        ];
        violations.extend(about.into_iter().flatten().map(|why| Violation {
            build: Some((build.submitted.submission.number, build.submitted.id)),
            why,
        }));
    }
    violations.extend(left_over(evidence));
    violations
}

/// It ended, once, and what follows it sees that.
fn ended_once(build: &BuildSeen) -> Vec<String> {
    let mut why = Vec::new();
    if !build.state.is_terminal() {
        why.push(format!("it has not ended: {}", build.state));
    }
    let results = build
        .events
        .iter()
        .filter(|event| event.event == "result")
        .count();
    let ends: Vec<BuildState> = build
        .events
        .iter()
        .filter(|event| event.event == "state")
        .filter_map(|event| event.state)
        .filter(|state| state.is_terminal())
        .collect();
    if results != 1 || ends != [build.state] {
        why.push(format!(
            "its record says {}, its events {results} results and the ends {ends:?}",
            build.state
        ));
    }
    let (numbers, numberless): (Vec<&EventSeen>, Vec<&EventSeen>) =
        build.events.iter().partition(|event| event.seq.is_some());
    let numbers = numbers.iter().filter_map(|event| event.seq);
    if !numbers
        .zip(1..)
        .all(|(number, expected)| number == expected)
    {
        why.push("its events are not numbered on without gaps".to_owned());
    }
    let ended = build
        .events
        .last()
        .is_some_and(|event| event.event == "end");
    if numberless.len() != 1 || !ended {
        why.push("the stream of its events is not ended by one end".to_owned());
    }
    let attempts: Vec<i64> = build
        .beginnings()
        .iter()
        .map(|(number, _)| *number)
        .collect();
    if !attempts.iter().copied().eq(1..=build.attempt) || build.attempt > MAX_ATTEMPTS {
        why.push(format!(
            "its record says {} attempts, its events {attempts:?}",
            build.attempt
        ));
    }
    why
}

/// What its record says is so.
fn truthful(build: &BuildSeen) -> Vec<String> {
    let mut why = Vec::new();
    let submission = &build.submitted.submission;
    if build.state == BuildState::PushSuccess {
        if build.digest.is_none() || build.digest != build.in_registry {
            why.push(format!(
                "its record says {:?} was pushed, the registry has {:?}",
                build.digest, build.in_registry
            ));
        }
        if submission.base == Base::Missing {
            why.push("it succeeded although its base image does not exist".to_owned());
        }
        if build.submitted.cancelled == Some(CancelAnswer::Ended) {
            why.push("it succeeded although it had ended as cancelled".to_owned());
        }
        return why;
    }
    let began_to_push = build
        .events
        .iter()
        .any(|event| event.step == Some(Step::Push) && event.status == Some(StepStatus::Running));
    if build.in_registry.is_some() && !began_to_push {
        why.push("it failed before its push, and the registry has its image".to_owned());
    }
    let possible = match build.reason {
        Some(ReasonCode::Cancelled) => {
            build.state == BuildState::BuildAbort && build.submitted.cancelled.is_some()
        }
        Some(ReasonCode::BaseImageNotFound) => submission.base == Base::Missing,
        Some(code) => BY_FAULTS.contains(&code),
        None => false,
    };
    if !possible {
        why.push(format!(
            "it ended as {} for the reason {:?}, which nothing that happened explains",
            build.state, build.reason
        ));
    }
    why
}

/// Its caller was told, and nothing but the truth.
fn told(build: &BuildSeen) -> Vec<String> {
    let mut why = Vec::new();
    if !build.callbacks.iter().any(|callback| callback.taken) {
        why.push("no callback of it was delivered".to_owned());
    }
    for body in build.told() {
        let agrees = body.state == build.state
            && body.image_name == build.target
            && body.reason == build.reason
            && (build.state != BuildState::PushSuccess || body.digest == build.digest);
        if !agrees {
            why.push(format!("a callback of it says {body:?}"));
        }
    }
    why
}

/// Once an attempt has begun, none before it writes.
fn fenced(build: &BuildSeen) -> Vec<String> {
    let mut newest = 0;
    let mut why = Vec::new();
    for event in &build.events {
        let Some(attempt) = event.attempt else {
            continue;
        };
        if attempt < newest {
            why.push(format!(
                "attempt {attempt} wrote the event {:?} after attempt {newest} had begun",
                event.seq
            ));
        }
        newest = newest.max(attempt);
    }
    why
}

/// How long after its successor had begun a lost attempt's push ended, for each that did.
pub fn on_the_wire(evidence: &Evidence) -> Vec<SignedDuration> {
    let mut late = Vec::new();
    for build in &evidence.builds {
        for (_, push) in pushes_of(build, evidence) {
            if let (Some(ended), Some((_, began))) = (push.ended, successor(build, push))
                && ended > began
            {
                late.push(ended.duration_since(began));
            }
        }
    }
    late
}

fn pushes_of<'a>(
    build: &'a BuildSeen,
    evidence: &'a Evidence,
) -> impl Iterator<Item = &'a (String, Push)> {
    let pushes = evidence.pushes.iter();
    pushes.filter(|(_, push)| push.image == build.target)
}

/// The attempt that followed the one which pushed, and when it began.
fn successor(build: &BuildSeen, push: &Push) -> Option<(i64, Timestamp)> {
    let (_, attempt) = maker(&push.label)?;
    let beginnings = build.beginnings().into_iter();
    beginnings.filter(|(number, _)| *number > attempt).min()
}

/// Once an attempt has begun, none before it pushes.
fn pushed_in_time(build: &BuildSeen, evidence: &Evidence) -> Vec<String> {
    let mut why = Vec::new();
    for (engine, push) in pushes_of(build, evidence) {
        // Real engines do not tell the label of an image that was taken away while they pushed it.
        if let Some((id, _)) = maker(&push.label).filter(|(id, _)| *id != build.submitted.id) {
            why.push(format!("{engine} pushed its image for the build {id}"));
        }
        let Some((number, began)) = successor(build, push) else {
            continue;
        };
        let ended = push.ended.unwrap_or(push.began);
        // Of some pushes the end alone is known.
        let only_the_end = push.ended == Some(push.began);
        if ended > began + ON_THE_WIRE || (push.began > began && !only_the_end) {
            why.push(format!(
                "{engine} pushed for {} from {} to {ended}, and attempt {number} had begun at {began}",
                push.label, push.began
            ));
        }
    }
    why
}

/// Nothing half done is left: not on an engine, not in the queue. What is, broke a rule only if it
/// stays.
pub fn left_over(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut wrong = |build, why| violations.push(Violation { build, why });
    for (engine, object) in &evidence.objects {
        let build = maker(&object.label).and_then(|(id, attempt)| {
            let found = evidence
                .builds
                .iter()
                .find(|build| build.submitted.id == id);
            found.map(|build| (build, attempt))
        });
        // What was pushed, or waits to be pushed again, stays on its engine for a while.
        let stays = build.is_some_and(|(build, attempt)| {
            object.kind == "image"
                && object.name == build.target
                && matches!(
                    build.state,
                    BuildState::PushSuccess | BuildState::PushFailed
                )
                && build.engine.as_ref() == Some(engine)
                && attempt == build.attempt
        });
        if !stays {
            wrong(
                build.map(|(build, _)| (build.submitted.submission.number, build.submitted.id)),
                format!(
                    "{engine} still has the {} {} ({})",
                    object.kind, object.name, object.label
                ),
            );
        }
    }
    for (engine, count) in &evidence.building {
        wrong(None, format!("{engine} still runs {count} builds"));
    }
    for row in &evidence.rows {
        wrong(None, format!("the database has {row}"));
    }
    violations
}

#[cfg(test)]
mod tests;

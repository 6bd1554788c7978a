//! Each rule is seen to be broken.

use std::time::Duration;

use fastbuild_spec::callback::CallbackBody;

use super::*;
use crate::chaos::{
    builds::{
        evidence::{Callback, EventSeen, Submitted},
        workload::Submission,
    },
    real_engine::EngineObject,
};

const TARGET: &str = "registry:1/chaos/t:3";
const DIGEST: &str = "sha256:ab";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn event(event: &str, seq: i64, attempt: i64) -> EventSeen {
    EventSeen {
        event: event.to_owned(),
        seq: Some(seq),
        attempt: Some(attempt),
        at: Some(at(10 * attempt)),
        ..EventSeen::default()
    }
}

fn state(state: BuildState, seq: i64, attempt: i64) -> EventSeen {
    EventSeen {
        state: Some(state),
        ..event("state", seq, attempt)
    }
}

/// A build that lost its first attempt and then succeeded, on another engine.
fn kept() -> Evidence {
    let mut body = CallbackBody::new(TARGET, 7, BuildState::PushSuccess);
    body.digest = Some(DIGEST.to_owned());
    let end = EventSeen {
        event: "end".to_owned(),
        ..EventSeen::default()
    };
    let build = BuildSeen {
        submitted: Submitted {
            submission: Submission {
                number: 3,
                after: Duration::ZERO,
                base: Base::Debian,
                content: 3,
                installs: false,
                afresh: false,
                owner: "team-a",
                cancel_after: None,
                refused_first: false,
            },
            id: 7,
            cancelled: None,
        },
        target: TARGET.to_owned(),
        state: BuildState::PushSuccess,
        reason: None,
        digest: Some(DIGEST.to_owned()),
        attempt: 2,
        engine: Some("two".to_owned()),
        events: vec![
            state(BuildState::Started, 1, 1),
            state(BuildState::Queued, 2, 1),
            state(BuildState::Started, 3, 2),
            state(BuildState::PushSuccess, 4, 2),
            event("result", 5, 2),
            end,
        ],
        in_registry: Some(DIGEST.to_owned()),
        callbacks: vec![Callback { body, taken: true }],
    };
    Evidence {
        builds: vec![build],
        pushes: vec![("two".to_owned(), push(2, 22, Some(23)))],
        objects: vec![("two".to_owned(), image(2))],
        ..Evidence::default()
    }
}

fn push(attempt: i64, began: i64, ended: Option<i64>) -> Push {
    Push {
        image: TARGET.to_owned(),
        label: format!("installation/process/7/{attempt}"),
        began: at(began),
        ended: ended.map(at),
    }
}

fn image(attempt: i64) -> EngineObject {
    EngineObject {
        kind: "image",
        name: TARGET.to_owned(),
        label: format!("installation/process/7/{attempt}"),
    }
}

/// What is wrong once something was changed.
fn broken(change: impl FnOnce(&mut Evidence)) -> String {
    let mut evidence = kept();
    change(&mut evidence);
    let violations: Vec<String> = violations(&evidence)
        .iter()
        .map(Violation::to_string)
        .collect();
    violations.join("\n")
}

/// A change that must be told of in these words, about this build.
fn must_say(words: &str, change: impl FnOnce(&mut Evidence)) {
    let said = broken(change);
    assert!(said.contains(words), "{said}");
    assert!(said.contains("order 3, build 7: "), "{said}");
}

#[test]
fn a_run_that_keeps_every_rule_is_not_blamed() {
    assert_eq!(broken(|_| {}), "");
}

#[test]
fn a_build_ends_once() {
    must_say("it has not ended", |run| {
        run.builds[0].state = BuildState::Building;
    });
    must_say("2 results", |run| {
        run.builds[0].events.insert(5, event("result", 6, 2));
    });
    must_say("the ends [BuildAbort, PushSuccess]", |run| {
        run.builds[0].events[1] = state(BuildState::BuildAbort, 2, 1);
    });
    must_say("not numbered on without gaps", |run| {
        run.builds[0].events.remove(1);
    });
    must_say("not ended by one end", |run| {
        run.builds[0].events.pop();
    });
    must_say("says 3 attempts, its events [1, 2]", |run| {
        run.builds[0].attempt = 3;
    });
}

#[test]
fn a_success_is_in_the_registry_and_possible() {
    must_say("the registry has None", |run| {
        run.builds[0].in_registry = None;
    });
    must_say("the registry has Some(\"sha256:cd\")", |run| {
        run.builds[0].in_registry = Some("sha256:cd".to_owned());
    });
    must_say("its base image does not exist", |run| {
        run.builds[0].submitted.submission.base = Base::Missing;
    });
    must_say("had ended as cancelled", |run| {
        run.builds[0].submitted.cancelled = Some(CancelAnswer::Ended);
    });
}

fn failed(run: &mut Evidence, state: BuildState, reason: ReasonCode) {
    let build = &mut run.builds[0];
    build.state = state;
    build.reason = Some(reason);
    build.events[3].state = Some(state);
    build.callbacks[0].body.state = state;
    build.callbacks[0].body.reason = Some(reason);
    build.in_registry = None;
    run.objects.clear();
}

#[test]
fn a_failure_has_a_cause() {
    let lost = broken(|run| failed(run, BuildState::BuildAbort, ReasonCode::EngineLost));
    assert_eq!(lost, "");
    must_say("which nothing that happened explains", |run| {
        failed(run, BuildState::BuildFailed, ReasonCode::Internal);
    });
    must_say("which nothing that happened explains", |run| {
        failed(run, BuildState::BuildAbort, ReasonCode::Cancelled);
    });
    must_say("which nothing that happened explains", |run| {
        failed(run, BuildState::PullFailed, ReasonCode::BaseImageNotFound);
    });
    must_say(
        "failed before its push, and the registry has its image",
        |run| {
            failed(run, BuildState::BuildAbort, ReasonCode::EngineLost);
            run.builds[0].in_registry = Some(DIGEST.to_owned());
        },
    );
}

#[test]
fn the_caller_is_told_the_truth() {
    must_say("no callback of it was delivered", |run| {
        run.builds[0].callbacks[0].taken = false;
    });
    must_say("a callback of it says", |run| {
        run.builds[0].callbacks[0].body.state = BuildState::BuildAbort;
    });
}

#[test]
fn a_lost_attempt_neither_writes_nor_pushes() {
    must_say("attempt 1 wrote the event Some(4) after attempt 2", |run| {
        run.builds[0].events[3].attempt = Some(1);
    });
    // Begun in time, and what was on the wire arrived.
    let late = broken(|run| run.pushes.push(("one".to_owned(), push(1, 19, Some(21)))));
    assert_eq!(late, "");
    let mut evidence = kept();
    evidence
        .pushes
        .push(("one".to_owned(), push(1, 19, Some(21))));
    assert_eq!(on_the_wire(&evidence), [SignedDuration::from_secs(1)]);
    must_say("one pushed for installation/process/7/1", |run| {
        run.pushes.push(("one".to_owned(), push(1, 19, Some(22))));
    });
    must_say("one pushed for installation/process/7/1", |run| {
        run.pushes.push(("one".to_owned(), push(1, 21, None)));
    });
    must_say("for the build 8", |run| {
        run.pushes[0].1.label = "installation/process/8/2".to_owned();
    });
}

#[test]
fn nothing_is_left() {
    must_say("one still has the image", |run| {
        run.objects.push(("one".to_owned(), image(1)));
    });
    must_say("two still has the image", |run| {
        run.objects[0].1.name = "sha256:nameless".to_owned();
    });
    let probe = broken(|run| {
        run.objects.push((
            "one".to_owned(),
            EngineObject {
                kind: "container",
                name: "c".to_owned(),
                label: "installation/process/probe".to_owned(),
            },
        ));
    });
    assert!(probe.contains("one still has the container c"), "{probe}");
    let building = broken(|run| run.building.push(("one".to_owned(), 2)));
    assert_eq!(building, "one still runs 2 builds");
    let rows = broken(|run| run.rows.push("a lease: 7".to_owned()));
    assert_eq!(rows, "the database has a lease: 7");
}

//! What the stories share: a site with a database of its own, times, and builds to ask for.

use std::{collections::HashMap, time::Duration};

use fastbuild_spec::{
    event::{Event, Progress},
    failure::{Failure, ReasonCode},
    image_spec::{CondaSpec, ImageSpec, PipSpec, ServicePasswords, SystemSpec},
    limits::BuildLimits,
    requeue::RequeueReason,
    settings::CallbackHeaders,
    state::{BuildState, Step},
};
use fastbuild_store::{
    AttemptId, AttemptOutcome, Build, ClaimRoom, ClaimedBuild, ClaimedDelivery, FencedError,
    Finished, FinishedImage, NewBuild, NewDelivery, SettingsRevisions, Store,
};
use jiff::{Timestamp, ToSpan as _};

pub(crate) use crate::site::Site;

pub(crate) const LEASE: Duration = Duration::from_secs(30);
pub(crate) const LIMITS: BuildLimits = BuildLimits {
    total: 600,
    silence: 60,
    push: 120,
};
pub(crate) const KEY: [u8; 32] = [7; 32];

/// A moment, so many seconds after the stories begin.
pub(crate) fn at(seconds: i64) -> Timestamp {
    "2026-11-23T09:07:44.828675Z"
        .parse::<Timestamp>()
        .unwrap()
        .checked_add(seconds.seconds())
        .unwrap()
}

pub(crate) fn work_dir(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d-%H-%M-%S-%6f").to_string()
}

pub(crate) fn spec(target: &str) -> ImageSpec {
    ImageSpec {
        base: "registry.site:5000/base/debian:12".parse().unwrap(),
        target: target.parse().unwrap(),
        maintainer: "admin".to_owned(),
        description: "for the tests".to_owned(),
        python: None,
        system: SystemSpec::default(),
        pip: PipSpec::default(),
        conda: CondaSpec::default(),
        ssh: true,
        jupyter_lab: false,
        no_cache: false,
        env: std::collections::BTreeMap::new(),
        labels: std::collections::BTreeMap::new(),
    }
}

pub(crate) fn request(target: &str) -> NewBuild {
    NewBuild {
        name: "a task".to_owned(),
        request: r#"{"task_data":{}}"#.to_owned(),
        spec: spec(target),
        passwords: ServicePasswords {
            ssh: Some("Alkaid123456-ssh".into()),
            jupyter_lab: None,
        },
        callback_url: "http://platform.site/callback".to_owned(),
        key: None,
        owner: String::new(),
        priority: 0,
        limits: LIMITS,
    }
}

/// The name of the nth target.
pub(crate) fn target(number: usize) -> String {
    format!("registry.site:5000/made/image-{number}:v1")
}

pub(crate) async fn enqueue(store: &Store, number: usize, seconds: i64) -> Build {
    store
        .enqueue(request(&target(number)), &work_dir, at(seconds))
        .await
        .unwrap()
}

pub(crate) async fn claim(store: &Store, seconds: i64) -> ClaimedBuild {
    store
        .claim("worker-1", LEASE, at(seconds))
        .await
        .unwrap()
        .unwrap()
}

pub(crate) fn headers() -> CallbackHeaders {
    [
        ("X-BizType", "DROS"),
        ("Authorization", "Bearer callback-token-1"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// The callback of a build in its end state.
pub(crate) fn callback(build: &Build) -> Option<NewDelivery> {
    (!build.callback_url.is_empty()).then(|| NewDelivery {
        url: build.callback_url.clone(),
        headers: headers().into(),
        body: format!(r#"{{"taskId":{},"state":"{}"}}"#, build.id, build.state),
    })
}

/// Claims what is due, however much of it; each until ten seconds later.
pub(crate) async fn claim_due(store: &Store, seconds: i64) -> Vec<ClaimedDelivery> {
    let room = ClaimRoom {
        free: 99,
        per_receiver: 99,
        under_way: HashMap::new(),
    };
    let lease = Duration::from_secs(10);
    store
        .claim_deliveries(room, lease, at(seconds))
        .await
        .unwrap()
}

/// When the next delivery is due.
pub(crate) async fn next_delivery(store: &Store, seconds: i64) -> Option<Timestamp> {
    let room = ClaimRoom {
        per_receiver: 1,
        ..ClaimRoom::default()
    };
    store.next_delivery_at(&room, at(seconds)).await.unwrap()
}

pub(crate) fn log(step: Step, text: &str) -> Event {
    Event::Progress {
        step,
        progress: Progress::Log {
            text: text.to_owned(),
        },
    }
}

/// Takes a claimed build through every state up to the push.
pub(crate) async fn run_up_to_the_push(store: &Store, attempt: AttemptId, seconds: i64) {
    try_up_to_the_push(store, attempt, seconds).await.unwrap();
}

/// As [`run_up_to_the_push`], for a store that may fail.
pub(crate) async fn try_up_to_the_push(
    store: &Store,
    attempt: AttemptId,
    seconds: i64,
) -> Result<(), FencedError> {
    for state in [
        BuildState::PullSuccess,
        BuildState::CheckSuccess,
        BuildState::PrepareSuccess,
        BuildState::Building,
        BuildState::BuildSuccess,
        BuildState::CheckImageSizeSuccess,
    ] {
        store.transition(attempt, state, at(seconds)).await?;
    }
    Ok(())
}

pub(crate) const REVISIONS: SettingsRevisions = SettingsRevisions {
    host: Some(1),
    registry: Some(2),
    docker_server: Some(3),
    headers: Some(4),
    engine: None,
};

pub(crate) fn success() -> AttemptOutcome {
    AttemptOutcome::Pushed(FinishedImage {
        id: "sha256:feed".to_owned(),
        size: 1_430_000_000,
        digest: Some("sha256:beef".to_owned()),
        on_engine: true,
        build_reason: None,
    })
}

pub(crate) fn failed(state: BuildState) -> AttemptOutcome {
    let failure = Failure::new(ReasonCode::StepFailed, "失败。", "It failed.");
    AttemptOutcome::Failed(state, failure)
}

pub(crate) fn engine_lost() -> AttemptOutcome {
    let failure = Failure::new(ReasonCode::EngineLost, "中断。", "It was lost.");
    AttemptOutcome::Requeue(RequeueReason::EngineLost, failure)
}

/// The row of a build that has ended.
pub(crate) fn ended(finished: Finished) -> Build {
    match finished {
        Finished::Ended(build) => *build,
        Finished::Requeued(reason) => panic!("requeued: {reason}"),
    }
}

/// Makes no callback.
pub(crate) fn no_callback(_: &Build) -> Option<NewDelivery> {
    None
}

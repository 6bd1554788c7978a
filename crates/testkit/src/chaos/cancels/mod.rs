//! Builds on a real engine that are cancelled at any moment of their lives: each must end, and
//! nothing of it may go on on the engine.
//!
//! [`run`] starts a [`world`], asks for the builds of the seed's [`wishes`] and cancels each at its
//! moment, while a [`watch`] sees what runs on the engine, and puts what it took into a [`report`].

pub mod cases;
pub mod cluster;
pub mod report;
pub mod watch;

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use fastbuild_spec::state::BuildState;
use jiff::Timestamp;
use tokio::{sync::Semaphore, task::JoinSet};

use self::{
    cases::{Case, Since, cases},
    cluster::Cluster,
    report::{Cancel, Report},
};
use crate::{now, wait::within};

/// How long what cancelled builds made may lie on the engine.
const TO_CLEAN: Duration = Duration::from_mins(3);

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The service's program.
    pub binary: PathBuf,
    /// What all that is drawn is drawn from.
    pub seed: u64,
    /// Builds to cancel.
    pub cancels: usize,
    /// Builds that there are at a time.
    pub at_a_time: usize,
    /// Each is cancelled within this time after it was asked for.
    pub life: Duration,
    /// The engine must be idle so long after each cancel.
    pub within: Duration,
}

/// Runs a plan.
///
/// # Errors
/// When a part does not start, a build is refused, does not end, or something of it stays. Other
/// rules that were broken are no error: they stand in the report.
pub async fn run(plan: Plan) -> Result<Report> {
    let cases = cases(plan.seed, plan.cancels, plan.life);
    let cluster = Arc::new(Cluster::start(&plan.binary, &cases).await?);
    let places = Arc::new(Semaphore::new(plan.at_a_time));
    let mut cancelling = JoinSet::new();
    for case in cases {
        let (cluster, places) = (cluster.clone(), places.clone());
        cancelling.spawn(async move {
            let _place = places.acquire_owned().await?;
            cancelled(&cluster, case).await
        });
    }
    let mut cancels = Vec::new();
    while let Some(cancel) = cancelling.join_next().await {
        cancels.push(cancel??);
    }
    cancels.sort_by_key(|cancel| cancel.case.number);
    let left = left(&cluster, &cancels).await?;
    Ok(Report {
        plan,
        cancels,
        left,
    })
}

/// Asks for a build and cancels it at its moment.
async fn cancelled(cluster: &Cluster, case: Case) -> Result<Cancel> {
    let build = cluster.submit(&case).await?;
    if case.since == Since::Push {
        cluster.pushes(build).await?;
    }
    tokio::time::sleep(case.after).await;
    let found = state(&cluster.caller.build(build).await?)?;
    let (asked, asked_at) = (Instant::now(), now());
    let answer = cluster.caller.cancel(0, build).await?;
    let (ended, told) = cluster.ended(build).await?;
    let seen = cluster.last_seen(&case, build, ended).await?;
    Ok(Cancel {
        case,
        build,
        found,
        answer,
        state: state(&told)?,
        reason: serde_json::from_value(told["failure"]["code"].clone())?,
        ended_after: ended - asked,
        seen_after: seen.map(|seen| seen.saturating_duration_since(asked)),
        pushed_after: pushed_after(cluster, build, asked_at),
    })
}

fn state(told: &serde_json::Value) -> Result<BuildState> {
    Ok(serde_json::from_value(told["state"].clone())?)
}

/// How long after a moment the engine ended a push of a build, if it did.
fn pushed_after(cluster: &Cluster, build: i64, moment: Timestamp) -> Option<Duration> {
    let pushes = cluster.engine.pushes().into_iter();
    pushes
        .filter(|push| {
            super::builds::evidence::maker(&push.label).is_some_and(|(of, _)| of == build)
        })
        .filter_map(|push| push.ended?.duration_since(moment).try_into().ok())
        .max()
}

/// What builds that failed left on the engine, once that had its time to be taken away.
async fn left(cluster: &Cluster, cancels: &[Cancel]) -> Result<Vec<(String, i64)>> {
    let failed: HashSet<i64> = cancels
        .iter()
        .filter(|cancel| cancel.state != BuildState::PushSuccess)
        .map(|cancel| cancel.build)
        .collect();
    // A list may fail while others take something away.
    let clean = || async {
        Ok(cluster
            .left(&failed)
            .await
            .is_ok_and(|left| left.is_empty()))
    };
    within(TO_CLEAN, clean).await?;
    cluster.left(&failed).await
}

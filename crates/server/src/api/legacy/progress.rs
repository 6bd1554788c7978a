//! The steps of builds.

use std::collections::BTreeMap;

use axum::extract::State;
use fastbuild_spec::{settings::HostSettings, state::Step};
use fastbuild_store::{Build, StepRow};
use strum::IntoEnumIterator as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    envelope::{Envelope, Failures, Reply},
    parameters::TaskId,
    view::{Address, Progress, ProgressDetails, StepRecord},
};
use crate::{
    api::{Controller, Surface},
    error::Error,
    extract::Query,
    state::AppState,
};

inventory::submit! {
    Controller {
        surface: Surface::Legacy,
        name: "progress",
        purpose: "The steps of builds, with links to their logs.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(details))
        .routes(routes!(running_tasks_progress))
        .routes(routes!(status))
}

/// Returns the steps of a build that have started, in order.
///
/// An empty object for an unknown build.
#[utoipa::path(
    get,
    path = "/api/fast-build/progress/details",
    tag = "progress",
    params(TaskId),
    responses((status = 200, body = Envelope<ProgressDetails>), Failures)
)]
async fn details(
    State(state): State<AppState>,
    Query(TaskId { task_id }): Query<TaskId>,
) -> Result<Reply<ProgressDetails>, Error> {
    let Some(build) = state.store().build(task_id).await? else {
        return Ok(Reply::success(ProgressDetails::Unknown {}));
    };
    let steps = state.store().steps(task_id).await?;
    let host = state.store().settings().await?.host;
    let progress = records(&state, host.as_ref(), &build, &steps);
    Ok(Reply::success(ProgressDetails::Known(Progress {
        task_id,
        task_name: build.name,
        progress,
    })))
}

/// Returns the steps of every running build, by the id of the build.
#[utoipa::path(
    get,
    path = "/api/fast-build/progress/running-tasks-progress",
    tag = "progress",
    responses((status = 200, body = Envelope<BTreeMap<String, Vec<StepRecord>>>), Failures)
)]
async fn running_tasks_progress(
    State(state): State<AppState>,
) -> Result<Reply<BTreeMap<i64, Vec<StepRecord>>>, Error> {
    let host = state.store().settings().await?.host;
    let mut running = BTreeMap::new();
    for build in state.store().running_builds().await? {
        let steps = state.store().steps(build.id).await?;
        running.insert(build.id, records(&state, host.as_ref(), &build, &steps));
    }
    Ok(Reply::success(running))
}

/// Lists the steps of a build, in order.
#[utoipa::path(
    get,
    path = "/api/fast-build/progress/status",
    tag = "progress",
    responses((status = 200, body = Envelope<Vec<String>>), Failures)
)]
async fn status() -> Reply<Vec<String>> {
    Reply::success(Step::iter().map(|step| step.to_string()).collect())
}

fn records(
    state: &AppState,
    host: Option<&HostSettings>,
    build: &Build,
    steps: &[StepRow],
) -> Vec<StepRecord> {
    let task_dir = &state.builder.options().folders.task_dir;
    let address = Address::new(task_dir, host, &build.work_dir_name);
    let now = state.builder.clock().now();
    steps
        .iter()
        .map(|step| StepRecord::new(step, build, &address, now))
        .collect()
}

//! How builds go.

use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::parameters::TaskId,
    controllers::Controller,
    envelope::{Envelope, Failures, Reply},
    error::Error,
    extract::Query,
    state::AppState,
    view::{Address, Progress, ProgressAnswer, StepRecord},
};

inventory::submit! {
    Controller {
        name: "progress",
        purpose: "The steps of builds, with links to their logs.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(details))
}

/// The steps of a build that have begun, in order; an empty object for an unknown number.
#[utoipa::path(
    get,
    path = "/api/fast-build/progress/details",
    tag = "progress",
    params(TaskId),
    responses((status = 200, body = Envelope<ProgressAnswer>), Failures)
)]
async fn details(
    State(state): State<AppState>,
    Query(TaskId { task_id }): Query<TaskId>,
) -> Result<Reply<ProgressAnswer>, Error> {
    let Some(build) = state.store().build(task_id).await? else {
        return Ok(Reply::success(ProgressAnswer::Unknown {}));
    };
    let steps = state.store().steps(task_id).await?;
    let host = state.store().settings().await?.host;
    let task_dir = &state.builder.options().folders.task_dir;
    let address = Address::new(task_dir, host.as_ref(), &build.work_dir_name);
    let now = state.builder.clock().now();
    let progress = steps.iter().map(|step| StepRecord::new(step, &build, &address, now)).collect();
    Ok(Reply::success(ProgressAnswer::Known(Progress {
        task_id,
        task_name: build.task_name,
        progress,
    })))
}

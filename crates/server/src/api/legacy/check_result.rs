//! Stored image profiles.

use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    envelope::{Envelope, Failures, Reply},
    parameters::MAX_ROWS,
    view::CheckResult,
};
use crate::{
    api::{Controller, Surface},
    error::Error,
    state::AppState,
};

inventory::submit! {
    Controller {
        surface: Surface::Legacy,
        name: "check_result",
        purpose: "Stored image profiles.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(all_check_result))
        .routes(routes!(delete_all_check_result))
}

/// Lists the stored image profiles, newest first.
///
/// The newest 1,000 are listed; `msg` says so where there are more.
#[utoipa::path(
    get,
    path = "/api/fast-build/check-result/all-check-result",
    tag = "check_result",
    responses((status = 200, body = Envelope<Vec<CheckResult>>), Failures)
)]
async fn all_check_result(State(state): State<AppState>) -> Result<Reply<Vec<CheckResult>>, Error> {
    let profiles = state.store().profiles(MAX_ROWS as u64).await?;
    let results = profiles
        .into_iter()
        .map(CheckResult::new)
        .collect::<Result<_, _>>();
    let results = results
        .map_err(|error| Error::internal(format!("failed to write a profile as JSON: {error}")))?;
    Ok(Reply::with_message(
        "获取全部检测结果成功",
        "These are all check results.",
        results,
    ))
}

/// Deletes all stored image profiles.
///
/// The next check of an image inspects it again. `data` is the number of deleted profiles.
#[utoipa::path(
    delete,
    path = "/api/fast-build/check-result/delete-all-check-result",
    tag = "check_result",
    responses((status = 200, body = Envelope<u64>), Failures)
)]
async fn delete_all_check_result(State(state): State<AppState>) -> Result<Reply<u64>, Error> {
    let forgotten = state.store().delete_profiles().await?;
    Ok(Reply::with_message(
        format!("已删除全部 {forgotten} 条检测结果"),
        format!("All {forgotten} check result(s) have been deleted."),
        forgotten,
    ))
}

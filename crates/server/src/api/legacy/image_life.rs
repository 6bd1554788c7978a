//! When images came to an engine and left it.

use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    envelope::{Envelope, Failures, Reply},
    parameters::MAX_ROWS,
    view::ImageLifeRow,
};
use crate::{
    api::{Controller, Surface},
    error::Error,
    state::AppState,
};

inventory::submit! {
    Controller {
        surface: Surface::Legacy,
        name: "image_life",
        purpose: "When images came to an engine and left it.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(all))
}

/// Lists when images came to an engine and left it, newest first.
///
/// The newest 1,000 are listed; `msg` says so where there are more.
#[utoipa::path(
    get,
    path = "/api/fast-build/image-life/all",
    tag = "image_life",
    responses((status = 200, body = Envelope<Vec<ImageLifeRow>>), Failures)
)]
async fn all(State(state): State<AppState>) -> Result<Reply<Vec<ImageLifeRow>>, Error> {
    let mut lives = state.store().image_lives(MAX_ROWS as u64 + 1).await?;
    let is_cut = lives.len() > MAX_ROWS;
    lives.truncate(MAX_ROWS);
    let rows = lives.into_iter().map(ImageLifeRow::from).collect();
    Ok(Reply::newest(is_cut, rows))
}

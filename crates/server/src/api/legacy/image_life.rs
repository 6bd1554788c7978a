//! When images came to the engine and when they left it.

use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    envelope::{Envelope, Failures, Reply},
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
        purpose: "When images came to the engine, by pull or build, and when they left it.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(all))
}

/// Every image's time on the engine, newest first.
#[utoipa::path(
    get,
    path = "/api/fast-build/image-life/all",
    tag = "image_life",
    responses((status = 200, body = Envelope<Vec<ImageLifeRow>>), Failures)
)]
async fn all(State(state): State<AppState>) -> Result<Reply<Vec<ImageLifeRow>>, Error> {
    let lives = state.store().image_lives().await?;
    Ok(Reply::success(
        lives.into_iter().map(ImageLifeRow::from).collect(),
    ))
}

//! Liveness, readiness and version.

use axum::{Json, extract::State};
use fastbuild_builder::is_ready;
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{About, Alive, Readiness, Root};
use crate::{
    api::{Controller, Surface},
    http::localize::InLanguage,
    state::AppState,
};

inventory::submit! {
    Controller {
        surface: Surface::Ops,
        name: "health",
        purpose: "Liveness, readiness and version.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(root))
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(version))
}

/// Returns what this service is and where its documentation is.
#[utoipa::path(
    get,
    path = "/",
    tag = "health",
    responses((status = 200, body = Root, description = "The service, its version and where to go on."))
)]
async fn root(State(state): State<AppState>) -> Json<Root> {
    Json(Root::new(state.build_info()))
}

/// Answers while the process serves requests.
///
/// It checks no engine and no registry, as restarting this process would not repair them.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "health",
    responses((status = 200, body = Alive, description = "It lives."))
)]
async fn healthz() -> Json<Alive> {
    Json(Alive::default())
}

/// Says whether builds can run.
///
/// The database must answer, all settings must be there, and an engine must answer and be able to
/// log in to the registry. The answer says what was found for each and why it cannot be used. A
/// check takes a few seconds at most and holds for two.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, body = Readiness, description = "Builds can be made."),
        (status = 503, body = Readiness, description = "They cannot; the answer says why."),
    )
)]
async fn readyz(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
) -> (StatusCode, Json<Readiness>) {
    let dependencies = state.readiness_cache().dependencies(&state.builder).await;
    let ready = is_ready(&dependencies);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Readiness::new(ready, &dependencies, language)))
}

/// Returns the version of the service.
#[utoipa::path(
    get,
    path = "/version",
    tag = "health",
    responses((status = 200, body = About, description = "The version."))
)]
async fn version(State(state): State<AppState>) -> Json<About> {
    Json(state.build_info().into())
}

//! What load balancers, service managers and operators ask: whether the process lives, whether it can
//! do its work and why not, and which version it is.

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
        purpose: "Whether the service lives and can do its work, and which version it is.",
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

/// Says what this service is and where its documentation lies.
#[utoipa::path(
    get,
    path = "/",
    tag = "health",
    responses((status = 200, body = Root, description = "The service, its version and where to go on."))
)]
async fn root(State(state): State<AppState>) -> Json<Root> {
    Json(Root::new(state.build_info()))
}

/// Answers while the process serves requests; says nothing of engines or registries, whose
/// failures a restart of this process would not mend.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "health",
    responses((status = 200, body = Alive, description = "It lives."))
)]
async fn healthz() -> Json<Alive> {
    Json(Alive::default())
}

/// Whether builds can be made: the database answers, everything is configured, an engine answers and
/// can log in to the registry. Says of each what was found and why it cannot be used. Each is given a
/// few seconds, and an answer holds for two.
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

/// Which version of the service this is, and of what it was built.
#[utoipa::path(
    get,
    path = "/version",
    tag = "health",
    responses((status = 200, body = About, description = "The version."))
)]
async fn version(State(state): State<AppState>) -> Json<About> {
    Json(state.build_info().into())
}

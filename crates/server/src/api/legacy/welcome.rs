//! The greeting at the protocol's root.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{controllers::Controller, state::AppState};

inventory::submit! {
    Controller {
        name: "welcome",
        purpose: "The greeting by which callers see that they reached FastBuild.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(root))
}

/// A greeting; the only answer without an envelope.
#[derive(Debug, Serialize, ToSchema)]
struct Welcome {
    #[schema(example = "Welcome To FastBuild")]
    message: &'static str,
}

/// Greets, without an envelope.
#[utoipa::path(get, path = "/api/fast-build/", tag = "welcome", responses((status = 200, description = "The greeting.", body = Welcome)))]
async fn root() -> Json<Welcome> {
    Json(Welcome { message: "Welcome To FastBuild" })
}

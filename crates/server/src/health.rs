//! The sign of life that load balancers and service managers ask for.

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use crate::state::AppState;

pub(crate) fn router() -> Router<AppState> {
    Router::new().route("/healthz", get(healthz))
}

/// Answers while the process serves requests; says nothing of engines or registries, whose
/// failures a restart of this process would not mend.
async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

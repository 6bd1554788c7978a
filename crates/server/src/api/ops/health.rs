//! What load balancers, service managers and operators ask: whether the process lives, whether it can
//! do its work and why not, and which version it is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, extract::State};
use fastbuild_builder::{Builder, Dependency, is_ready};
use http::StatusCode;
use tokio::sync::Mutex;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{About, Alive, Readiness};
use crate::{api::Controller, http::localize::InLanguage, state::AppState};

inventory::submit! {
    Controller {
        name: "health",
        purpose: "Whether the service lives and can do its work, and which version it is.",
        routes,
    }
}

/// How long each dependency may take to answer.
const LIMIT: Duration = Duration::from_secs(3);
/// For so long an answer holds: however often it is asked for, engines and registry are not asked
/// more often.
const KEPT: Duration = Duration::from_secs(2);

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(version))
}

/// What was found last, and when. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadinessCache(Arc<Mutex<Option<Look>>>);

#[derive(Debug)]
struct Look {
    at: Instant,
    dependencies: Vec<Dependency>,
}

impl ReadinessCache {
    /// The dependencies as they are now or were a moment ago. Who asks while somebody looks waits
    /// for that look.
    async fn dependencies(&self, builder: &Builder) -> Vec<Dependency> {
        let mut last = self.0.lock().await;
        if let Some(look) = last.as_ref().filter(|look| look.at.elapsed() < KEPT) {
            return look.dependencies.clone();
        }
        let dependencies = builder.dependencies(LIMIT).await;
        *last = Some(Look {
            at: Instant::now(),
            dependencies: dependencies.clone(),
        });
        dependencies
    }
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

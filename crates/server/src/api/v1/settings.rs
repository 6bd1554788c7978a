//! Settings: show those in force and their history, roll back, check them.

use std::time::Duration;

use axum::{Json, extract::State};
use fastbuild_builder::is_ready;
use fastbuild_spec::failure::{Failure, ReasonCode};
use fastbuild_store::SettingsKind;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    problem::Problems,
    view::{CurrentSettings, SettingsHistory, SettingsRevision},
};
use crate::{
    api::{Controller, Surface, ops::view::Readiness},
    error::Error,
    extract::{JsonBody, Path},
    http::localize::InLanguage,
    state::AppState,
};

inventory::submit! {
    Controller {
        surface: Surface::V1,
        name: "v1 settings",
        purpose: "Settings: what is in force, what was, putting that in force again, proving what is.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(in_force))
        .routes(routes!(revisions))
        .routes(routes!(roll_back))
        .routes(routes!(prove))
}

/// How long each part may take to be proved: somebody waits who wants to know.
const LIMIT: Duration = Duration::from_secs(30);

/// Returns the settings in force.
///
/// Passwords and keys are never returned. Null stands for what is not configured.
#[utoipa::path(
    get,
    path = "/api/v1/settings",
    tag = "v1 settings",
    responses((status = 200, body = CurrentSettings), Problems)
)]
async fn in_force(State(state): State<AppState>) -> Result<Json<CurrentSettings>, Error> {
    Ok(Json(CurrentSettings {
        host: newest(&state, SettingsKind::Host).await?,
        registry: newest(&state, SettingsKind::Registry).await?,
        docker_server: newest(&state, SettingsKind::DockerServer).await?,
        callback_headers: newest(&state, SettingsKind::CallbackHeaders).await?,
        callback_signing: state.builder.callbacks().signing_origin().await?.into(),
    }))
}

async fn newest(state: &AppState, kind: SettingsKind) -> Result<Option<SettingsRevision>, Error> {
    Ok(history(state, kind).await?.into_iter().next())
}

/// Everything of a kind that ever was in force, newest first.
async fn history(state: &AppState, kind: SettingsKind) -> Result<Vec<SettingsRevision>, Error> {
    let store = state.store();
    Ok(match kind {
        SettingsKind::Host => shown(store.host_history().await?),
        SettingsKind::Registry => shown(store.registry_history().await?),
        SettingsKind::DockerServer => shown(store.docker_server_history().await?),
        SettingsKind::CallbackHeaders => shown(store.headers_history().await?),
    })
}

fn shown<T: Into<SettingsRevision>>(rows: Vec<T>) -> Vec<SettingsRevision> {
    rows.into_iter().map(Into::into).collect()
}

/// Lists all revisions of a kind of settings, newest first.
///
/// The first one is in force.
#[utoipa::path(
    get,
    path = "/api/v1/settings/{kind}/history",
    tag = "v1 settings",
    params(("kind" = String, Path, description = "`host`, `registry`, `docker-server` or `callback-headers`.")),
    responses((status = 200, body = SettingsHistory), Problems)
)]
async fn revisions(
    State(state): State<AppState>,
    Path(kind): Path<String>,
) -> Result<Json<SettingsHistory>, Error> {
    let revisions = history(&state, read_kind(&kind)?).await?;
    Ok(Json(SettingsHistory { revisions }))
}

/// Which revision to put in force again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rollback {
    /// The number of a revision of that kind.
    #[schema(example = 3)]
    revision: i64,
}

/// Puts an earlier revision of settings in force again.
///
/// It becomes a new revision. A registry or a Docker server is checked first, as a new one is.
#[utoipa::path(
    post,
    path = "/api/v1/settings/{kind}/rollback",
    tag = "v1 settings",
    params(("kind" = String, Path, description = "`host`, `registry`, `docker-server` or `callback-headers`.")),
    request_body = Rollback,
    responses((status = 200, body = SettingsRevision, description = "The revision that is in force now."), Problems)
)]
async fn roll_back(
    State(state): State<AppState>,
    Path(kind): Path<String>,
    JsonBody(Rollback { revision }): JsonBody<Rollback>,
) -> Result<Json<SettingsRevision>, Error> {
    let kind = read_kind(&kind)?;
    state.builder.settings().roll_back(kind, revision).await?;
    let newest = newest(&state, kind).await?;
    let missing = || Error::internal(format!("there are no {kind} settings after a roll-back"));
    Ok(Json(newest.ok_or_else(missing)?))
}

/// Checks all settings in force and returns what was found.
///
/// Each Docker server must answer, one of them must be able to log in to the registry, and
/// callbacks must be deliverable. Nothing is changed.
#[utoipa::path(
    post,
    path = "/api/v1/settings:prove",
    tag = "v1 settings",
    responses((status = 200, body = Readiness, description = "What was found."), Problems)
)]
async fn prove(State(state): State<AppState>, InLanguage(language): InLanguage) -> Json<Readiness> {
    let dependencies = state.builder.readiness().check(LIMIT).await;
    let ready = is_ready(&dependencies);
    Json(Readiness::new(ready, &dependencies, language))
}

fn read_kind(text: &str) -> Result<SettingsKind, Failure> {
    text.parse().map_err(|_unknown| {
        Failure::new(
            ReasonCode::NotFound,
            format!("没有名为 {text} 的配置。"),
            format!("There are no settings called {text}."),
        )
        .with_culprit(text)
        .with_hint(
            "请使用 host、registry、docker-server 或 callback-headers。",
            "Use host, registry, docker-server or callback-headers.",
        )
    })
}

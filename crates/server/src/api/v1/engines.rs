//! Docker Engines that builds run on: add, change, drain, check and remove them.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use fastbuild_spec::failure::Language;
use fastbuild_store::NamedEngine;
use http::{StatusCode, header};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    problem::Problems,
    view::{Engine, EngineHistory, EngineList, EngineProof, EngineRevision, engine_path},
};
use crate::{
    api::{Controller, Surface},
    error::Error,
    extract::{Document, Path},
    http::localize::InLanguage,
    state::AppState,
};

inventory::submit! {
    Controller {
        surface: Surface::V1,
        name: "v1 engines",
        purpose: "Engines: the Docker Engines that builds run on, any number of them. The one called \
                  default is the Docker server that config-fastbuild sets.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(get, change, remove))
        .routes(routes!(drain))
        .routes(routes!(undrain))
        .routes(routes!(prove))
        .routes(routes!(history))
}

/// An engine to be added, for the OpenAPI document.
fn example() -> Value {
    serde_json::json!({
        "name": "builder-2",
        "host": "192.0.2.12",
        "port": 2376,
        "tls": {
            "ca": "-----BEGIN CERTIFICATE-----\n...",
            "cert": "-----BEGIN CERTIFICATE-----\n...",
            "key": "-----BEGIN PRIVATE KEY-----\n..."
        },
        "capacity": 8,
        "labels": {"rack": "a7"}
    })
}

/// What may change about an engine, for the OpenAPI document.
fn patch_example() -> Value {
    serde_json::json!({"capacity": 12, "labels": {"rack": "b1"}})
}

fn shown(state: &AppState, engine: NamedEngine, language: Language) -> Engine {
    let marks = state.builder.options().cleaning.disk_marks;
    Engine::new(engine, marks, language)
}

/// Lists all engines, by name.
#[utoipa::path(
    get,
    path = "/api/v1/engines",
    tag = "v1 engines",
    responses((status = 200, body = EngineList), Problems)
)]
async fn list(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
) -> Result<Json<EngineList>, Error> {
    let engines = state.store().engines().await?;
    let engines = engines
        .into_iter()
        .map(|engine| shown(&state, engine, language))
        .collect();
    Ok(Json(EngineList { engines }))
}

/// Adds an engine.
///
/// The document is JSON or YAML. The engine must answer and must be able to log in to the registry.
/// `port` defaults to 2375, with `tls` to 2376; `capacity` defaults to `builds.per_engine` of the
/// configuration. `tls` holds PEM text, is stored encrypted and never returned.
#[utoipa::path(
    post,
    path = "/api/v1/engines",
    tag = "v1 engines",
    request_body(content(
        (Value = "application/json", example = example),
        (Value = "application/yaml"),
    )),
    responses(
        (status = 201, body = Engine, description = "It takes builds.", headers(("Location" = String, description = "The engine."))),
        Problems,
    )
)]
async fn add(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Document(document): Document,
) -> Result<Response, Error> {
    let engine = state.builder.engines().add(&document).await?;
    let location = [(header::LOCATION, engine_path(&engine.name))];
    let engine = Json(shown(&state, engine, language));
    Ok((StatusCode::CREATED, location, engine).into_response())
}

/// Returns one engine.
#[utoipa::path(
    get,
    path = "/api/v1/engines/{name}",
    tag = "v1 engines",
    params(("name" = String, Path, description = "The engine's name.")),
    responses((status = 200, body = Engine), Problems)
)]
async fn get(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Path(name): Path<String>,
) -> Result<Json<Engine>, Error> {
    let engine = state.builder.engines().get(&name).await?;
    Ok(Json(shown(&state, engine, language)))
}

/// Changes an engine.
///
/// The document names what changes: `host`, `port`, `tls` (null turns it off), `capacity`, `labels`
/// (all of them). An engine with a new address is checked first; builds that run at the old one end
/// there. Of `default` only `capacity` and `labels` can be changed here.
#[utoipa::path(
    patch,
    path = "/api/v1/engines/{name}",
    tag = "v1 engines",
    params(("name" = String, Path, description = "The engine's name.")),
    request_body(content(
        (Value = "application/json", example = patch_example),
        (Value = "application/yaml"),
    )),
    responses((status = 200, body = Engine), Problems)
)]
async fn change(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Path(name): Path<String>,
    Document(document): Document,
) -> Result<Json<Engine>, Error> {
    let engine = state.builder.engines().change(&name, &document).await?;
    Ok(Json(shown(&state, engine, language)))
}

/// Removes an engine that runs no build.
///
/// Its history stays. The engine `default` cannot be removed.
#[utoipa::path(
    delete,
    path = "/api/v1/engines/{name}",
    tag = "v1 engines",
    params(("name" = String, Path, description = "The engine's name.")),
    responses((status = 204, description = "It is removed."), Problems)
)]
async fn remove(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<StatusCode, Error> {
    state.builder.engines().remove(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Drains an engine: it takes no further builds.
///
/// Running builds end there.
#[utoipa::path(
    post,
    path = "/api/v1/engines/{name}/drain",
    tag = "v1 engines",
    params(("name" = String, Path, description = "The engine's name.")),
    responses((status = 200, body = Engine), Problems)
)]
async fn drain(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Path(name): Path<String>,
) -> Result<Json<Engine>, Error> {
    let engine = state.builder.engines().drain(&name, true).await?;
    Ok(Json(shown(&state, engine, language)))
}

/// Lets a drained engine take builds again.
#[utoipa::path(
    post,
    path = "/api/v1/engines/{name}/undrain",
    tag = "v1 engines",
    params(("name" = String, Path, description = "The engine's name.")),
    responses((status = 200, body = Engine), Problems)
)]
async fn undrain(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Path(name): Path<String>,
) -> Result<Json<Engine>, Error> {
    let engine = state.builder.engines().drain(&name, false).await?;
    Ok(Json(shown(&state, engine, language)))
}

/// Checks an engine and its login to the registry.
///
/// Nothing is changed.
#[utoipa::path(
    post,
    path = "/api/v1/engines/{name}/prove",
    tag = "v1 engines",
    params(("name" = String, Path, description = "The engine's name.")),
    responses((status = 200, body = EngineProof), Problems)
)]
async fn prove(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<EngineProof>, Error> {
    Ok(Json(state.builder.engines().prove(&name).await?.into()))
}

/// Lists all revisions of an engine, newest first.
///
/// Also those of an engine that was removed.
#[utoipa::path(
    get,
    path = "/api/v1/engines/{name}/history",
    tag = "v1 engines",
    params(("name" = String, Path, description = "The engine's name.")),
    responses((status = 200, body = EngineHistory), Problems)
)]
async fn history(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<EngineHistory>, Error> {
    let revisions = state.store().engine_history(&name).await?;
    if revisions.is_empty() {
        return Err(fastbuild_builder::no_such_engine(&name).into());
    }
    Ok(Json(EngineHistory {
        revisions: revisions.into_iter().map(EngineRevision::from).collect(),
    }))
}

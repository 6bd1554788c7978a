//! Builds: submit, list, show, cancel and retry them, read their logs.

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use fastbuild_builder::Submission;
use fastbuild_spec::{
    failure::{Failure, FieldError, Language, ReasonCode, Sentence},
    state::{BuildState, RetryFrom, Step},
};
use fastbuild_store as store;
use futures_util::{StreamExt as _, stream};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use strum::IntoEnumIterator as _;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    build_query::BuildQuery,
    problem::Problems,
    view::{Build, BuildPage, CancelResult, RenderedPlan, build_path},
};
use crate::{
    api::{Controller, Surface},
    error::Error,
    extract::{Document, IdempotencyKey, JsonBody, Path, Query, off_async_threads},
    http::localize::InLanguage,
    state::AppState,
    streams,
};

inventory::submit! {
    Controller {
        surface: Surface::V1,
        name: "v1 builds",
        purpose: "Builds: submit, list, show, cancel and retry them.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(submit, list))
        .routes(routes!(render))
        .routes(routes!(get))
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .routes(routes!(log))
        .routes(routes!(dockerfile))
}

/// A build document, for the OpenAPI document.
fn example() -> Value {
    serde_json::json!({
        "base": "registry.example:5000/base/debian:12",
        "target": "registry.example:5000/team/first:1.0",
        "owner": "team",
        "system": {"manager": "apt", "packages": ["git", "vim=2:9.0.1378-2"]},
        "pip": {"packages": ["numpy==1.26.4"], "requirements": "requests>=2,<3\nsix\n"},
        "conda": {"environment": "channels: [conda-forge]\ndependencies:\n  - scipy=1.9.3\n"},
        "mirrors": {"system": "ali/debian-12.list", "pip": "ali/pip.conf"},
        "env": {"MODE": "fast"},
        "labels": {"org.example.team": "a"},
        "ssh": {"password": "***"},
        "callback_url": "http://platform.example/callback"
    })
}

/// Queues a build from a build document and returns at once.
///
/// The document is JSON or YAML. With an `Idempotency-Key`, a document that is sent several times
/// becomes one build and gets the same answer; another document under the same key is rejected with
/// 422.
#[utoipa::path(
    post,
    path = "/api/v1/builds",
    tag = "v1 builds",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters of the caller's choice.")),
    request_body(content(
        (Value = "application/json", example = example),
        (Value = "application/yaml"),
    )),
    responses(
        (status = 202, body = Build, description = "It is queued.", headers(("Location" = String, description = "The build."))),
        Problems,
    )
)]
async fn submit(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    IdempotencyKey(key): IdempotencyKey,
    Document(document): Document,
) -> Result<Response, Error> {
    let Submission { build_id, answer } = off_async_threads(async move {
        let answer = async |build| to_text(&shown(&state, build, language).await?);
        let builds = state.builder.builds();
        builds.submit_document(&document, key, answer).await
    })
    .await??;
    let headers = [
        (header::LOCATION, build_path(build_id)),
        (header::CONTENT_TYPE, "application/json".to_owned()),
    ];
    Ok((StatusCode::ACCEPTED, headers, answer).into_response())
}

fn to_text(build: &Build) -> Result<String, Error> {
    serde_json::to_string(build)
        .map_err(|error| Error::internal(format!("failed to write an answer as JSON: {error}")))
}

async fn found(state: &AppState, id: i64) -> Result<store::Build, Error> {
    let build = state.store().build(id).await?;
    build.ok_or_else(|| Failure::build_not_found(id).into())
}

/// A single build, with all there is to tell of it.
async fn shown(state: &AppState, build: store::Build, language: Language) -> Result<Build, Error> {
    let (id, stands, because) = (build.id, build.state, build.build_reason);
    let shown = Build::new(build, language);
    Ok(match stands {
        BuildState::Queued => shown.queued(state.builder.builds().estimate(id).await?, language),
        BuildState::PushSuccess => shown.made(because, state.store().plan_of(id).await?, language),
        _ => shown,
    })
}

/// Lists builds page by page, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/builds",
    tag = "v1 builds",
    params(BuildQuery),
    responses((status = 200, body = BuildPage), Problems)
)]
async fn list(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Query(wanted): Query<BuildQuery>,
) -> Result<Json<BuildPage>, Error> {
    let (search, piece) = wanted.search()?;
    let builds = state.store().search_builds(&search, piece.asked()).await?;
    let (builds, next_cursor) = piece.cut(builds, |build| build.id);
    let builds = builds
        .into_iter()
        .map(|build| Build::new(build, language))
        .collect();
    Ok(Json(BuildPage {
        builds,
        next_cursor,
    }))
}

/// Returns one build.
#[utoipa::path(
    get,
    path = "/api/v1/builds/{id}",
    tag = "v1 builds",
    params(("id" = i64, Path, description = "The build's number.")),
    responses((status = 200, body = Build), Problems)
)]
async fn get(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Path(id): Path<i64>,
) -> Result<Json<Build>, Error> {
    let build = found(&state, id).await?;
    Ok(Json(shown(&state, build, language).await?))
}

/// Cancels a build.
///
/// A queued build ends at once, a running one as soon as its engine stops. Its state becomes
/// `BUILD_ABORT`, and its callback is sent.
#[utoipa::path(
    post,
    path = "/api/v1/builds/{id}/cancel",
    tag = "v1 builds",
    params(("id" = i64, Path, description = "The build's number.")),
    responses(
        (status = 200, body = CancelResult, description = "It has ended."),
        (status = 202, body = CancelResult, description = "It is being stopped."),
        Problems,
    )
)]
async fn cancel(
    State(state): State<AppState>,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Json<CancelResult>), Error> {
    let ended = state.builder.builds().cancel(id).await?;
    let status = if ended {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    Ok((status, Json(CancelResult { id, ended })))
}

/// From where to begin a build again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Retry {
    /// `start`: from the pull of its base image; `push`: the push of the image it made, while that is
    /// on the engine; `callback`: tell once more how it ended.
    #[schema(value_type = String, example = "push")]
    from: RetryFrom,
}

/// Retries a finished build.
///
/// From its start, from the push of the image it made, or by sending its callback again. It keeps
/// its id.
#[utoipa::path(
    post,
    path = "/api/v1/builds/{id}/retry",
    tag = "v1 builds",
    params(("id" = i64, Path, description = "The build's number.")),
    request_body = Retry,
    responses((status = 202, body = Build, description = "It is queued, or its callback is."), Problems)
)]
async fn retry(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Path(id): Path<i64>,
    JsonBody(Retry { from }): JsonBody<Retry>,
) -> Result<(StatusCode, Json<Build>), Error> {
    let build = state.builder.builds().retry(id, from).await?;
    let shown = shown(&state, build, language).await?;
    Ok((StatusCode::ACCEPTED, Json(shown)))
}

/// Which part of a log is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LogWanted {
    /// One step alone: `pull`, `check`, `prepare`, `build` or `push`.
    step: Option<String>,
}

/// Returns the log of the newest attempt as plain text.
///
/// While the build runs, it holds what was written so far. The log of a failed build ends with the
/// reason and the remedy, in the language of the caller.
#[utoipa::path(
    get,
    path = "/api/v1/builds/{id}/log",
    tag = "v1 builds",
    params(("id" = i64, Path, description = "The build's number."), LogWanted),
    responses(
        (status = 200, body = String, content_type = "text/plain; charset=utf-8", description = "The log."),
        Problems,
    )
)]
async fn log(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Path(id): Path<i64>,
    Query(wanted): Query<LogWanted>,
) -> Result<Response, Error> {
    let steps: Vec<Step> = match wanted.step.as_deref().filter(|step| !step.is_empty()) {
        None => Step::iter().collect(),
        Some(name) => {
            let step = name.parse().map_err(|_| {
                let allowed = Sentence::new(
                    "应为 pull、check、prepare、build 或 push",
                    "must be pull, check, prepare, build or push",
                );
                Failure::invalid_fields(&[FieldError::new("step", name, allowed)])
            })?;
            vec![step]
        }
    };
    let build = found(&state, id).await?;
    let text = stream::iter(steps)
        .flat_map(move |step| streams::step_log(state.store(), &build, step, language).boxed());
    Ok(plain(Body::from_stream(text)))
}

/// Returns the Dockerfile of a build.
///
/// It is that of the newest attempt that wrote one.
#[utoipa::path(
    get,
    path = "/api/v1/builds/{id}/dockerfile",
    tag = "v1 builds",
    params(("id" = i64, Path, description = "The build's number.")),
    responses(
        (status = 200, body = String, content_type = "text/plain; charset=utf-8", description = "The Dockerfile."),
        Problems,
    )
)]
async fn dockerfile(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Response, Error> {
    found(&state, id).await?;
    let text = state.store().dockerfile(id).await?.ok_or_else(|| {
        Failure::new(
            ReasonCode::NotFound,
            format!("任务 {id} 还没有 Dockerfile。"),
            format!("The build {id} has no Dockerfile yet."),
        )
        .with_hint(
            "Dockerfile 在 prepare 步骤结束时写成。",
            "It is written at the end of the step prepare.",
        )
    })?;
    Ok(plain(Body::from(text)))
}

fn plain(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        // A log repeats what commands print; no browser is to take it for a page.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, body).into_response()
}

/// Returns the Dockerfile and the files for a build document.
///
/// Nothing is queued, pulled or written. The profile of the base image must be known: call
/// `images:profile` first.
#[utoipa::path(
    post,
    path = "/api/v1/builds:render",
    tag = "v1 builds",
    request_body(content(
        (Value = "application/json", example = example),
        (Value = "application/yaml"),
    )),
    responses((status = 200, body = RenderedPlan), Problems)
)]
async fn render(
    State(state): State<AppState>,
    Document(document): Document,
) -> Result<Json<RenderedPlan>, Error> {
    let rendered =
        off_async_threads(async move { state.builder.builds().render_document(&document).await })
            .await??;
    Ok(Json(RenderedPlan::new(rendered)))
}

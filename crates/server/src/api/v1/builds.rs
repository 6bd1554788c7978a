//! Builds: asking for one, looking at them, stopping one.

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use fastbuild_builder::{Taken, no_such_task};
use fastbuild_spec::{
    failure::{Failure, ReasonCode, Sentence},
    state::{BuildState, Step},
    wire::{self, FieldError},
};
use fastbuild_store::{Build, BuildSearch};
use futures_util::{StreamExt as _, stream};
use http::{StatusCode, header};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use strum::IntoEnumIterator as _;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    controllers::Controller,
    error::Error,
    extract::{BuildId, Document, IdempotencyKey, Query},
    language::InLanguage,
    problem::Problems,
    state::AppState,
    task_files,
    view::{BuildList, BuildShown, Cancelled, PlanShown, build_path},
};

inventory::submit! {
    Controller {
        name: "v1 builds",
        purpose: "Builds: asking for one, looking at them, following one, stopping one.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(submit, list))
        .routes(routes!(render))
        .routes(routes!(get))
        .routes(routes!(cancel))
        .routes(routes!(log))
        .routes(routes!(dockerfile))
}

/// A build document, for the OpenAPI document.
fn example() -> Value {
    serde_json::json!({
        "base": "172.27.213.154:30003/base/debian:12",
        "target": "172.27.213.154:30003/team/first:1.0",
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

/// Takes a build document, in JSON or YAML, and answers at once; the build runs in the
/// background. Under an `Idempotency-Key` a document is taken once however often it is sent: the
/// same document gets the same answer, another one is refused with 422.
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
        (status = 202, body = BuildShown, description = "It is queued.", headers(("Location" = String, description = "The build."))),
        Problems,
    )
)]
async fn submit(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    IdempotencyKey(key): IdempotencyKey,
    Document(document): Document,
) -> Result<Response, Error> {
    let (task_id, answer) = match state
        .builder
        .submit_document(&document, key.clone())
        .await?
    {
        Taken::Now(submitted) => {
            let task_id = submitted.build.task_id;
            let answer = to_text(&BuildShown::new(submitted.build, language))?;
            if let Some(key) = &key {
                state.store().keep_answer(key, &answer).await?;
            }
            (task_id, answer)
        }
        Taken::Before(kept) => {
            let answer = match kept.answer {
                Some(answer) => answer,
                None => to_text(&BuildShown::new(
                    found(&state, kept.task_id).await?,
                    language,
                ))?,
            };
            (kept.task_id, answer)
        }
    };
    let headers = [
        (header::LOCATION, build_path(task_id)),
        (header::CONTENT_TYPE, "application/json".to_owned()),
    ];
    Ok((StatusCode::ACCEPTED, headers, answer).into_response())
}

fn to_text(build: &BuildShown) -> Result<String, Error> {
    serde_json::to_string(build).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Error::internal()
    })
}

async fn found(state: &AppState, id: i64) -> Result<Build, Error> {
    let build = state.store().build(id).await?;
    build.ok_or_else(|| no_such_task(id).into())
}

/// Which builds to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// States, with commas between them; `queued`, `running`, `succeeded`, `failed` and `ended`
    /// stand for groups of them.
    #[param(example = "running,PUSH_SUCCESS")]
    state: Option<String>,
    /// Part of the target image's name with its tag.
    image: Option<String>,
    /// Asked for at this time or later (RFC 3339).
    #[param(example = "2026-11-23T00:00:00Z")]
    since: Option<String>,
    /// How many at most, 1 to 200; 50 unless said.
    limit: Option<i64>,
    /// The `next_cursor` of the piece before.
    cursor: Option<String>,
}

const USUAL_LIMIT: i64 = 50;
const HIGHEST_LIMIT: i64 = 200;

/// Lists builds, newest first, a piece at a time.
#[utoipa::path(
    get,
    path = "/api/v1/builds",
    tag = "v1 builds",
    params(Wanted),
    responses((status = 200, body = BuildList), Problems)
)]
async fn list(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Query(wanted): Query<Wanted>,
) -> Result<Json<BuildList>, Error> {
    let (search, limit) = wanted.search()?;
    // One more than wanted tells whether there is more.
    let mut builds = state
        .store()
        .search_builds(&search, limit as u64 + 1)
        .await?;
    let more = builds.len() > limit;
    builds.truncate(limit);
    let next_cursor = builds
        .last()
        .filter(|_| more)
        .map(|build| cursor(build.task_id));
    let builds = builds
        .into_iter()
        .map(|build| BuildShown::new(build, language))
        .collect();
    Ok(Json(BuildList {
        builds,
        next_cursor,
    }))
}

impl Wanted {
    /// What to look for and how many of it, or every parameter that is wrong.
    fn search(self) -> Result<(BuildSearch, usize), Error> {
        let mut mistakes = Vec::new();
        let mut refuse = |name: &str, value: &str, zh: &str, en: &str| {
            mistakes.push(FieldError::new(name, value, Sentence::new(zh, en)));
        };
        let mut states = Vec::new();
        let named = self.state.as_deref().unwrap_or_default();
        for name in named
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            match states_of(name) {
                Some(some) => states.extend(some),
                None => refuse(
                    "state",
                    name,
                    "应为任务状态，或 queued、running、succeeded、failed、ended",
                    "must be a state, or queued, running, succeeded, failed or ended",
                ),
            }
        }
        let since = self
            .since
            .filter(|since| !since.is_empty())
            .and_then(|since| {
                // An unencoded + of a query arrives as a blank.
                let time = since.replace(' ', "+").parse::<Timestamp>();
                time.map_err(|_| {
                    refuse(
                        "since",
                        &since,
                        "应为带时区的时间，例如 2026-11-23T00:00:00Z",
                        "must be a time with its zone, such as 2026-11-23T00:00:00Z",
                    );
                })
                .ok()
            });
        let before = self
            .cursor
            .filter(|cursor| !cursor.is_empty())
            .and_then(|cursor| {
                let before = read_cursor(&cursor);
                if before.is_none() {
                    refuse(
                        "cursor",
                        &cursor,
                        "应为上一次回答中的 next_cursor",
                        "must be the next_cursor of an answer",
                    );
                }
                before
            });
        let limit = self.limit.unwrap_or(USUAL_LIMIT);
        if !(1..=HIGHEST_LIMIT).contains(&limit) {
            refuse(
                "limit",
                &limit.to_string(),
                "应为 1 到 200 之间的整数",
                "must be a whole number from 1 to 200",
            );
        }
        if !mistakes.is_empty() {
            return Err(wire::failure(&mistakes).into());
        }
        let search = BuildSearch {
            states,
            image: self.image,
            since,
            before,
        };
        Ok((search, usize::try_from(limit).unwrap_or_default()))
    }
}

/// The states a word stands for.
fn states_of(word: &str) -> Option<Vec<BuildState>> {
    let those = |fits: &dyn Fn(BuildState) -> bool| {
        BuildState::iter().filter(|state| fits(*state)).collect()
    };
    match word.to_ascii_lowercase().as_str() {
        "queued" => Some(vec![BuildState::Queued]),
        "running" => Some(those(&|state| {
            !state.is_terminal() && state != BuildState::Queued
        })),
        "succeeded" => Some(vec![BuildState::PushSuccess]),
        "failed" => Some(those(&|state| {
            state.is_terminal() && state != BuildState::PushSuccess
        })),
        "ended" => Some(those(&BuildState::is_terminal)),
        _ => word
            .to_ascii_uppercase()
            .parse()
            .ok()
            .map(|state| vec![state]),
    }
}

/// Where a piece of the list ended. What it looks like is nobody's business.
fn cursor(task_id: i64) -> String {
    format!("b{:x}", task_id ^ CURSOR_MASK)
}

/// Keeps callers from reading a build's number in a cursor, and from writing cursors of their own.
const CURSOR_MASK: i64 = 0x2b5d_13c7_79e4_0f6d;

fn read_cursor(text: &str) -> Option<i64> {
    let number = i64::from_str_radix(text.strip_prefix('b')?, 16).ok()? ^ CURSOR_MASK;
    Some(number).filter(|number| *number > 0)
}

/// One build.
#[utoipa::path(
    get,
    path = "/api/v1/builds/{id}",
    tag = "v1 builds",
    params(("id" = i64, Path, description = "The build's number.")),
    responses((status = 200, body = BuildShown), Problems)
)]
async fn get(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    BuildId(id): BuildId,
) -> Result<Json<BuildShown>, Error> {
    Ok(Json(BuildShown::new(found(&state, id).await?, language)))
}

/// Stops a build: a queued one ends at once, a running one as soon as its engine lets go. Its
/// state becomes `BUILD_ABORT`, and its callback is made.
#[utoipa::path(
    post,
    path = "/api/v1/builds/{id}/cancel",
    tag = "v1 builds",
    params(("id" = i64, Path, description = "The build's number.")),
    responses(
        (status = 200, body = Cancelled, description = "It has ended."),
        (status = 202, body = Cancelled, description = "It is being stopped."),
        Problems,
    )
)]
async fn cancel(
    State(state): State<AppState>,
    BuildId(id): BuildId,
) -> Result<(StatusCode, Json<Cancelled>), Error> {
    let ended = state.builder.cancel(id).await?;
    let status = if ended {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    Ok((status, Json(Cancelled { id, ended })))
}

/// Which part of a log is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LogWanted {
    /// One step alone: `pull`, `check`, `prepare`, `build` or `push`.
    step: Option<String>,
}

/// The log of a build's newest attempt as plain text, as far as it is written.
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
    BuildId(id): BuildId,
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
                wire::failure(&[FieldError::new("step", name, allowed)])
            })?;
            vec![step]
        }
    };
    found(&state, id).await?;
    let store = state.store().clone();
    let text =
        stream::iter(steps).flat_map(move |step| task_files::log(store.clone(), id, step).boxed());
    Ok(plain(Body::from_stream(text)))
}

/// The Dockerfile of a build's newest attempt that got so far.
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
async fn dockerfile(
    State(state): State<AppState>,
    BuildId(id): BuildId,
) -> Result<Response, Error> {
    found(&state, id).await?;
    let text = state.store().dockerfile(id).await?.ok_or_else(|| {
        Failure::new(
            ReasonCode::NotFound,
            format!("任务 {id} 还没有 Dockerfile。"),
            format!("The build {id} has no Dockerfile yet."),
        )
        .hinting(
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

/// The Dockerfile and the files that a build document would be built by. Nothing is queued,
/// pulled or written; it must be known what the base image contains.
#[utoipa::path(
    post,
    path = "/api/v1/builds:render",
    tag = "v1 builds",
    request_body(content(
        (Value = "application/json", example = example),
        (Value = "application/yaml"),
    )),
    responses((status = 200, body = PlanShown), Problems)
)]
async fn render(
    State(state): State<AppState>,
    Document(document): Document,
) -> Result<Json<PlanShown>, Error> {
    Ok(Json(PlanShown::new(
        state.builder.render_document(&document).await?,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is() {
        for id in [1, 1_795_426_218_678, i64::MAX] {
            assert_eq!(read_cursor(&cursor(id)), Some(id));
        }
        for text in ["", "b", "1795426218678", "bzz", "b2b5d13c779e40f6d"] {
            assert_eq!(read_cursor(text), None, "{text}");
        }
    }

    #[test]
    fn words_stand_for_states() {
        assert_eq!(
            states_of("push_success"),
            Some(vec![BuildState::PushSuccess])
        );
        assert_eq!(states_of("ended").map(|states| states.len()), Some(8));
        assert_eq!(states_of("running").map(|states| states.len()), Some(7));
        assert_eq!(states_of("x"), None);
    }
}

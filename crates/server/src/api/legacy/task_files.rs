//! Step logs and Dockerfiles as plain text under `/task/<work_dir_name>/`. They are read from the store, so
//! they can be read while the build runs.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use fastbuild_builder::files::{DOCKERFILE, log_file};
use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    state::Step,
};
use fastbuild_store::{Build, Store, StoreError};
use http::{StatusCode, header};
use strum::IntoEnumIterator as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::envelope::ErrorBody;
use crate::{
    api::{Controller, Surface},
    error::Error,
    extract::Path,
    http::localize::InLanguage,
    state::AppState,
    streams,
};

inventory::submit! {
    Controller {
        surface: Surface::Legacy,
        name: "task_files",
        purpose: "The step logs and the Dockerfile of builds, as plain text.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(file))
}

/// Returns a step log or the Dockerfile of a build as plain text.
///
/// Files are `pull.log`, `check.log`, `prepare.log`, `build.log`, `push.log` and `Dockerfile`.
/// While the build runs, they hold what was written so far. The log of the step in which a build
/// failed ends with the reason and the remedy, in the language of the caller.
#[utoipa::path(
    get,
    path = "/task/{work_dir_name}/{file}",
    tag = "task_files",
    params(
        ("work_dir_name" = String, Path, description = "The build's folder.", example = "2026-11-23-09-30-18-677914"),
        ("file" = String, Path, description = "A step's log or `Dockerfile`.", example = "build.log"),
    ),
    responses(
        (status = 200, description = "The file, as far as it is written.", body = String, content_type = "text/plain; charset=utf-8"),
        (status = 404, description = "There is no such file, or not yet.", body = ErrorBody),
    )
)]
async fn file(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Path((work_dir_name, file)): Path<(String, String)>,
) -> Result<Response, Error> {
    let missing = || not_found(&work_dir_name, &file);
    let build = state
        .store()
        .build_by_work_dir(&work_dir_name)
        .await?
        .ok_or_else(missing)?;
    let body = if file == DOCKERFILE {
        Body::from(
            state
                .store()
                .dockerfile(build.id)
                .await?
                .ok_or_else(missing)?,
        )
    } else {
        let step = Step::iter().find(|step| log_file(*step) == file);
        let step = begun(state.store(), &build, step)
            .await?
            .ok_or_else(missing)?;
        Body::from_stream(streams::step_log(state.store(), &build, step, language))
    };
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        // The next reader may find more in it.
        (header::CACHE_CONTROL, "no-cache"),
        // A log repeats what commands print; no browser is to take it for a page.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, body).into_response())
}

/// The step, if the build has begun it.
async fn begun(
    store: &Store,
    build: &Build,
    step: Option<Step>,
) -> Result<Option<Step>, StoreError> {
    let Some(step) = step else {
        return Ok(None);
    };
    let steps = store.steps(build.id).await?;
    Ok(steps.iter().any(|row| row.action == step).then_some(step))
}

fn not_found(work_dir_name: &str, file: &str) -> Error {
    let failure = Failure::new(
        ReasonCode::NotFound,
        format!("没有文件 /task/{work_dir_name}/{file}，或该步骤尚未开始。"),
        format!("There is no file /task/{work_dir_name}/{file}, or its step has not begun yet."),
    )
    .with_hint(
        "请使用 progress/details 返回的 log_url 和 dockerfile_url。",
        "Use the log_url and dockerfile_url that progress/details returns.",
    );
    Error::from(failure).with_status(StatusCode::NOT_FOUND)
}

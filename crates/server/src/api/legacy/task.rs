//! Builds of the old protocol ("tasks"): submit, list, cancel and delete them, pull and check base images.

use axum::extract::State;
use fastbuild_spec::{
    failure::{Failure, Language, ReasonCode},
    profile::Descriptor,
    state::BuildState,
};
use fastbuild_store::{Build, BuildFilter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::IntoEnumIterator as _;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    envelope::{Envelope, Failures, Reply},
    parameters::{ImageName, NEWEST, TaskId, is_cut, page},
    view::{Accepted, ImageDescriptor, PageInfo, Task, TaskList, states_shown_as},
};
use crate::{
    api::{Controller, Surface},
    error::Error,
    extract::{Json, Query, off_async_threads},
    http::localize::InLanguage,
    state::AppState,
};

inventory::submit! {
    Controller {
        surface: Surface::Legacy,
        name: "task",
        purpose: "Builds, and pulling and checking base images.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(build_image))
        .routes(routes!(pull_image))
        .routes(routes!(check_image))
        .routes(routes!(list_task))
        .routes(routes!(all_tasks))
        .routes(routes!(running_tasks))
        .routes(routes!(queued_tasks))
        .routes(routes!(task_details_by_task_id))
        .routes(routes!(cancel_task_by_task_id))
        .routes(routes!(task_detail_by_image_name))
        .routes(routes!(delete_image_by_task_id))
        .routes(routes!(delete_task_by_task_id))
}

/// Queues a build and returns at once.
///
/// The task part is `image_data`, or `task_data` with the two secrets beside it. `data` holds
/// everything that was sent, the secrets as they were sent; no other endpoint returns them.
#[utoipa::path(
    post,
    path = "/api/fast-build/task/build-image",
    tag = "task",
    request_body(content = Value, content_type = "application/json", example = json!({
        "image_data": {
            "task_name": "",
            "callback_url": "",
            "target_image_name": "registry.example:5000/base/tools:v1",
            "image_desc": "curl and requests",
            "webSSHSecret": "",
            "jupyterLabSecret": ""
        },
        "dockerfile_json": {
            "base_image": "registry.example:5000/base/debian:12",
            "maintainer": "admin",
            "image_installer_config": {
                "package_manager_installer_config": {
                    "installer_name": "apt",
                    "software_list": [{"name": "curl", "version": ""}]
                },
                "pip_installer_config": {
                    "installer_name": "pip",
                    "software_list": [{"name": "requests", "version": ""}]
                }
            }
        }
    })),
    responses((status = 200, body = Envelope<Accepted>), Failures)
)]
async fn build_image(
    State(state): State<AppState>,
    Json(body): Json<Value>,
) -> Result<Reply<Accepted>, Error> {
    let builder = state.builder.clone();
    let (submitted, body) = off_async_threads(async move {
        let submitted = builder.builds().submit(&body).await?;
        Ok::<_, Failure>((submitted, body))
    })
    .await??;
    let accepted = Accepted::new(submitted, body, &state.builder.options().folders.task_dir);
    let target = &accepted.target_image_name;
    Ok(Reply::with_message(
        format!("为{target}镜像构建任务开启进程，请等待"),
        format!("The build of {target} has been queued; please wait."),
        accepted,
    ))
}

/// An image that is on the engine.
#[derive(Debug, Serialize, ToSchema)]
struct PulledImageRow {
    /// The engine's id of it.
    #[schema(example = "sha256:e682b1caa2a13f2eaa3dbdec92e96159dc1ab3fba6a2262382cfc1de2657f26d")]
    image_id: String,
    /// Its name, with its tag.
    target_image_name: String,
}

/// Pulls an image.
///
/// Where the engine or the registry cannot be reached, `code` is -1 and `msg` says why.
#[utoipa::path(
    post,
    path = "/api/fast-build/task/pull-image",
    tag = "task",
    params(ImageName),
    responses((status = 200, body = Envelope<PulledImageRow>), Failures)
)]
async fn pull_image(
    State(state): State<AppState>,
    Query(ImageName { image_name }): Query<ImageName>,
) -> Result<Reply<PulledImageRow>, Error> {
    let pulled = state
        .builder
        .images()
        .pull(&image_name)
        .await
        .map_err(Error::refusal)?;
    let (zh, en) = if pulled.was_present {
        (
            "镜像已经存在在系统中",
            "The image is in the system already.",
        )
    } else {
        ("镜像拉取成功", "The image has been pulled.")
    };
    let data = PulledImageRow {
        image_id: pulled.image_id,
        target_image_name: pulled.image.to_string(),
    };
    Ok(Reply::with_message(zh, en, data))
}

/// Pulls an image and returns what it contains.
///
/// The profile lists the kernel, distribution, package manager, Python and pip commands, conda, SSH
/// server and JupyterLab, and is stored per image. Where the engine or the registry cannot be
/// reached, `code` is -1 and `msg` says why.
#[utoipa::path(
    post,
    path = "/api/fast-build/task/check-image",
    tag = "task",
    params(ImageName),
    responses((status = 200, body = Envelope<ImageDescriptor>), Failures)
)]
async fn check_image(
    State(state): State<AppState>,
    Query(ImageName { image_name }): Query<ImageName>,
) -> Result<Reply<Descriptor>, Error> {
    let checked = state
        .builder
        .images()
        .check(&image_name)
        .await
        .map_err(Error::refusal)?;
    let (zh, en) = if checked.was_known {
        (
            "镜像检测成功",
            "The image was checked before; this is what was found.",
        )
    } else {
        ("镜像检测结果成功", "The image has been checked.")
    };
    let descriptor = Descriptor::new(&checked.image.to_string(), &checked.profile);
    Ok(Reply::with_message(zh, en, descriptor))
}

/// Which builds to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListTask {
    /// From 1; less counts as 1.
    #[param(example = 1)]
    page: i64,
    /// Rows per page, 1,000 at most; negative for the newest 1,000.
    #[param(example = 10)]
    page_size: i64,
    /// Part of the target image's name.
    image_name: Option<String>,
    /// Part of the shown state's name.
    #[param(example = "PUSH_SUCCESS")]
    task_status: Option<String>,
}

/// Lists builds page by page, newest first.
///
/// `state` and the filter `task_status` use the states that old callers know; `detail_state` is the
/// exact state.
#[utoipa::path(
    get,
    path = "/api/fast-build/task/list-task",
    tag = "task",
    params(ListTask),
    responses((status = 200, body = Envelope<TaskList>), Failures)
)]
async fn list_task(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Query(wanted): Query<ListTask>,
) -> Result<Reply<TaskList>, Error> {
    let page = page(wanted.page, wanted.page_size);
    let status = wanted.task_status.filter(|part| !part.is_empty());
    let filter = BuildFilter {
        image_name: wanted.image_name,
        states: status.as_deref().map(states_shown_as),
    };
    let (builds, total) = state.store().builds(page, &filter).await?;
    let list = TaskList {
        page: PageInfo::new(wanted.page, wanted.page_size, total),
        task_list: tasks(&state, builds, language),
    };
    Ok(Reply::newest(is_cut(wanted.page_size, total), list))
}

/// Returns one build.
#[utoipa::path(
    get,
    path = "/api/fast-build/task/task-details_by_task_id",
    tag = "task",
    params(TaskId),
    responses((status = 200, body = Envelope<Task>), Failures)
)]
async fn task_details_by_task_id(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Query(TaskId { task_id }): Query<TaskId>,
) -> Result<Reply<Task>, Error> {
    let build = state
        .store()
        .build(task_id)
        .await?
        .ok_or_else(|| Failure::build_not_found(task_id))?;
    let task_dir = &state.builder.options().folders.task_dir;
    Ok(Reply::success(Task::new(build, task_dir, language)))
}

/// Cancels a build.
///
/// A queued build ends at once, a running one as soon as its engine stops. Its state becomes
/// `BUILD_ABORT`, and its callback is sent. `data` says whether it has ended already.
#[utoipa::path(
    post,
    path = "/api/fast-build/task/cancel-task-by-task-id",
    tag = "task",
    params(TaskId),
    responses((status = 200, body = Envelope<bool>), Failures)
)]
async fn cancel_task_by_task_id(
    State(state): State<AppState>,
    Query(TaskId { task_id }): Query<TaskId>,
) -> Result<Reply<bool>, Error> {
    let ended = state.builder.builds().cancel(task_id).await?;
    let (zh, en) = if ended {
        ("任务已取消", "The build has been cancelled.")
    } else {
        ("任务正在取消，请稍候", "The build is being stopped.")
    };
    Ok(Reply::with_message(zh, en, ended))
}

/// Lists all builds, newest first.
///
/// The newest 1,000 are listed; `msg` says so where there are more. `code` is -1 where there is
/// none.
#[utoipa::path(
    get,
    path = "/api/fast-build/task/all-tasks",
    tag = "task",
    responses((status = 200, body = Envelope<Vec<Task>>), Failures)
)]
async fn all_tasks(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
) -> Result<Reply<Vec<Task>>, Error> {
    some_tasks(&state, BuildFilter::default(), language).await
}

/// Lists the running builds, newest first.
///
/// The newest 1,000 are listed; `msg` says so where there are more. `code` is -1 where there is
/// none.
#[utoipa::path(
    get,
    path = "/api/fast-build/task/running-tasks",
    tag = "task",
    responses((status = 200, body = Envelope<Vec<Task>>), Failures)
)]
async fn running_tasks(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
) -> Result<Reply<Vec<Task>>, Error> {
    let running =
        BuildState::iter().filter(|state| !state.is_terminal() && *state != BuildState::Queued);
    let filter = BuildFilter {
        states: Some(running.collect()),
        ..BuildFilter::default()
    };
    some_tasks(&state, filter, language).await
}

/// Lists the queued builds, newest first.
///
/// The newest 1,000 are listed; `msg` says so where there are more. `code` is -1 where there is
/// none.
#[utoipa::path(
    get,
    path = "/api/fast-build/task/queued-tasks",
    tag = "task",
    responses((status = 200, body = Envelope<Vec<Task>>), Failures)
)]
async fn queued_tasks(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
) -> Result<Reply<Vec<Task>>, Error> {
    let filter = BuildFilter {
        states: Some(vec![BuildState::Queued]),
        ..BuildFilter::default()
    };
    some_tasks(&state, filter, language).await
}

/// Lists the builds whose target image contains a text, newest first.
///
/// The newest 1,000 are listed; `msg` says so where there are more.
#[utoipa::path(
    get,
    path = "/api/fast-build/task/task-detail-by-image-name",
    tag = "task",
    params(ImageName),
    responses((status = 200, body = Envelope<Vec<Task>>), Failures)
)]
async fn task_detail_by_image_name(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Query(ImageName { image_name }): Query<ImageName>,
) -> Result<Reply<Vec<Task>>, Error> {
    let filter = BuildFilter {
        image_name: Some(image_name),
        ..BuildFilter::default()
    };
    newest_tasks(&state, &filter, language).await
}

/// Removes the image of a build from the engine.
///
/// The image stays on the list, and the registry keeps it.
#[utoipa::path(
    delete,
    path = "/api/fast-build/task/delete-image-by-task-id",
    tag = "task",
    params(TaskId),
    responses((status = 200, body = Envelope<bool>), Failures)
)]
async fn delete_image_by_task_id(
    State(state): State<AppState>,
    Query(TaskId { task_id }): Query<TaskId>,
) -> Result<Reply<bool>, Error> {
    state.builder.builds().delete_image(task_id).await?;
    Ok(Reply::success(true))
}

/// Deletes a finished build with its logs and its folder.
///
/// Its image stays.
#[utoipa::path(
    delete,
    path = "/api/fast-build/task/delete-task-by-task-id",
    tag = "task",
    params(TaskId),
    responses((status = 200, body = Envelope<String>), Failures)
)]
async fn delete_task_by_task_id(
    State(state): State<AppState>,
    Query(TaskId { task_id }): Query<TaskId>,
) -> Result<Reply<&'static str>, Error> {
    state.builder.builds().delete(task_id).await?;
    Ok(Reply::success("Folder deleted successfully"))
}

fn tasks(state: &AppState, builds: Vec<Build>, language: Language) -> Vec<Task> {
    let task_dir = &state.builder.options().folders.task_dir;
    builds
        .into_iter()
        .map(|build| Task::new(build, task_dir, language))
        .collect()
}

/// The newest builds that fit, as many as an answer holds.
async fn newest_tasks(
    state: &AppState,
    filter: &BuildFilter,
    language: Language,
) -> Result<Reply<Vec<Task>>, Error> {
    let (builds, total) = state.store().builds(NEWEST, filter).await?;
    let is_cut = total > builds.len() as u64;
    Ok(Reply::newest(is_cut, tasks(state, builds, language)))
}

/// The same, or the refusal by which old callers know that there is none.
async fn some_tasks(
    state: &AppState,
    filter: BuildFilter,
    language: Language,
) -> Result<Reply<Vec<Task>>, Error> {
    let reply = newest_tasks(state, &filter, language).await?;
    if reply.data().is_empty() {
        let failure = Failure::new(
            ReasonCode::NotFound,
            "查询结果为空",
            "There is nothing to list.",
        );
        return Err(failure.with_hint("", "").into());
    }
    Ok(reply)
}

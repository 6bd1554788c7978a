//! Build requests, and looking at builds.

use axum::extract::State;
use fastbuild_spec::{
    failure::{Failure, Language, ReasonCode},
    profile::Descriptor,
    state::BuildState,
};
use fastbuild_store::{Build, BuildFilter, Page};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    envelope::{Envelope, Failures, Reply},
    parameters::{ImageName, TaskId},
    view::{Accepted, PageInfo, Task, TaskList},
};
use crate::{
    api::{Controller, Surface},
    error::Error,
    extract::{Json, Query},
    http::localize::InLanguage,
    state::AppState,
};

inventory::submit! {
    Controller {
        surface: Surface::Legacy,
        name: "task",
        purpose: "Build requests, and looking at builds and base images.",
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

/// Takes a build request and answers at once; the build runs in the background. The task part is
/// `image_data`, or `task_data` with the two secrets beside it.
#[utoipa::path(
    post,
    path = "/api/fast-build/task/build-image",
    tag = "task",
    request_body(content = Value, content_type = "application/json", example = json!({
        "image_data": {
            "task_name": "",
            "callback_url": "",
            "target_image_name": "172.27.213.154:30003/base/tools:v1",
            "image_desc": "curl and requests",
            "webSSHSecret": "",
            "jupyterLabSecret": ""
        },
        "dockerfile_json": {
            "base_image": "172.27.213.154:30003/base/debian:12",
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
    let submitted = state.builder.builds().submit(&body).await?;
    let accepted = Accepted::new(submitted, &state.builder.options().folders.task_dir);
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

/// Brings an image to the engine.
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
    let pulled = state.builder.images().pull(&image_name).await?;
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

/// Brings an image to the engine and says what it contains: kernel, distribution, package
/// manager, Pythons, pips, conda, SSH server and JupyterLab. What was found is kept per image.
#[utoipa::path(
    post,
    path = "/api/fast-build/task/check-image",
    tag = "task",
    params(ImageName),
    responses((status = 200, body = Envelope<Value>, example = json!({
        "code": 0,
        "msg": "镜像检测结果成功",
        "data": {
            "image_name": "172.27.213.154:30003/base/ubuntu:v3",
            "image_id": "sha256:e682b1caa2a13f2eaa3dbdec92e96159dc1ab3fba6a2262382cfc1de2657f26d",
            "kernel": {"name": "Linux", "available": true, "version": "Linux 5.15.0-generic"},
            "os": {"name": "Ubuntu", "available": true, "version": "18.04.6 LTS (Bionic Beaver)"},
            "package_manager": {"name": "apt", "available": true, "version": "apt 1.6.14 (amd64)", "source": ["aliyun"]},
            "python": {"name": "python", "available": true, "version": ["python3(Python 3.6.9)"]},
            "pip": {"name": "pip", "available": false, "version": [], "source": []},
            "conda": {"name": "conda", "available": false, "version": "", "environments": [], "source": []},
            "sshd": {"name": "sshd", "available": false, "version": ""},
            "jupyter_lab": {"name": "jupyterlab", "available": false, "version": ""}
        }
    })), Failures)
)]
async fn check_image(
    State(state): State<AppState>,
    Query(ImageName { image_name }): Query<ImageName>,
) -> Result<Reply<Descriptor>, Error> {
    let checked = state.builder.images().check(&image_name).await?;
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
    /// Rows per page; negative is all of them.
    #[param(example = 10)]
    page_size: i64,
    /// Part of the target image's name.
    image_name: Option<String>,
    /// Part of the state's name.
    #[param(example = "PUSH_SUCCESS")]
    task_status: Option<String>,
}

/// Lists builds, newest first.
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
    let page = Page {
        number: wanted.page,
        size: wanted.page_size,
    };
    let filter = BuildFilter {
        image_name: wanted.image_name,
        state: wanted.task_status,
    };
    let (builds, total) = state.store().builds(page, &filter).await?;
    let task_list = tasks(&state, builds, language);
    Ok(Reply::success(TaskList {
        page: PageInfo::new(page, total),
        task_list,
    }))
}

/// One build.
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

/// Stops a build: a queued one ends at once, a running one as soon as its engine lets go. Its
/// state becomes `BUILD_ABORT`, and its callback is made.
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

/// All builds, newest first; refused when there is none.
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
    let (builds, _total) = state
        .store()
        .builds(Page::ALL, &BuildFilter::default())
        .await?;
    some_tasks(&state, builds, language)
}

/// The builds that have begun and not ended, newest first; refused when there is none.
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
    let builds = state.store().running_builds().await?;
    some_tasks(&state, builds, language)
}

/// The builds that wait for a worker, newest first; refused when there is none.
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
    let builds = state.store().builds_in(&[BuildState::Queued]).await?;
    some_tasks(&state, builds, language)
}

/// The builds whose target image's name, with its tag, holds this part; newest first.
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
    let builds = state.store().builds_by_target(&image_name).await?;
    Ok(Reply::success(tasks(&state, builds, language)))
}

/// Removes the image that a build made from the engine. The image stays listed, and the registry
/// keeps it.
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

/// Forgets a build that has ended: its record, its logs and its folder. Its image stays.
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

/// The tasks, or the refusal by which old callers know that there is none.
fn some_tasks(
    state: &AppState,
    builds: Vec<Build>,
    language: Language,
) -> Result<Reply<Vec<Task>>, Error> {
    if builds.is_empty() {
        let failure = Failure::new(
            ReasonCode::NotFound,
            "查询结果为空",
            "There is nothing to list.",
        );
        return Err(failure.with_hint("", "").into());
    }
    Ok(Reply::success(tasks(state, builds, language)))
}

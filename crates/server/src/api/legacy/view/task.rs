//! A build as the old protocol's task.

use std::path::Path;

use fastbuild_builder::{
    clock::local_time,
    files::{DOCKERFILE, REQUEST_FILE, log_file},
};
use fastbuild_spec::{failure::Language, state::Step};
use fastbuild_store::Build;
use serde::Serialize;
use utoipa::ToSchema;

use super::{super::parameters::NEWEST, Address, state::shown_state};

/// A build.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the protocol's")]
pub(crate) struct Task {
    /// The row's number.
    primary_id: i64,
    /// The build's number: milliseconds since the epoch when it was asked for, made unique.
    #[schema(example = 1_795_426_218_678_i64)]
    task_id: i64,
    /// The name the caller gave it, perhaps empty.
    name: String,
    /// Local time, ISO 8601 with microseconds and without a zone.
    #[schema(example = "2026-11-23T09:30:18.683455")]
    create_time: String,
    /// When the row last changed.
    update_time: String,
    /// Where the request lies on the server's disk.
    request: String,
    /// `QUEUED`, `STARTED`, `BUILD_SUCCESS` (the image is being pushed), `BUILD_FAILED`, `PUSH_SUCCESS`,
    /// `PUSH_FAILED` or `BUILD_ABORT`.
    #[schema(example = "PUSH_SUCCESS")]
    state: String,
    /// The exact state: `STARTED`, `PULL_SUCCESS`, `BUILDING`, `PULL_FAILED`, ...
    #[schema(example = "PUSH_SUCCESS")]
    detail_state: String,
    /// The base image, with its tag.
    base_image_name: String,
    /// The target image, with its tag.
    image_name: String,
    /// The target image once more, as callers read either.
    target_image_name: String,
    /// The description of the image.
    description: String,
    /// The build's folder on the server's disk.
    task_work_dir: String,
    /// Path of its Dockerfile there.
    dockerfile_path: String,
    /// Path of its build log there.
    image_build_log_path: String,
    /// The folder's name, the part of `/task/<work_dir_name>/`.
    work_dir_name: String,
    /// URL of the callback; empty for none.
    callback_url: String,
    /// Always null; the tries are under `config/query-callback-all`.
    callback_times: Option<i64>,
    /// The worker that runs it; null until it starts.
    pid: Option<String>,
    /// The digest the registry knows the image by; only once it is pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// Why it failed, as a stable code; only on failed builds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "PackageNotFound")]
    reason: Option<String>,
    /// What happened and what to do, for a person; only on failed builds.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Task {
    /// A build's row, with the sentence of its failure in this language.
    pub(crate) fn new(build: Build, task_dir: &Path, language: Language) -> Self {
        let address = Address::new(task_dir, None, &build.work_dir_name);
        let failure = build.failure.as_ref();
        Self {
            primary_id: build.row_id,
            task_id: build.id,
            create_time: local_time(build.created_at),
            update_time: local_time(build.updated_at),
            request: address.path(REQUEST_FILE),
            state: shown_state(build.state).to_string(),
            detail_state: build.state.to_string(),
            image_name: build.target_image.clone(),
            task_work_dir: address.folder(),
            dockerfile_path: address.path(DOCKERFILE),
            image_build_log_path: address.path(&log_file(Step::Build)),
            callback_times: None,
            digest: build.digest,
            reason: failure.map(|failure| failure.code.to_string()),
            message: failure.map(|failure| failure.sentence(language)),
            name: build.name,
            base_image_name: build.base_image,
            target_image_name: build.target_image,
            description: build.description,
            work_dir_name: build.work_dir_name,
            callback_url: build.callback_url,
            pid: build.worker,
        }
    }
}

/// A page of builds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskList {
    /// Which part of the list it is.
    pub(crate) page: PageInfo,
    /// The builds, newest first.
    pub(crate) task_list: Vec<Task>,
}

/// Which part of a list an answer is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PageInfo {
    /// Its number, from 1.
    #[schema(example = 1)]
    current: i64,
    /// Rows on all pages.
    total: u64,
    /// Rows per page, 1,000 at most; negative for the newest 1,000.
    #[schema(example = 10)]
    page_size: i64,
}

impl PageInfo {
    /// The page that was asked for, of a list with `total` rows.
    pub(crate) fn new(number: i64, size: i64, total: u64) -> Self {
        Self {
            current: number.max(1),
            total,
            page_size: size.min(NEWEST.size),
        }
    }
}

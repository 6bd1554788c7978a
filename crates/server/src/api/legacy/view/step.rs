//! The steps of a build as the old protocol's progress records.

use fastbuild_builder::{
    clock::local_time,
    files::{DOCKERFILE, log_file},
};
use fastbuild_spec::state::Step;
use fastbuild_store::{Build, StepRow};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Address;

/// How a build goes; an empty object for a number no build has.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ProgressDetails {
    /// The build is known.
    Known(Progress),
    /// No build has this number.
    Unknown {},
}

/// How a build goes.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the protocol's")]
pub(crate) struct Progress {
    /// The build.
    pub(crate) task_id: i64,
    /// The name the caller gave it, perhaps empty.
    pub(crate) task_name: String,
    /// The steps that have begun, in order.
    pub(crate) progress: Vec<StepRecord>,
}

/// How one step of a build goes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StepRecord {
    /// The row's number.
    primary_id: i64,
    /// The build.
    task_id: i64,
    /// The name the caller gave it, perhaps empty.
    task_name: String,
    /// Local time, ISO 8601 with microseconds and without a zone.
    create_time: String,
    /// When the row last changed.
    update_time: String,
    /// `pull`, `check`, `prepare`, `build` or `push`.
    #[schema(example = "build")]
    action: String,
    /// `running`, `success` or `fail`.
    #[schema(example = "success")]
    status: String,
    /// The target image, with its tag.
    target_image_name: String,
    /// The base image, with its tag.
    base_image_name: String,
    /// When the step began.
    start_time: String,
    /// When it ended; null while it runs.
    end_time: Option<String>,
    /// Milliseconds it took, or has taken so far.
    duration: i64,
    /// Path of its log on the server's disk.
    log_path: String,
    /// Where its log is read; it grows while the step runs.
    log_url: String,
    /// Path of the Dockerfile; only on prepare and build.
    #[serde(skip_serializing_if = "Option::is_none")]
    dockerfile_path: Option<String>,
    /// Where the Dockerfile is read; only on prepare and build.
    #[serde(skip_serializing_if = "Option::is_none")]
    dockerfile_url: Option<String>,
}

impl StepRecord {
    /// A step of a build whose files are at `address`, as it stands at `now`.
    pub(crate) fn new(step: &StepRow, build: &Build, address: &Address, now: Timestamp) -> Self {
        let log = log_file(step.action);
        let has_dockerfile = matches!(step.action, Step::Prepare | Step::Build);
        let so_far = || now.duration_since(step.started_at).as_millis().max(0);
        let duration = step.duration_ms.map_or_else(so_far, i128::from);
        Self {
            primary_id: step.id,
            task_id: step.build_id,
            task_name: build.name.clone(),
            create_time: local_time(step.created_at),
            update_time: local_time(step.updated_at),
            action: step.action.to_string(),
            status: step.status.to_string(),
            target_image_name: build.target_image.clone(),
            base_image_name: build.base_image.clone(),
            start_time: local_time(step.started_at),
            end_time: step.ended_at.map(local_time),
            duration: i64::try_from(duration).unwrap_or(i64::MAX),
            log_path: address.path(&log),
            log_url: address.url(&log),
            dockerfile_path: has_dockerfile.then(|| address.path(DOCKERFILE)),
            dockerfile_url: has_dockerfile.then(|| address.url(DOCKERFILE)),
        }
    }
}

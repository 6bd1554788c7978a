//! Builds: rows from the moment they are asked for until somebody deletes them.

pub(crate) mod claim;
pub(crate) mod counts;
pub(crate) mod enqueue;
pub(crate) mod events;
pub(crate) mod fence;
pub(crate) mod finish;
pub(crate) mod idempotency;
pub(crate) mod lanes;
pub(crate) mod log_archive;
pub(crate) mod plans;
pub(crate) mod position;
pub(crate) mod progress;
pub(crate) mod read;
pub(crate) mod retention;
pub(crate) mod retry;
pub(crate) mod search;
pub(crate) mod steps;

use std::str::FromStr as _;

use fastbuild_spec::{
    build_reason::BuildReason,
    failure::Failure,
    limits::BuildLimits,
    requeue::RequeueReason,
    state::{BuildState, RetryFrom},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    StoreError,
    db::time::{maybe_timestamp, timestamp},
    entity::build,
};

/// A build's number: milliseconds since the epoch when it was asked for, made unique.
pub type BuildId = i64;

/// How often a build is begun before it is given up as lost. Attempts that were handed back in
/// an orderly shutdown do not count.
pub const MAX_ATTEMPTS: i64 = 3;

/// A worker's hold on a build: what every write during the build speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptId {
    /// The build.
    pub build_id: BuildId,
    /// The number of this attempt, from 1. Never given twice for one build.
    pub number: i64,
}

/// The settings rows a build ran with, by their `id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SettingsRevisions {
    /// The host row.
    pub host: Option<i64>,
    /// The registry row.
    pub registry: Option<i64>,
    /// The Docker server row.
    pub docker_server: Option<i64>,
    /// The callback headers row.
    pub headers: Option<i64>,
    /// The revision of the named engine; `None` on the one the Docker server row names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<i64>,
}

/// One build as its row says it. The request's JSON is read with [`crate::Store::request`], the
/// Dockerfile with [`crate::Store::dockerfile`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The number of its row; the old protocol shows it.
    pub row_id: i64,
    /// The build's number, the one callers know.
    pub id: BuildId,
    /// The name the caller gave it, perhaps empty.
    pub name: String,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
    /// Where it stands.
    pub state: BuildState,
    /// The base image, with its tag.
    pub base_image: String,
    /// The target image, with its tag.
    pub target_image: String,
    /// What the image is for.
    pub description: String,
    /// The folder of its files and logs under the old protocol's `/task/`.
    pub work_dir_name: String,
    /// Where to tell how it ended; empty for nowhere.
    pub callback_url: String,
    /// How many workers have begun it.
    pub attempt: i64,
    /// Who has it or had it last; `None` until it is begun.
    pub worker: Option<String>,
    /// Whether somebody asked to stop it.
    pub cancel_requested: bool,
    /// The number of its newest event.
    pub last_event: i64,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// When its newest attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The engine's id of the image it made, `sha256:...`.
    pub image_id: Option<String>,
    /// Bytes that image takes on the engine.
    pub image_size: Option<u64>,
    /// The digest the registry knows it by, `sha256:...`.
    pub digest: Option<String>,
    /// The settings it ran with.
    pub settings_revisions: Option<SettingsRevisions>,
    /// The name of the engine it runs or last ran on; `None` until it is begun.
    pub engine: Option<String>,
    /// For whom it is built; perhaps empty.
    pub owner: String,
    /// Builds of a higher priority go first.
    pub priority: i64,
    /// How long it may take; `None` for builds from before limits were kept.
    pub limits: Option<BuildLimits>,
    /// From where it was begun again last, when that was not the start.
    pub retried_from: Option<RetryFrom>,
    /// Why its last attempt ended without ending it; `None` where there was none such since it was
    /// asked for or retried.
    pub requeue_reason: Option<RequeueReason>,
    /// Why its image was built; `None` while there is none, for one that an equal build made, and for
    /// builds from before this was kept.
    pub build_reason: Option<BuildReason>,
}

/// A stored state.
pub(crate) fn parse_state(text: &str) -> Result<BuildState, StoreError> {
    BuildState::from_str(text).map_err(|_| StoreError::corrupt("build state", text))
}

/// A value as stored JSON.
pub(crate) fn to_json<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::corrupt(what, error))
}

/// A value from stored JSON.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::corrupt(what, error))
}

/// A size as it is stored. No image reaches the limit of eight exabytes.
pub(crate) fn stored_size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A stored size.
pub(crate) fn read_size(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or_default()
}

impl TryFrom<build::Model> for Build {
    type Error = StoreError;

    fn try_from(row: build::Model) -> Result<Self, StoreError> {
        Ok(Self {
            state: parse_state(&row.state)?,
            created_at: timestamp(row.created_at)?,
            updated_at: timestamp(row.updated_at)?,
            started_at: maybe_timestamp(row.started_at)?,
            finished_at: maybe_timestamp(row.finished_at)?,
            failure: row
                .failure
                .map(|text| from_json("failure", &text))
                .transpose()?,
            settings_revisions: row
                .settings_revisions
                .map(|text| from_json("settings revisions", &text))
                .transpose()?,
            limits: row
                .limits
                .map(|text| from_json("limits", &text))
                .transpose()?,
            requeue_reason: row
                .requeue_reason
                .map(|text| {
                    RequeueReason::from_str(&text)
                        .map_err(|_| StoreError::corrupt("requeue reason", &text))
                })
                .transpose()?,
            retried_from: row
                .retried_from
                .map(|text| {
                    RetryFrom::from_str(&text).map_err(|_| StoreError::corrupt("retry", &text))
                })
                .transpose()?,
            build_reason: row
                .build_reason
                .map(|text| {
                    BuildReason::from_str(&text)
                        .map_err(|_| StoreError::corrupt("reason of a build", &text))
                })
                .transpose()?,
            image_size: row.image_size.map(read_size),
            row_id: row.row_id,
            id: row.id,
            name: row.name,
            base_image: row.base_image,
            target_image: row.target_image,
            description: row.description,
            work_dir_name: row.work_dir_name,
            callback_url: row.callback_url,
            attempt: row.attempt,
            worker: row.worker,
            cancel_requested: row.cancel_requested,
            last_event: row.last_event,
            image_id: row.image_id,
            digest: row.digest,
            engine: row.engine,
            owner: row.owner,
            priority: row.priority,
        })
    }
}

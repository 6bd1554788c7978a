//! What a caller gets for a build request that was taken.

use std::path::Path;

use fastbuild_builder::Submitted;
use fastbuild_spec::profile::Descriptor;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Address;

/// An object the old protocol has and nobody reads.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmptyObject {}

/// A build request that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The request with its defaults filled in and its secrets masked.
    image_request: Value,
    /// Always an empty object.
    image_utils: EmptyObject,
    /// The build's number.
    #[schema(example = 1_795_426_218_678_i64)]
    task_id: i64,
    /// The name the caller gave it, perhaps empty.
    task_name: String,
    /// Where the end will be reported to; empty for nowhere.
    callback_url: String,
    /// The target image, with its tag.
    pub(crate) target_image_name: String,
    /// What the image is for.
    target_image_desc: String,
    /// The base image, with its tag.
    base_image_name: String,
    /// What the base image contains, as `check-image` answers it; null when it is not known yet.
    #[schema(value_type = Option<Object>)]
    image_descriptor: Option<Descriptor>,
    /// The name of the build's folder, the part of `/task/<work_dir_name>/`.
    work_dir_name: String,
    /// The build's folder on the server's disk.
    task_work_dir: String,
    /// The same part of the request once more.
    dockerfile_json: Value,
    /// Always an empty object.
    record: EmptyObject,
    /// The state it is in: `QUEUED`.
    #[schema(example = "QUEUED")]
    state: String,
}

impl Accepted {
    /// A request that was taken, its files under `task_dir`.
    pub(crate) fn new(submitted: Submitted, task_dir: &Path) -> Self {
        let Submitted {
            build,
            request,
            profile,
        } = submitted;
        let address = Address::new(task_dir, None, &build.work_dir_name);
        Self {
            dockerfile_json: request.get("dockerfile_json").cloned().unwrap_or_default(),
            image_request: request,
            image_utils: EmptyObject {},
            task_id: build.id,
            task_work_dir: address.folder(),
            image_descriptor: profile.map(|profile| Descriptor::new(&build.base_image, &profile)),
            record: EmptyObject {},
            state: build.state.to_string(),
            task_name: build.name,
            callback_url: build.callback_url,
            target_image_name: build.target_image,
            target_image_desc: build.description,
            base_image_name: build.base_image,
            work_dir_name: build.work_dir_name,
        }
    }
}

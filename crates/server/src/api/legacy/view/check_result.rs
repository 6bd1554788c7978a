//! Stored profiles as the old protocol's check results.

use fastbuild_builder::clock::local_time;
use fastbuild_spec::profile::Descriptor;
use fastbuild_store::StoredProfile;
use serde::Serialize;
use utoipa::ToSchema;

/// What was found in an image.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckResult {
    /// The row's number.
    primary_id: i64,
    /// The image's name, with its tag, as it was asked for.
    image_name: String,
    /// The engine's id of it.
    #[schema(example = "sha256:e682b1caa2a13f2eaa3dbdec92e96159dc1ab3fba6a2262382cfc1de2657f26d")]
    image_id: String,
    /// What it contains: the `data` of `task/check-image` as JSON text.
    result: String,
    /// When it was first checked: local time, ISO 8601 with microseconds and without a zone.
    create_time: String,
    /// When it was last checked.
    update_time: String,
}

impl CheckResult {
    /// A stored profile's row.
    ///
    /// # Errors
    /// When the profile cannot be written as JSON.
    pub(crate) fn new(stored: StoredProfile) -> Result<Self, serde_json::Error> {
        let descriptor = Descriptor::new(&stored.image_name, &stored.profile);
        Ok(Self {
            primary_id: stored.id,
            result: serde_json::to_string(&descriptor)?,
            image_name: stored.image_name,
            image_id: stored.profile.image_id,
            create_time: local_time(stored.created_at),
            update_time: local_time(stored.updated_at),
        })
    }
}

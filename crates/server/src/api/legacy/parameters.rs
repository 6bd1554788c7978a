//! Query parameters that several controllers take.

use serde::Deserialize;
use utoipa::IntoParams;

/// Names an image.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImageName {
    /// `[registry[:port]/]repository[:tag]`; `/` and `:` need no encoding.
    #[param(example = "172.27.213.154:30003/base/ubuntu:v3")]
    pub(crate) image_name: String,
}

/// Names a build.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TaskId {
    /// The build's number.
    #[param(example = 1_795_426_218_678_i64)]
    pub(crate) task_id: i64,
}

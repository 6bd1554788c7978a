//! Answers of the old protocol: rows of the store in the shapes that callers have seen, down to null and
//! empty. Pure: each is made from values that were read already.

mod address;
mod callback;
mod catalog;
mod check_result;
mod descriptor;
mod image;
mod settings;
mod state;
mod step;
mod submitted;
mod task;

pub(super) use address::Address;
pub(super) use callback::{
    CallbackHistory, CallbackList, CallbackRow, CallbackSigning, Redelivered,
};
pub(super) use catalog::{SoftwareList, SourceList, Uploaded};
pub(super) use check_result::CheckResult;
pub(super) use descriptor::ImageDescriptor;
pub(super) use image::{ImageLifeRow, ImageList, ImageRow};
pub(super) use settings::{DockerServerRow, HarborRow, HostRow};
pub(super) use state::states_shown_as;
pub(super) use step::{Progress, ProgressDetails, StepRecord};
pub(super) use submitted::Accepted;
pub(super) use task::{PageInfo, Task, TaskList};

//! What handlers answer: rows of the store in the shapes callers have seen, down to null and
//! empty. Pure: each is made from values that were read already.

mod address;
mod build;
mod callback;
mod callback_shown;
mod catalog;
mod check_result;
mod engine;
mod health;
mod image;
mod image_shown;
mod profile;
mod revision;
mod settings;
mod step;
mod submitted;
mod task;

pub(crate) use address::Address;
pub(crate) use build::{BuildList, BuildShown, Cancelled, PlanShown, path as build_path};
pub(crate) use callback::{
    CallbackHistory, CallbackList, CallbackRow, CallbackSigning, Redelivered, TriedCallback,
};
pub(crate) use callback_shown::{CallbackPiece, CallbackShown, CallbackWithTries, SentAgain};
pub(crate) use catalog::{SoftwareList, SourceList, Uploaded};
pub(crate) use check_result::CheckResult;
pub(crate) use engine::{
    EngineHistory, EngineList, EngineProven, EngineShown, RevisionShown, path as engine_path,
};
pub(crate) use health::{About, Alive, Readiness};
pub(crate) use image::{ImageLifeRow, ImageList, ImageRow};
pub(crate) use image_shown::{ImagePiece, ImagePulled, ImageRemoved, ImageShown};
pub(crate) use profile::ProfiledImage;
pub(crate) use revision::{Revision, RevisionList, SettingsInForce};
pub(crate) use settings::{DockerServerRow, HarborRow, HostRow};
pub(crate) use step::{Progress, ProgressAnswer, StepRecord};
pub(crate) use submitted::Accepted;
pub(crate) use task::{PageShown, Task, TaskList};

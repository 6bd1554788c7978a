//! What handlers answer: rows of the store in the shapes callers have seen, down to null and
//! empty. Pure: each is made from values that were read already.

mod address;
mod callback;
mod settings;
mod step;
mod submitted;
mod task;

pub(crate) use address::Address;
pub(crate) use callback::{CallbackRow, TriedCallback};
pub(crate) use settings::{DockerServerRow, HarborRow, HostRow};
pub(crate) use step::{Progress, ProgressAnswer, StepRecord};
pub(crate) use submitted::Accepted;
pub(crate) use task::{PageShown, Task, TaskList};

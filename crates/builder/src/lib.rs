//! How a request becomes a pushed image: the verbs the server calls, the workers that run
//! builds, and the delivery of callbacks. Knows the store and the engine; knows no HTTP server.
//!
//! Rooms: `builds` (a caller's verbs on a build), `worker` (claims a build and runs its five
//! steps), `engines` (add, change, monitor them), `images` (pull, check, delete), `callbacks` (make,
//! deliver, test), `settings`, `catalog` (package mirrors and tool files), `cleanup` (unused images,
//! old files, full disks), `readiness`, `background` (every loop that runs beside the workers). Each
//! has a component that holds what it needs; `builder` ties them together and is imported by
//! `background` and `worker` alone.

mod background;
mod builder;
mod builds;
mod callbacks;
pub mod catalog;
mod cleanup;
pub mod clock;
mod common;
mod engines;
mod images;
mod keyed_locks;
pub mod metrics;
pub mod options;
mod readiness;
mod settings;
mod worker;

pub use builder::Builder;
pub use builds::{
    Builds,
    document::{Rendered, Submission},
    estimate::QueueEstimate,
    files,
    submit::Submitted,
};
pub use callbacks::{
    Callbacks,
    admin::{CallbackTry, SigningOrigin},
};
pub use catalog::CatalogStore;
pub use cleanup::{Cleanup, disk::Freed};
pub use engines::{Engines, ProvenEngine, context::no_such_engine};
pub use fastbuild_engine::EngineInfo;
pub use images::{CheckedImage, Images, PulledImage, delete::DeletedImage, parse_image};
pub use readiness::{Dependency, DependencyKind, Found, Readiness, is_ready};
pub use settings::SettingsAdmin;

/// A duration as the field `duration_ms` of a log line.
fn duration_ms(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

//! How a request becomes a pushed image: the verbs the server calls, the workers that run
//! builds, and the delivery of callbacks. Knows the store and the engine; knows no HTTP server.
//!
//! Rooms: `builds` (a caller's verbs on a build), `worker` (claims a build and runs its five
//! steps), `engines` (add, change, monitor and clean them), `images` (pull, check, delete,
//! clean up), `callbacks` (make, deliver, test), `settings`, `catalog` (package mirrors and tool
//! files), `background` (every loop that runs beside the workers). `builder` ties them together.

mod background;
mod builder;
mod builds;
mod callbacks;
pub mod catalog;
pub mod clock;
mod engines;
mod images;
pub mod metrics;
pub mod options;
mod readiness;
mod settings;
mod worker;

pub use builder::Builder;
pub use builds::{
    document::{Rendered, Submission},
    estimate::QueueEstimate,
    files,
    submit::Submitted,
};
pub use callbacks::admin::{CallbackTry, SigningOrigin};
pub use engines::{ProvenEngine, context::no_such_engine, disk::Freed};
pub use fastbuild_engine::EngineInfo;
pub use images::{CheckedImage, PulledImage, delete::DeletedImage, parse_image};
pub use readiness::{Dependency, DependencyKind, Found, is_ready};

//! What a Docker Engine and a registry do for us: answer, log in, find, pull, probe, build, push,
//! remove and sweep. Nothing here is remembered; every verb is one conversation with one engine.
//!
//! Every error is an [`EngineError`], one variant per meaning, whose [`EngineError::failure`] is the
//! sentence a person reads. Dropping the future of a verb stops the work on the engine.

mod build;
mod buildkit;
mod classic;
mod classify;
mod cleaning;
pub mod crash;
mod disk;
mod distribution;
mod endpoint;
mod engine;
mod error;
mod images;
mod messages;
mod ping;
mod plain_registries;
mod probe;
mod progress;
mod pull;
mod push;
mod registry;
mod sentence;
mod sweep;
mod tls;
mod transport;

pub use build::{BuildFile, BuildRequest, BuilderKind, Built, Compression, FileSource};
pub use cleaning::Discarded;
pub use disk::DiskUsage;
pub use distribution::{Distribution, NotDone};
pub use endpoint::{Endpoint, EngineLimits};
pub use engine::Engine;
pub use error::{EngineError, NoAnswer, TlsProblem};
pub use images::ImageFound;
pub use ping::EngineInfo;
pub use plain_registries::PlainRegistries;
pub use progress::{ProgressReceiver, ProgressSender, progress_channel};
pub use push::Pushed;
pub use sweep::{BUILD_LABEL, CONTAINER_LABEL, OWNER, OWNER_LABEL, Swept};

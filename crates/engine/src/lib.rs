//! Everything FastBuild asks of a Docker Engine and of a registry. Nothing is remembered here: every
//! call is one conversation with one engine.
//!
//! | module | what it does |
//! |---|---|
//! | `engine`, `ping` | [`Engine`], the handle whose methods are all other modules; [`EngineInfo`], what an engine is and can do |
//! | `connect/` | address, mutual TLS and HTTP transport |
//! | `images/` | find, pull, push, probe and remove images |
//! | `build/` | build an image: `request` (what a build takes), `buildkit/` (session, solve, progress), `classic` |
//! | `registry/` | login through an engine, [`RegistryClient`] without one, [`InsecureRegistries`] |
//! | `orphans`, `disk_usage` | remove what crashed builds left behind; measure an engine's disk |
//! | `error/` | [`EngineError`], one variant per meaning: `classify` reads the engines' words, `message` writes ours |
//! | `progress`, `json_stream` | progress from an engine to the caller; the Engine API's stream of JSON messages |
//! | `crash` | points at which tests kill the process |
//!
//! Every error is an [`EngineError`]; `Failure::from` turns it into the text people read. Dropping the
//! future of a method stops the work on the engine.

mod build;
mod connect;
pub mod crash;
mod disk_usage;
mod engine;
mod error;
mod images;
mod json_stream;
mod orphans;
mod ping;
mod progress;
mod registry;

pub use build::{BuildFile, Built, Compression, DiskFile, FileSource, ImageBuild};
pub use connect::{Endpoint, EngineLimits};
pub use disk_usage::DiskUsage;
pub use engine::Engine;
pub use error::{
    EngineError, NoAnswer, PushRefusal, RegistryProblem, TlsProblem, UnsupportedImage,
};
pub use images::{Discarded, ImageFound, Pushed};
pub use orphans::{BUILD_LABEL, CONTAINER_LABEL, OWNER, OWNER_LABEL, Orphans};
pub use ping::EngineInfo;
pub use progress::{ProgressReceiver, ProgressSender, progress_channel};
pub use registry::{InsecureRegistries, PushCheck, RegistryClient, RegistryError, verify_registry};

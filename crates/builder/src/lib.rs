//! How a request becomes a pushed image: the verbs the server calls, the workers that run
//! builds, and the delivery of callbacks. Knows the store and the engine; knows no HTTP server.

pub mod catalog;
mod cleaning;
pub mod clock;
mod delivery;
mod dependencies;
mod document;
mod engines;
mod events;
pub mod files;
mod hash;
mod images;
mod labels;
mod means;
pub mod metrics;
pub mod options;
mod pipeline;
mod pushing;
mod queue;
mod removal;
mod retry;
mod reuse;
mod service;
mod settle;
mod site;
mod sites;
mod step;
mod submit;
mod sweep;
mod upkeep;
pub mod upload;
mod watch;
mod workbench;
mod workers;

pub use dependencies::{Dependency, DependencyKind, Found, is_ready};
pub use document::{Rendered, Taken};
pub use engines::ProvenEngine;
pub use fastbuild_engine::EngineInfo;
pub use images::{CheckedImage, PulledImage};
pub use queue::QueueEstimate;
pub use removal::{DeletedImage, no_such_task};
pub use service::Builder;
pub use site::{DockerServerForm, HostForm, RegistryForm, SiteForm, check_headers};
pub use sites::no_such_engine;
pub use submit::Submitted;
pub use workbench::{CallbackTry, SigningOrigin};

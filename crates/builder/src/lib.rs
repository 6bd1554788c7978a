//! How a request becomes a pushed image: the verbs the server calls, the workers that run
//! builds, and the delivery of callbacks. Knows the store and the engine; knows no HTTP server.

pub mod catalog;
pub mod clock;
mod delivery;
mod events;
pub mod files;
mod hash;
mod images;
pub mod options;
mod pipeline;
mod service;
mod settle;
mod site;
mod submit;
mod upkeep;
mod workers;

pub use delivery::CallbackTry;
pub use images::{CheckedImage, PulledImage};
pub use service::Builder;
pub use site::{DockerServerForm, HostForm, RegistryForm, SiteForm, check_headers};
pub use submit::Submitted;

//! What the tests and the task runner share.
//!
//! - [`env`]: where the test environment that `cargo xtask env up` starts listens, and who may log in
//! - [`service`], [`client`], [`request`]: the service as a process, a caller of it, build requests
//! - [`container`], [`engine_api`], [`engines`], [`memory`], [`postgres`]: what real servers hold
//! - [`fake_engine`], [`token_registry`], [`scripted_registry`], [`callback_receiver`], [`tcp_proxy`]: stand-ins for what
//!   the real ones do not do on demand
//! - [`chaos`]: whole clusters under faults
//! - [`wait`]: the one poll loop
//!
//! Without the feature `service` there is only what describes and starts the test environment.

#[cfg(feature = "service")]
pub mod base_image;
#[cfg(feature = "service")]
pub mod callback_receiver;
#[cfg(feature = "service")]
pub mod chaos;
#[cfg(feature = "service")]
mod child;
#[cfg(feature = "service")]
pub mod client;
#[cfg(feature = "service")]
pub mod container;
#[cfg(feature = "service")]
pub mod engine_api;
#[cfg(feature = "service")]
pub mod engines;
pub mod env;
#[cfg(feature = "service")]
pub mod fake_engine;
pub mod memory;
pub mod ports;
pub mod postgres;
#[cfg(feature = "service")]
pub mod request;
#[cfg(feature = "service")]
mod reverse_proxy;
#[cfg(feature = "service")]
pub mod scripted_registry;
#[cfg(feature = "service")]
pub mod service;
#[cfg(feature = "service")]
pub mod tcp_proxy;
#[cfg(feature = "service")]
pub mod token_registry;
pub mod wait;

/// The real time: what happened on engines is compared with the times of events.
#[cfg(feature = "service")]
#[expect(
    clippy::disallowed_methods,
    reason = "what happened on engines is compared with the times of events"
)]
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

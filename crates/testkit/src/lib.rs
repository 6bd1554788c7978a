//! What the tests and the task runner share: the description of the real parts (engines, registry,
//! callback receiver, fixtures) that `cargo xtask env up` starts, the service as a process of its
//! own, a caller of it, and requests as callers write them.

pub mod base_image;
pub mod callback_receiver;
pub mod chaos;
mod child;
pub mod client;
pub mod container;
pub mod engine_api;
pub mod engines;
pub mod env;
pub mod fake_engine;
pub mod memory;
pub mod ports;
pub mod postgres;
pub mod request;
pub mod service;
pub mod tcp_proxy;
pub mod token_registry;
pub mod wait;

/// The real time: what happened on engines is compared with the times of events.
#[expect(
    clippy::disallowed_methods,
    reason = "what happened on engines is compared with the times of events"
)]
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

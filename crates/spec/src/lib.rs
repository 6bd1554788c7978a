//! What an image should be, and everything that follows from it without touching the world.
//!
//! This crate is pure: no I/O, no async runtime, no clock. It holds the wire shapes of the two
//! request forms and the build document of version 1, the [`image_spec::ImageSpec`] they parse into, image references, the
//! [`profile::ImageProfile`] of a base image, the [`plan`] that renders a Dockerfile, the states a
//! build goes through and the closed list of reasons for which one can fail.

pub mod build_reason;
pub mod callback;
pub mod catalog;
pub mod diagnose;
pub mod distro;
pub mod event;
pub mod failure;
pub mod image_spec;
pub mod limits;
pub mod log_line;
pub mod mirror_match;
pub mod names;
pub mod plan;
pub mod probe;
pub mod profile;
pub mod reference;
pub mod request;
pub mod requeue;
pub mod settings;
pub mod state;
mod unicode;

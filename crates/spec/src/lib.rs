//! What an image should be, and everything that follows from it without touching the world.
//!
//! This crate is pure: no I/O, no async runtime, no clock. It holds the wire shapes of the two
//! request forms and the build document of version 1, the [`image_spec::ImageSpec`] they parse into, image references, the
//! [`profile::ImageProfile`] of a base image, the [`plan`] that renders a Dockerfile, the states a
//! build goes through and the closed list of reasons for which one can fail.

pub mod anew;
pub mod callback;
pub mod callback_login;
pub mod catalog;
pub mod diagnose;
pub mod document;
pub mod event;
pub mod failure;
pub mod family;
pub mod image_spec;
pub mod limits;
pub mod log_text;
pub mod mirror_fit;
pub mod names;
pub mod plan;
pub mod probe;
pub mod profile;
pub mod reference;
pub mod settings;
pub mod signature;
pub mod state;
pub mod wire;

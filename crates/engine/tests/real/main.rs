//! The engine crate against the real engines and registry that `cargo xtask env up` starts.

#![expect(
    clippy::unwrap_used,
    reason = "a test helper that fails fails its test"
)]

mod build;
mod classic;
mod common;
mod connect;
mod image_names;
mod orphans;
mod probe;
mod registry;
mod registry_answers;

//! The whole service as a process of its own, against the real engines, the real registry and the
//! callback receiver that `cargo xtask env up` starts.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod builds;
mod callbacks;
mod config;
mod protocol;
mod recovery;
mod replicas;
mod security;
mod support;

//! The builder as the server drives it, on SQLite, a fake engine, a fake registry and a clock that the
//! test moves: every branch between a queued build and its callback, in seconds and without Docker.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod attempts;
mod callbacks;
mod cleanup;
mod orphans;
mod push;
mod requeue;
mod reuse;
mod support;

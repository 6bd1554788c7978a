//! What callers see: the router with a real store and a real builder, asked as a caller asks.
//! No Docker Engine answers here; what needs one is shown on the real parts elsewhere.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod builds;
mod config;
mod documents;
mod files;
mod health;
mod images;
mod metrics;
mod old_surface;
mod protocol;
mod service;
mod streams;
mod tasks;
mod v1;
mod v1_site;

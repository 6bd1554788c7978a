//! The whole service as a process of its own, against the real engines, the real registry and the
//! callback receiver that `cargo xtask env up` starts.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod browser;
mod builds;
mod callbacks;
mod catalog;
mod chaos;
mod cleaning;
mod configuration;
mod contract;
mod crashes;
mod ends;
mod engines;
mod faults;
mod gate;
mod hostile;
mod images;
mod imports;
mod leftovers;
mod lists;
mod micromamba;
mod oversized;
mod pushes;
mod raw;
mod replicas;
mod restarts;
mod reuse;
mod scripted;
mod secrets;
mod services;
mod shape;
mod site;
mod uv;
mod v1;
mod v1_site;

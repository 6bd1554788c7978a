//! Stories about what is remembered that hold on every database. Each back end's test program
//! includes this list and brings a `site` of its own; `crate::parts` is what the stories share.

#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
mod claims;
mod deliveries;
#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
mod engines;
#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
mod fair;
#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
mod imports;
mod leases;
mod life;
#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
pub(crate) mod lists;
#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
mod lives;
mod lost;
mod queue;
#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
mod retries;
mod secrets;
pub(crate) mod settings;

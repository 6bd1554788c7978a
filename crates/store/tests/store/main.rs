//! Stories about what is remembered, each on a database file of its own.

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
mod files;
#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
mod imports;
mod life;
#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
mod lists;
#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
mod lives;
mod lost;
#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
mod parts;
mod queue;
mod secrets;
mod settings;

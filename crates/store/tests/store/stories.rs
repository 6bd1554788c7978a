//! Stories about what is remembered that hold on every database. Each back end's test program
//! includes this list and brings a `site` of its own; `crate::parts` is what the stories share.

mod claims;
mod deliveries;
mod engines;
mod fair;
mod imports;
mod leases;
mod life;
pub(crate) mod lists;
mod lives;
mod lost;
mod queue;
mod retries;
mod secrets;
pub(crate) mod settings;

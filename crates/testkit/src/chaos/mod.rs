//! Chaos: a site of replicas, engines, a database and a registry whose parts fail by a schedule drawn
//! from a seed, and what must be true of every build when it is over.
//!
//! [`run::run`] does all of it: it starts a [`world`], gives it the [`orders`] of the seed while the
//! faults of the [`schedule`] happen, gathers what became of it as [`evidence`], and judges that by
//! the rules of [`check`].

pub mod callers;
pub mod cancels;
pub mod check;
pub mod evidence;
pub mod orders;
pub mod proxy;
pub mod real;
pub mod receiver;
pub mod report;
pub mod run;
pub mod schedule;
pub mod scripted;
pub mod streams;
pub mod world;

/// Writes which rules were broken, or that none was.
fn write_verdict(
    out: &mut std::fmt::Formatter<'_>,
    wrongs: &[impl std::fmt::Display],
) -> std::fmt::Result {
    if wrongs.is_empty() {
        return writeln!(out, "every rule was kept");
    }
    writeln!(out, "{} rules were broken:", wrongs.len())?;
    wrongs
        .iter()
        .try_for_each(|wrong| writeln!(out, "  {wrong}"))
}

/// The time of this machine, which all parts of a run share.
#[expect(
    clippy::disallowed_methods,
    reason = "what happened on engines is compared with the times of events"
)]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

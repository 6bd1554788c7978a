//! Chaos: a site of replicas, engines, a database and a registry whose parts fail by a schedule drawn
//! from a seed, and what must be true of every build when it is over.

pub mod proxy;
pub mod schedule;
pub mod scripted;

//! A service that dies, a build that is stopped, and everything at once.

mod chaos;
mod crashes;
pub(crate) mod fake_engine;
mod restarts;

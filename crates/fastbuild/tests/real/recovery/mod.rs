//! A service that dies, a build that is stopped, and everything at once.

mod chaos;
mod crashes;
mod fake_engine;
mod restarts;

//! What the tests share: a configured installation, HTTP, waiting and checking.

pub(crate) mod catalog;
pub(crate) mod events;
pub(crate) mod fake_engine;
pub(crate) mod http;
pub(crate) mod installation;
pub(crate) mod leftovers;
pub(crate) mod v1;

//! Reaching an engine: its address, TLS, HTTP, and what it is.

pub(crate) mod endpoint;
pub(crate) mod tls;
pub(crate) mod transport;

pub use endpoint::{Endpoint, EngineLimits};

//! Connections to an engine: address, TLS, HTTP.

pub(crate) mod endpoint;
pub(crate) mod tls;
pub(crate) mod transport;

pub use endpoint::{Endpoint, EngineLimits};

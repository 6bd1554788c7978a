//! Connections, and the layers around all routes: what every request passes whatever it asks for.

mod connections;
pub(crate) mod drain_body;
pub(crate) mod localize;
pub(crate) mod request_log;
pub(crate) mod request_metrics;
pub(crate) mod serve;

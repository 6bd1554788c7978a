//! Connections, and the layers around all routes.

mod connections;
pub(crate) mod drain_body;
pub(crate) mod localize;
pub(crate) mod request_log;
pub(crate) mod request_metrics;
pub(crate) mod serve;

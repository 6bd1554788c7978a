//! What load balancers, service managers and Prometheus ask, outside both APIs.

pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod view;

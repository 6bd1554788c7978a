//! What load balancers, service managers and Prometheus ask, outside both APIs.

mod health;
mod metrics;
pub(crate) mod view;

//! What runs beside the workers until the service ends.

pub(crate) mod cancel_poll;
pub(crate) mod lease;
pub(crate) mod reconcile;

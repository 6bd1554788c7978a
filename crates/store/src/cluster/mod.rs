//! What several processes on one database share: leases, the list of replicas, notifications.

pub(crate) mod leases;
pub(crate) mod notify;
pub(crate) mod notify_postgres;
pub(crate) mod replicas;

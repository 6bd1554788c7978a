//! Settings revisions as rows of the old protocol, without passwords and keys.

use fastbuild_builder::clock::local_time;
use fastbuild_store::{DockerServerRevision, HostRevision, RegistryRevision};
use serde::Serialize;
use utoipa::ToSchema;

/// A revision of this service's own address.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostRow {
    /// The row's number.
    primary_id: i64,
    /// IP address or host name.
    #[schema(example = "192.0.2.8")]
    host_ip: String,
    /// TCP port.
    #[schema(example = 48001)]
    host_port: u16,
    /// When it came into force: local time, ISO 8601 with microseconds and without a zone.
    create_time: String,
    /// When the row last changed.
    update_time: String,
}

impl From<HostRevision> for HostRow {
    fn from(row: HostRevision) -> Self {
        Self {
            primary_id: row.id,
            host_ip: row.host,
            host_port: row.port,
            create_time: local_time(row.created_at),
            update_time: local_time(row.updated_at),
        }
    }
}

/// A revision of the registry; its password is never shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HarborRow {
    /// The row's number.
    primary_id: i64,
    /// Account name.
    username: String,
    /// Address, `host` or `host:port`.
    #[schema(example = "registry.example:5000")]
    registry: String,
    /// Its second name; empty where it has none.
    registry_dns: String,
    /// When it came into force: local time, ISO 8601 with microseconds and without a zone.
    create_time: String,
    /// When the row last changed.
    update_time: String,
}

impl From<RegistryRevision> for HarborRow {
    fn from(row: RegistryRevision) -> Self {
        Self {
            primary_id: row.id,
            username: row.username,
            registry: row.registry,
            registry_dns: row.registry_dns.unwrap_or_default(),
            create_time: local_time(row.created_at),
            update_time: local_time(row.updated_at),
        }
    }
}

/// A revision of the Docker server; its certificates and key are never shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DockerServerRow {
    /// The row's number.
    primary_id: i64,
    /// IP address or host name.
    host: String,
    /// TCP port.
    #[schema(example = 2375)]
    port: u16,
    /// Whether it is reached with mutual TLS.
    tls_verify: bool,
    /// When it came into force: local time, ISO 8601 with microseconds and without a zone.
    create_time: String,
    /// When the row last changed.
    update_time: String,
}

impl From<DockerServerRevision> for DockerServerRow {
    fn from(row: DockerServerRevision) -> Self {
        Self {
            primary_id: row.id,
            host: row.host,
            port: row.port,
            tls_verify: row.tls,
            create_time: local_time(row.created_at),
            update_time: local_time(row.updated_at),
        }
    }
}

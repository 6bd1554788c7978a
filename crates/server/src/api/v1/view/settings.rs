//! Settings without passwords and keys.

use std::collections::BTreeMap;

use fastbuild_builder::SigningOrigin;
use fastbuild_store::{DockerServerRevision, HeadersRevision, HostRevision, RegistryRevision};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::view::of_signing;

/// What is in force; null for what is not configured.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CurrentSettings {
    /// The service's own address.
    pub(crate) host: Option<SettingsRevision>,
    /// The registry and its account.
    pub(crate) registry: Option<SettingsRevision>,
    /// The default engine.
    pub(crate) docker_server: Option<SettingsRevision>,
    /// The headers of callbacks.
    pub(crate) callback_headers: Option<SettingsRevision>,
    /// Whether callbacks are signed.
    pub(crate) callback_signing: Signing,
}

/// Settings and since when they are or were in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingsRevision {
    /// The number of this revision.
    #[serde(rename = "revision")]
    #[schema(example = 3)]
    number: i64,
    /// When it came into force (RFC 3339).
    since: String,
    /// What it says.
    settings: SettingsValues,
}

/// Every revision of a kind.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingsHistory {
    /// The revisions, newest first; the first one is in force.
    pub(crate) revisions: Vec<SettingsRevision>,
}

/// What a revision says, by its kind.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum SettingsValues {
    /// The service's own address.
    Host {
        /// IP address or host name.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// The registry and its account; the password is never shown.
    Registry {
        /// Account name.
        username: String,
        /// Address, `host` or `host:port`.
        registry: String,
        /// Its second name, where it has one.
        registry_dns: Option<String>,
    },
    /// The default engine; certificates and key are never shown.
    DockerServer {
        /// IP address or host name.
        host: String,
        /// TCP port.
        port: u16,
        /// Whether it is reached with mutual TLS.
        tls: bool,
    },
    /// The headers of callbacks.
    CallbackHeaders {
        /// Names and values; `***` stands for the values of those that look like credentials.
        headers: BTreeMap<String, String>,
    },
}

impl SettingsRevision {
    fn new(number: i64, since: Timestamp, settings: SettingsValues) -> Self {
        Self {
            number,
            since: since.to_string(),
            settings,
        }
    }
}

impl From<HostRevision> for SettingsRevision {
    fn from(row: HostRevision) -> Self {
        let values = SettingsValues::Host {
            host: row.host,
            port: row.port,
        };
        Self::new(row.id, row.created_at, values)
    }
}

impl From<RegistryRevision> for SettingsRevision {
    fn from(row: RegistryRevision) -> Self {
        let values = SettingsValues::Registry {
            username: row.username,
            registry: row.registry,
            registry_dns: row.registry_dns,
        };
        Self::new(row.id, row.created_at, values)
    }
}

impl From<DockerServerRevision> for SettingsRevision {
    fn from(row: DockerServerRevision) -> Self {
        let values = SettingsValues::DockerServer {
            host: row.host,
            port: row.port,
            tls: row.tls,
        };
        Self::new(row.id, row.created_at, values)
    }
}

impl From<HeadersRevision> for SettingsRevision {
    fn from(row: HeadersRevision) -> Self {
        let values = SettingsValues::CallbackHeaders {
            headers: row.headers,
        };
        Self::new(row.id, row.created_at, values)
    }
}

/// Whether callbacks are signed.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the API's")]
pub(crate) struct Signing {
    /// Whether they are.
    signing: bool,
    /// `api` when the secret was set while the service ran, `configuration` when it stands in the
    /// configuration file, `none` when there never was one.
    #[schema(example = "api")]
    origin: &'static str,
    /// When it was set while the service ran (RFC 3339).
    since: Option<String>,
}

impl From<SigningOrigin> for Signing {
    fn from(origin: SigningOrigin) -> Self {
        let (signing, origin, at) = of_signing(origin);
        Self {
            signing,
            origin,
            since: at.map(|at| at.to_string()),
        }
    }
}

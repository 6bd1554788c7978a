//! Settings that an operator changes while the service runs: its own address, the registry, the
//! Docker Engine, callback headers. Plain data and its parsers; secrets redact themselves in output.

mod engine;
mod form;
mod headers;
mod tls_archive;

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use self::{
    engine::{EngineDocument, EnginePatch, parse_engine, parse_engine_patch},
    form::{
        SiteSettings, parse_docker_server_form, parse_host_form, parse_registry_form,
        parse_site_form,
    },
    headers::check_headers,
};
use crate::names::{HostPort, parse_host_port};

/// The address under which callers reach this service; part of every log link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSettings {
    /// IP address or host name.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A registry and the account FastBuild uses there.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// Account name.
    pub username: String,
    /// Account password.
    pub password: SecretString,
    /// Address, `host` or `host:port`.
    pub registry: String,
    /// A second name of the same registry, where it has one.
    pub registry_dns: Option<String>,
}

impl RegistrySettings {
    /// Whether `registry` (as in an image reference) is this registry under either name. Host
    /// names are the same in upper and lower case (RFC 4343), no port is 443, and Docker Hub has several names.
    pub fn is_ours(&self, registry: &str) -> bool {
        let asked = address(registry);
        address(&self.registry) == asked
            || self
                .registry_dns
                .as_deref()
                .is_some_and(|name| address(name) == asked)
    }
}

/// Whether `host` is one of Docker Hub's names.
pub fn is_docker_hub(host: &str) -> bool {
    matches!(
        host,
        "docker.io" | "index.docker.io" | "registry-1.docker.io" | "https://index.docker.io/v1/"
    )
}

/// The host in lower case, and the port that is meant.
fn address(registry: &str) -> (String, u16) {
    const HTTPS: u16 = 443;
    if is_docker_hub(registry) {
        return ("docker.io".to_owned(), HTTPS);
    }
    match parse_host_port(registry) {
        Ok(HostPort { host, port }) => (host.to_ascii_lowercase(), port.unwrap_or(HTTPS)),
        Err(_) => (registry.to_ascii_lowercase(), HTTPS),
    }
}

/// A Docker Engine reachable over TCP, with or without mutual TLS.
#[derive(Debug, Clone)]
pub struct DockerServerSettings {
    /// IP address or host name.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The client side of mutual TLS; `None` is plain TCP.
    pub tls: Option<TlsMaterial>,
}

/// An engine's address as sentences and records name it: `host:port`, an IPv6 address in brackets.
pub fn host_and_port(host: &str, port: impl std::fmt::Display) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The client side of mutual TLS, as PEM text (RFC 7468).
#[derive(Debug, Clone)]
pub struct TlsMaterial {
    /// The CA that signed the engine's certificate.
    pub ca_pem: String,
    /// Our certificate.
    pub cert_pem: String,
    /// Our private key.
    pub key_pem: SecretString,
}

/// Headers that go with every callback. Any value may be a credential: log no map of them.
pub type CallbackHeaders = BTreeMap<String, String>;

/// Everything in force right now; what is missing is `None`.
#[derive(Clone, Default)]
pub struct Settings {
    /// The service's own address.
    pub host: Option<HostSettings>,
    /// The registry.
    pub registry: Option<RegistrySettings>,
    /// The engine.
    pub docker_server: Option<DockerServerSettings>,
    /// Callback headers.
    pub callback_headers: CallbackHeaders,
}

impl std::fmt::Debug for Settings {
    /// Leaves out the headers' values: an operator may have put a token there.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("host", &self.host)
            .field("registry", &self.registry)
            .field("docker_server", &self.docker_server)
            .field("callback_headers", &self.callback_headers.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_ours_however_its_name_and_default_port_are_written() {
        let settings = RegistrySettings {
            username: "admin".into(),
            password: "secret".into(),
            registry: "10.0.0.9:30003".into(),
            registry_dns: Some("Harbor.Example".into()),
        };
        for ours in [
            "10.0.0.9:30003",
            "harbor.example",
            "Harbor.Example:443",
            "HARBOR.EXAMPLE",
        ] {
            assert!(settings.is_ours(ours), "{ours}");
        }
        for other in [
            "",
            "10.0.0.9",
            "10.0.0.9:443",
            "10.0.0.9:30004",
            "harbor.example:30003",
            "harbor.example:80",
            "harbor.example.evil",
            "harbor",
            "docker.io",
        ] {
            assert!(!settings.is_ours(other), "{other}");
        }
    }

    #[test]
    fn a_registry_without_a_second_name_has_one() {
        let settings = RegistrySettings {
            username: "admin".into(),
            password: "secret".into(),
            registry: "registry.example:443".into(),
            registry_dns: None,
        };
        assert!(settings.is_ours("registry.example"));
        assert!(!settings.is_ours("other.example"));
    }
}

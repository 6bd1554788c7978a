//! The registries an engine may use without TLS, as the engine itself reports them.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::IpNet;
use serde::Deserialize;

/// The registries that an engine may speak to without TLS where they have none: `insecure-registries` in its
/// configuration, and the addresses of its own machine (Docker Engine API, `RegistryConfig` of `GET /info`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Option<RegistryConfig>")]
pub struct InsecureRegistries {
    networks: Vec<IpNet>,
    hosts: Vec<String>,
}

impl InsecureRegistries {
    /// Whether `registry`, a host with or without a port, is one of them. A name is not looked up.
    pub fn has(&self, registry: &str) -> bool {
        let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
        let address = if host == "localhost" {
            Some(IpAddr::V4(Ipv4Addr::LOCALHOST))
        } else {
            host.trim_matches(['[', ']']).parse().ok()
        };
        self.hosts.iter().any(|host| host == registry)
            || address.is_some_and(|address| self.networks.iter().any(|net| net.contains(&address)))
    }
}

#[derive(Deserialize)]
struct RegistryConfig {
    #[serde(rename = "InsecureRegistryCIDRs", default)]
    networks: Option<Vec<String>>,
    #[serde(rename = "IndexConfigs", default)]
    hosts: Option<HashMap<String, Host>>,
}

#[derive(Deserialize)]
struct Host {
    #[serde(rename = "Secure", default = "yes")]
    secure: bool,
}

fn yes() -> bool {
    true
}

impl From<Option<RegistryConfig>> for InsecureRegistries {
    fn from(said: Option<RegistryConfig>) -> Self {
        let (networks, hosts) = said.map_or((None, None), |said| (said.networks, said.hosts));
        Self {
            networks: networks
                .unwrap_or_default()
                .iter()
                .filter_map(|net| net.parse().ok())
                .collect(),
            hosts: hosts
                .unwrap_or_default()
                .into_iter()
                .filter(|(_, host)| !host.secure)
                .map(|(name, _)| name)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn listed_networks_and_hosts_are_insecure_and_others_are_not() {
        let plain: InsecureRegistries = serde_json::from_value(json!({
            "InsecureRegistryCIDRs": ["127.0.0.0/8", "10.1.0.0/16", "not a network"],
            "IndexConfigs": {
                "docker.io": {"Name": "docker.io", "Secure": true},
                "harbor.example:30003": {"Name": "harbor.example:30003", "Secure": false},
            },
        }))
        .unwrap();
        for registry in [
            "127.0.0.1:5000",
            "localhost:5000",
            "10.1.2.3",
            "harbor.example:30003",
        ] {
            assert!(plain.has(registry), "{registry}");
        }
        for registry in ["docker.io", "10.2.0.1:5000", "harbor.example", "[::1]:5000"] {
            assert!(!plain.has(registry), "{registry}");
        }
    }

    #[test]
    fn missing_registry_config_means_no_insecure_registries() {
        for said in [json!(null), json!({}), json!({"IndexConfigs": null})] {
            let plain: InsecureRegistries = serde_json::from_value(said).unwrap();
            assert_eq!(plain, InsecureRegistries::default());
        }
    }
}

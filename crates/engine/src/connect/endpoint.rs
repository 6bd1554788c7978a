//! The address of an engine and its timeouts.

use std::{fmt, path::PathBuf, time::Duration};

use fastbuild_spec::settings::{DockerServerSettings, TlsMaterial, host_and_port};

/// Where an engine listens.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// Plain TCP.
    Tcp {
        /// IP address or host name.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// TCP with mutual TLS.
    Tls {
        /// IP address or host name, as it stands in the engine's certificate.
        host: String,
        /// TCP port.
        port: u16,
        /// Our side of it.
        material: TlsMaterial,
    },
    /// A unix socket on this machine.
    Unix(PathBuf),
}

impl From<&DockerServerSettings> for Endpoint {
    fn from(settings: &DockerServerSettings) -> Self {
        let (host, port) = (settings.host.clone(), settings.port);
        match &settings.tls {
            Some(material) => Self::Tls {
                host,
                port,
                material: material.clone(),
            },
            None => Self::Tcp { host, port },
        }
    }
}

impl fmt::Display for Endpoint {
    /// The address as error sentences name it: `host:port` or the socket's path.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } | Self::Tls { host, port, .. } => {
                formatter.write_str(&host_and_port(host, port))
            }
            Self::Unix(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// How long we wait for an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineLimits {
    /// For the connection, TLS handshake included.
    pub connect: Duration,
    /// For the answer to a short request; builds, pulls and pushes are not bounded here.
    pub request: Duration,
    /// For a probe container, from start to exit.
    pub probe: Duration,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(30),
            probe: Duration::from_mins(1),
        }
    }
}

//! Hosts: IP addresses (RFC 791, RFC 4291) and host names (RFC 1123, 2.1), with or without a port.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use super::NameError;

/// A host and perhaps a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// IP address or host name, without brackets.
    pub host: String,
    /// The port, where one was written.
    pub port: Option<u16>,
}

impl fmt::Display for HostPort {
    /// `host`, `host:port`, with an IPv6 address in brackets when a port follows.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => formatter.write_str(&self.host),
            Some(port) if self.host.contains(':') => write!(formatter, "[{}]:{port}", self.host),
            Some(port) => write!(formatter, "{}:{port}", self.host),
        }
    }
}

/// An IP address or a host name, without port.
pub fn parse_host(text: &str) -> Result<String, NameError> {
    if text.parse::<IpAddr>().is_ok() || is_host_name(text) {
        Ok(text.to_owned())
    } else {
        Err(NameError::new(
            "应为 IP 地址或主机名（不带协议和端口），例如 10.0.0.9 或 docker.example",
            "must be an IP address or a host name without scheme and port, such as 10.0.0.9 or \
             docker.example",
        ))
    }
}

/// An IP address or a host name, perhaps followed by `:port`; an IPv6 address with a port stands
/// in brackets.
pub fn parse_host_port(text: &str) -> Result<HostPort, NameError> {
    read_host_port(text).ok_or_else(|| {
        NameError::new(
            "应为 IP 地址或主机名，可带 :端口（不带协议和路径），例如 10.0.0.9:30003 或 harbor.example",
            "must be an IP address or a host name, perhaps with :port, without scheme and path, \
             such as 10.0.0.9:30003 or harbor.example",
        )
    })
}

fn read_host_port(text: &str) -> Option<HostPort> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some(HostPort {
            host: text.to_owned(),
            port: None,
        });
    }
    if let Some(inner) = text.strip_prefix('[') {
        let (host, after) = inner.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        let port = match after {
            "" => None,
            _ => Some(read_port(after.strip_prefix(':')?)?),
        };
        return Some(HostPort {
            host: host.to_owned(),
            port,
        });
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(read_port(port)?)),
        None => (text, None),
    };
    let host = parse_host(host).ok()?;
    Some(HostPort { host, port })
}

fn read_port(text: &str) -> Option<u16> {
    let digits = (1..=5).contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .filter(|port| *port > 0)
}

/// RFC 1123: labels of letters, digits and inner hyphens. A last label of digits alone is refused,
/// or every mistyped IPv4 address would be a name.
fn is_host_name(text: &str) -> bool {
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let last_is_number = text
        .rsplit('.')
        .next()
        .is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()));
    text.len() <= 253 && text.split('.').all(label_fits) && !last_is_number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::attacks::ATTACKS;

    #[test]
    fn addresses_and_names_pass() {
        for host in [
            "10.0.0.9",
            "::1",
            "fe80::1",
            "localhost",
            "docker.example",
            "3com.example",
            "a-b",
        ] {
            assert_eq!(parse_host(host).unwrap(), host);
        }
        for text in [
            "10.0.0.9:30003",
            "harbor.example",
            "harbor.example:443",
            "[::1]:5000",
            "::1",
        ] {
            assert_eq!(parse_host_port(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in [
            "",
            "10.0.0.999",
            "1.2.3",
            "-a",
            "a-",
            "a..b",
            "a.",
            "a_b",
            "http://a",
            "a/b",
            "a:1",
            "[::1]",
        ] {
            assert!(parse_host(host).is_err(), "{host:?}");
        }
        for text in [
            "a:0",
            "a:65536",
            "a:",
            "a:+1",
            ":80",
            "[::1]80",
            "[a]:1",
            "a:1:2",
            "http://a:1",
        ] {
            assert!(parse_host_port(text).is_err(), "{text:?}");
        }
        for attack in ATTACKS {
            assert!(parse_host(attack).is_err(), "{attack:?}");
            assert!(parse_host_port(attack).is_err(), "{attack:?}");
        }
        assert!(parse_host(&"a".repeat(64)).is_err());
    }
}

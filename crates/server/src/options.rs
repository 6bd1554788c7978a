//! What the server is given at start; the binary reads it from the configuration.

use std::time::Duration;

use http::{HeaderValue, Uri};
use tower_http::cors::{Any, CorsLayer};

/// What the server is told at its start.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// Whose pages may read the old protocol and the files under `/task` (CORS).
    pub allowed_origins: AllowedOrigins,
}

/// How many connections may be open, and how long they may do nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections in all.
    pub total: usize,
    /// Connections of one client: an IPv4 address, or a /64 network of IPv6.
    pub per_address: usize,
    /// How long a new connection may take until its first request's head has come.
    pub first_request: Duration,
    /// How long a connection may stay without a request under way.
    pub idle: Duration,
}

impl ConnectionLimits {
    /// Connections where the descriptors allow it.
    const TOTAL: u64 = 4_096;
    /// Descriptors that are left for the database, engines, registries, callbacks and files.
    const RESERVED: u64 = 512;
    /// Connections at least, however few descriptors there are.
    const LEAST: u64 = 16;

    /// What fits a process that may have so many files open, with room for the clients that follow builds.
    pub fn within(open_files: u64, stream_clients: usize) -> Self {
        let reserved = Self::RESERVED.min(open_files / 2);
        let wanted = Self::wanted(stream_clients);
        let total = wanted.min(open_files - reserved).max(Self::LEAST);
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        Self {
            total,
            // A reverse proxy is one address with nearly all clients behind it.
            per_address: total / 2,
            first_request: Duration::from_secs(10),
            idle: Duration::from_mins(1),
        }
    }

    /// How many files a process must be able to open for all its connections.
    pub fn open_files_wanted(stream_clients: usize) -> u64 {
        Self::wanted(stream_clients) + Self::RESERVED
    }

    fn wanted(stream_clients: usize) -> u64 {
        Self::TOTAL.max(2 * stream_clients as u64)
    }
}

/// Of what the program was built; the binary knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildInfo {
    /// The service's version.
    pub version: &'static str,
    /// The commit, where it was built from a repository.
    pub commit: Option<&'static str>,
    /// The compiler.
    pub rustc: Option<&'static str>,
}

impl Default for BuildInfo {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: None,
            rustc: None,
        }
    }
}

/// Whose pages a browser lets read the answers (the Fetch standard's CORS protocol).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AllowedOrigins {
    /// Everybody's; the protocol carries no cookie, so none can be misused.
    #[default]
    Any,
    /// Those of these origins, such as `https://portal.example:8443`.
    Only(Vec<HeaderValue>),
}

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOrigin {
    /// The text.
    pub origin: String,
}

impl std::fmt::Display for InvalidOrigin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{:?} is no origin: write \"*\", or scheme, host and perhaps port, such as \
             \"https://portal.example:8443\"",
            self.origin
        )
    }
}

impl std::error::Error for InvalidOrigin {}

impl AllowedOrigins {
    /// Reads the configured list; `*` in it allows any.
    ///
    /// # Errors
    /// [`InvalidOrigin`] for each text that is none.
    pub fn parse<T: AsRef<str>>(origins: &[T]) -> Result<Self, Vec<InvalidOrigin>> {
        if origins.iter().any(|origin| origin.as_ref() == "*") {
            return Ok(Self::Any);
        }
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for origin in origins.iter().map(AsRef::as_ref) {
            match parse_origin(origin) {
                Some(value) => good.push(value),
                None => bad.push(InvalidOrigin {
                    origin: origin.to_owned(),
                }),
            }
        }
        if bad.is_empty() {
            Ok(Self::Only(good))
        } else {
            Err(bad)
        }
    }

    /// The layer that answers preflight requests and adds the headers.
    pub(crate) fn layer(&self) -> CorsLayer {
        let layer = CorsLayer::new().allow_methods(Any).allow_headers(Any);
        match self {
            Self::Any => layer.allow_origin(Any),
            Self::Only(origins) => layer.allow_origin(origins.clone()),
        }
    }
}

/// `scheme://host[:port]` and nothing behind it, as browsers send it (RFC 6454, section 6.2).
fn parse_origin(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let plain = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri
            .authority()
            .is_some_and(|authority| !authority.as_str().contains('@'))
        && uri.path() == "/"
        && uri.query().is_none()
        && !text.ends_with('/');
    plain.then(|| HeaderValue::from_str(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_the_descriptors() {
        let total = |open_files, clients| ConnectionLimits::within(open_files, clients).total;
        assert_eq!(total(1_048_576, 2_000), 4_096);
        assert_eq!(total(1_048_576, 10_000), 20_000);
        assert_eq!(total(1_024, 2_000), 512);
        assert_eq!(total(256, 2_000), 128);
        assert_eq!(total(8, 2_000), 16);
        assert_eq!(ConnectionLimits::within(1_024, 2_000).per_address, 256);
        assert_eq!(ConnectionLimits::open_files_wanted(2_000), 4_608);
    }

    #[test]
    fn a_list_of_origins_is_read_or_every_bad_one_named() {
        assert_eq!(AllowedOrigins::parse(&["*"]), Ok(AllowedOrigins::Any));
        assert_eq!(
            AllowedOrigins::parse::<&str>(&[]),
            Ok(AllowedOrigins::Only(Vec::new()))
        );
        assert_eq!(
            AllowedOrigins::parse(&["https://portal.example:8443", "http://10.0.0.1"]),
            Ok(AllowedOrigins::Only(vec![
                HeaderValue::from_static("https://portal.example:8443"),
                HeaderValue::from_static("http://10.0.0.1"),
            ]))
        );
        let bad = [
            "portal.example",
            "http://a/",
            "http://a/b",
            "ftp://a",
            "http://u@a",
            "http://a",
            "x\ny",
        ];
        let named: Vec<String> = AllowedOrigins::parse(&bad)
            .unwrap_err()
            .into_iter()
            .map(|error| error.origin)
            .collect();
        assert_eq!(
            named,
            [
                "portal.example",
                "http://a/",
                "http://a/b",
                "ftp://a",
                "http://u@a",
                "x\ny"
            ]
        );
    }
}

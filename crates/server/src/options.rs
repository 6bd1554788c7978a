//! What the server is told at its start; the binary makes it from the configuration.

use http::{HeaderValue, Uri};
use tower_http::cors::{Any, CorsLayer};

/// What the server is told at its start.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// Whose pages may read the old protocol and the files under `/task` (CORS).
    pub allowed_origins: AllowedOrigins,
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

//! Structured logs, as text or JSON. Every line of a build carries its number, because a build
//! runs inside a span that names it.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::{LogConfig, LogFormat};

/// Crates whose lines say again, and louder, what a failure says already: a certificate that is not trusted is
/// an answer to be shown to the caller, not an error of this process.
const REPEATING: [&str; 1] = ["rustls_platform_verifier"];

/// The configured filter, without the lines of repeating crates unless it names them.
fn filter(configured: &str) -> EnvFilter {
    let mut directives = configured.to_owned();
    for name in REPEATING.iter().filter(|name| !configured.contains(**name)) {
        directives.push(',');
        directives.push_str(name);
        directives.push_str("=off");
    }
    EnvFilter::try_new(directives).unwrap_or_else(|_error| EnvFilter::new("info"))
}

/// Starts logging for the whole process. Only the first call has an effect.
pub fn start(config: &LogConfig) {
    let filter = filter(&config.filter);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match config.format {
        LogFormat::Text => registry
            .with(
                fmt::layer()
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_writer(std::io::stderr),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeating_crates_are_silent_unless_the_operator_asks_for_them() {
        assert_eq!(
            filter("info").to_string(),
            "rustls_platform_verifier=off,info"
        );
        let asked = "rustls_platform_verifier=debug,warn";
        assert_eq!(filter(asked).to_string(), asked);
    }
}

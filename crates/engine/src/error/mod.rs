//! Errors of engines and registries: one variant per meaning.

pub(crate) mod classify;
mod message;
pub(crate) mod source;

use std::time::Duration;

/// What went wrong, by meaning; [`EngineError::failure`](Self::failure) says it to people.
///
/// `detail` fields carry the other side's own words. They never hold a secret: what an engine
/// echoes of a request is addresses, image names and log lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// No engine answers at the address.
    #[error("no Docker Engine answers at {address}: {reason}")]
    Unreachable {
        /// The engine's address.
        address: String,
        /// Why not.
        reason: NoAnswer,
    },
    /// The TLS handshake failed.
    #[error("TLS with the Docker Engine at {address} failed: {problem}")]
    Tls {
        /// The engine's address.
        address: String,
        /// What is wrong.
        problem: TlsProblem,
    },
    /// The engine cannot do what was asked.
    #[error("the Docker Engine at {address} cannot do this: {detail}")]
    Unsupported {
        /// The engine's address.
        address: String,
        /// What it cannot do.
        detail: String,
    },
    /// The registry refused the user name or password.
    #[error("registry {registry} refused the login of {username}: {detail}")]
    RegistryLogin {
        /// The registry as configured.
        registry: String,
        /// The account.
        username: String,
        /// The engine's words.
        detail: String,
    },
    /// The engine gets no sensible answer from the registry.
    #[error("registry {registry} is not available to the engine: {detail}")]
    RegistryUnavailable {
        /// The registry.
        registry: String,
        /// The engine's words.
        detail: String,
    },
    /// The registry has no such image.
    #[error("image {image} does not exist: {detail}")]
    ImageNotFound {
        /// The image.
        image: String,
        /// The engine's words.
        detail: String,
    },
    /// The registry does not let this account read the image.
    #[error("image {image} may not be pulled: {detail}")]
    PullDenied {
        /// The image.
        image: String,
        /// The engine's words.
        detail: String,
    },
    /// A container of the image cannot run our script.
    #[error("image {image} cannot be inspected: {detail}")]
    ImageUnsupported {
        /// The image.
        image: String,
        /// Why.
        detail: String,
    },
    /// The registry does not let this account write the image.
    #[error("image {image} may not be pushed: {detail}")]
    PushDenied {
        /// The image.
        image: String,
        /// The engine's words.
        detail: String,
    },
    /// A step of the Dockerfile ended with an error.
    #[error("{stage} ended with exit code {}", exit_code.map_or_else(|| "?".to_owned(), |code| code.to_string()))]
    StepFailed {
        /// The step as the engine names it, such as `[3/7] RUN apt-get install`.
        stage: String,
        /// The exit code of its process, where it came to one.
        exit_code: Option<i64>,
        /// The end of its output.
        lines: Vec<String>,
        /// The engine's words.
        detail: String,
    },
    /// The engine's disk is full.
    #[error("the disk of the Docker Engine at {address} is full: {detail}")]
    NoSpaceLeft {
        /// The engine's address.
        address: String,
        /// The engine's words.
        detail: String,
    },
    /// A process was killed because memory ran out.
    #[error("{stage} ran out of memory on the Docker Engine at {address}")]
    OutOfMemory {
        /// The engine's address.
        address: String,
        /// The step as the engine names it.
        stage: String,
        /// The end of its output.
        lines: Vec<String>,
    },
    /// An operation took longer than its limit.
    #[error("{what} on the Docker Engine at {address} did not end within {limit:?}")]
    TimedOut {
        /// The engine's address.
        address: String,
        /// What.
        what: String,
        /// How long we waited.
        limit: Duration,
    },
    /// The connection broke during the operation.
    #[error("the connection to the Docker Engine at {address} broke: {detail}")]
    Lost {
        /// The engine's address.
        address: String,
        /// How.
        detail: String,
    },
    /// The engine answered what we do not understand, or a fault of ours.
    #[error("unexpected answer of the Docker Engine at {address}: {detail}")]
    Internal {
        /// The engine's address.
        address: String,
        /// What.
        detail: String,
    },
}

/// Why nothing that speaks for an engine answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing listens on the port.
    #[error("connection refused")]
    Refused,
    /// The host name is not known.
    #[error("host name not known")]
    UnknownHost,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The response does not come from a Docker Engine.
    #[error("what answers is no Docker Engine: {0}")]
    NotAnEngine(String),
    /// Another network error, such as no route to host.
    #[error("{0}")]
    Network(String),
}

/// Why a TLS handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsProblem {
    /// One of the PEM files does not parse.
    #[error("{file} is unusable: {detail}")]
    Unreadable {
        /// Which: `ca`, `cert` or `key`.
        file: &'static str,
        /// Why.
        detail: String,
    },
    /// Our private key does not belong to our certificate.
    #[error("key and certificate do not match")]
    KeyMismatch,
    /// The engine's certificate is not signed by the CA we have.
    #[error("the engine's certificate is not signed by the given CA")]
    UnknownIssuer,
    /// The engine's certificate is out of date.
    #[error("the engine's certificate has expired or is not valid yet")]
    ServerCertificateExpired,
    /// The engine's certificate is for another host name or address.
    #[error("the engine's certificate is not for {0}")]
    WrongHost(String),
    /// The engine refused our certificate.
    #[error("the engine refused the client certificate: {0}")]
    ClientCertificateRefused(String),
    /// TLS is configured, but the port speaks plain HTTP.
    #[error("the port does not speak TLS")]
    PortIsPlain,
    /// No TLS is configured, but the port requires it.
    #[error("the port wants TLS")]
    PortWantsTls,
    /// Any other TLS error.
    #[error("{0}")]
    Other(String),
}

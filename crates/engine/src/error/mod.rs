//! Errors of engines and registries: one variant per meaning.

pub(crate) mod classify;
mod message;
mod registry_message;
pub(crate) mod registry_words;
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
    /// The engine and FastBuild have no API version in common.
    #[error("the Docker Engine at {address} has no API version in common with FastBuild: {detail}")]
    ApiVersion {
        /// The engine's address.
        address: String,
        /// The engine's words, or the newest version it speaks.
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
    /// The registry cannot be used, whoever asks.
    #[error("registry {registry} cannot be used, {problem:?}: {detail}")]
    RegistryUnavailable {
        /// The registry.
        registry: String,
        /// Why.
        problem: RegistryProblem,
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
    /// A rule of the registry forbids reading the image, such as one about vulnerabilities.
    #[error("a rule of the registry forbids pulling image {image}: {detail}")]
    PullForbidden {
        /// The image.
        image: String,
        /// The engine's words.
        detail: String,
    },
    /// The image is of a kind that FastBuild cannot extend on this engine.
    #[error("image {image} cannot be used, {reason:?}: {detail}")]
    ImageUnsupported {
        /// The image.
        image: String,
        /// What is wrong with it.
        reason: UnsupportedImage,
        /// Details, or the engine's words.
        detail: String,
    },
    /// The engine no longer has the image, or a layer of it.
    #[error("the Docker Engine at {address} lost image {image} or a part of it: {detail}")]
    ImageLost {
        /// The engine's address.
        address: String,
        /// The image.
        image: String,
        /// The engine's words.
        detail: String,
    },
    /// The registry does not take the image.
    #[error("image {image} may not be pushed, {reason:?}: {detail}")]
    PushDenied {
        /// The image.
        image: String,
        /// Why not.
        reason: PushRefusal,
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
    /// This process has no file descriptor left for a connection.
    #[error("this process has too many open files: {detail}")]
    OpenFiles {
        /// The operating system's words.
        detail: String,
    },
    /// FastBuild does not understand an answer of the engine, or has a defect.
    #[error("unexpected answer of the Docker Engine at {address}: {detail}")]
    Internal {
        /// The engine's address.
        address: String,
        /// What.
        detail: String,
    },
}

/// Why a registry cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryProblem {
    /// No connection, or one that broke: refused, timed out, reset.
    Unreachable,
    /// It answers with a server error (5xx), or a gateway does so in its place.
    ServerError,
    /// It asks to slow down (429).
    RateLimited {
        /// When to come back, where the registry says it (`Retry-After`, RFC 9110 section 10.2.3).
        retry_after: Option<Duration>,
    },
    /// Its disk is full.
    DiskFull,
    /// It is in read-only mode.
    ReadOnly,
    /// What answers at the address is not a registry, such as a web page.
    NotARegistry,
    /// It speaks plain HTTP, and the engine insists on TLS.
    PlainHttp,
    /// Its certificate is signed by an authority the engine does not know.
    UnknownAuthority,
    /// Its certificate has expired, or is not valid yet by the engine's clock.
    CertificateExpired,
    /// Its certificate is for another name, or unusable in another way.
    CertificateUnusable,
    /// A layer that the image's manifest names is missing in it.
    LayerMissing,
    /// A gateway in front of it refuses a layer for its size (413).
    LayerTooLarge,
    /// It refuses, in words that FastBuild does not know.
    Unrecognised,
}

/// Why a registry does not take an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushRefusal {
    /// The account may not write there.
    Rights,
    /// The project (first part of the repository's name) does not exist.
    ProjectMissing,
    /// The project's storage quota is used up.
    Quota,
    /// The tag exists and may not be overwritten.
    TagImmutable,
    /// Another rule of the project, such as one about signatures.
    Policy,
}

/// Why an image cannot be extended on an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnsupportedImage {
    /// It has no variant for the engine's platform.
    Platform {
        /// The image's platform as `os/architecture`, where it is known.
        image: Option<String>,
        /// The engine's platform, where it is known.
        engine: Option<String>,
    },
    /// It is in a format that the engine does not take, or not a container image at all.
    Format,
    /// It is `scratch`, the empty image.
    Scratch,
    /// It has more layers than the engine can stack.
    TooManyLayers,
    /// A container of it cannot run the inspection script.
    Probe,
}

impl EngineError {
    /// Whether the same call may succeed a little later without anybody changing anything: the registry or the
    /// way to it was unavailable.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::RegistryUnavailable {
                problem: RegistryProblem::Unreachable
                    | RegistryProblem::ServerError
                    | RegistryProblem::RateLimited { .. },
                ..
            }
        )
    }

    /// How long the registry asks to wait before the next try, where it says so. Engines do not pass the header
    /// on; [`RegistryClient::retry_after`](crate::RegistryClient::retry_after) asks the registry for it.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RegistryUnavailable {
                problem: RegistryProblem::RateLimited { retry_after },
                ..
            } => *retry_after,
            _ => None,
        }
    }
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

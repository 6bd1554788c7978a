//! Maps the messages of engines and registries to an [`EngineError`]. Pure; no other module reads them.

use bollard::errors::Error as ClientError;
use http::StatusCode;

use super::{
    EngineError, NoAnswer, TlsProblem,
    source::{cause, chain},
};

/// What the answer to a registry question was about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The engine's address.
    pub(crate) address: &'a str,
    /// The image in question.
    pub(crate) image: &'a str,
    /// Its registry.
    pub(crate) registry: &'a str,
}

/// What a registry's refusal means, as far as the words alone tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such repository or tag.
    NotFound,
    /// Who asks is not known, or may not; only a login tells which.
    Denied,
    /// The registry does not answer, or with a server error, or in a way the engine cannot use.
    Unavailable,
    /// The engine's disk is full.
    NoSpace,
    /// None of these.
    Other,
}

/// An engine that may use plain HTTP for a registry tries it after HTTPS was refused for want of an
/// account, or broke off, and reports only what came last: what a TLS port says to plain HTTP.
const HTTP_AFTER_HTTPS: &str = "http request to an https server";

/// Reads a registry's refusal of a pull or push.
pub(crate) fn refusal(message: &str) -> Refusal {
    let text = message.to_ascii_lowercase();
    let has = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    if has(&["no space left on device", "disk quota exceeded"]) {
        Refusal::NoSpace
    } else if unavailable(&text) {
        Refusal::Unavailable
    } else if has(&[
        "denied",
        "unauthorized",
        "no basic auth credentials",
        "authentication required",
        "authorization failed",
        "insufficient_scope",
        "403 forbidden",
        "project not found",
        HTTP_AFTER_HTTPS,
    ]) {
        Refusal::Denied
    } else if has(&[
        "manifest unknown",
        "name unknown",
        "repository name not known",
        "not found",
        "no such image",
        "no such manifest",
        "does not exist",
    ]) {
        Refusal::NotFound
    } else {
        Refusal::Other
    }
}

fn unavailable(text: &str) -> bool {
    [
        "dial tcp",
        "connection refused",
        "connection reset by peer",
        "no such host",
        "i/o timeout",
        "tls handshake timeout",
        "client.timeout exceeded",
        "context deadline exceeded",
        "no route to host",
        "network is unreachable",
        "x509:",
        "server gave http response to https client",
        "proxyconnect",
        "received unexpected http status: 5",
        "unexpected status code 5",
        "500 internal server error",
        "502 bad gateway",
        "503 service unavailable",
        "504 gateway timeout",
        "toomanyrequests",
        ": eof",
        "unexpected eof",
        "broken pipe",
        "use of closed network connection",
        "server closed idle connection",
    ]
    .iter()
    .any(|needle| text.contains(needle))
}

/// What an engine's answer to `POST /auth` means.
pub(crate) fn login_error(
    address: &str,
    registry: &str,
    username: &str,
    message: &str,
) -> EngineError {
    let text = message.to_ascii_lowercase();
    let detail = tidy(message);
    // An engine that may use plain HTTP for a registry tries it after HTTPS was refused, and reports
    // only what came last: a TLS port's 400. It does not check that registry's certificate, so what was
    // refused is the account.
    let http_after_https =
        text.contains("login attempt to http://") && text.contains("400 bad request");
    let refused = http_after_https
        || [
            "401",
            "unauthorized",
            "incorrect username",
            "denied",
            "403 forbidden",
        ]
        .iter()
        .any(|needle| text.contains(needle));
    if wants_tls(StatusCode::BAD_REQUEST, message.as_bytes()) {
        EngineError::Tls {
            address: address.to_owned(),
            problem: TlsProblem::PortWantsTls,
        }
    } else if refused && !unavailable(&text) {
        EngineError::RegistryLogin {
            registry: registry.to_owned(),
            username: username.to_owned(),
            detail,
        }
    } else {
        EngineError::RegistryUnavailable {
            registry: registry.to_owned(),
            detail,
        }
    }
}

/// What a refused pull means; `Denied` stands for `PullDenied` until a login says otherwise.
pub(crate) fn pull_error(subject: Subject<'_>, message: &str) -> EngineError {
    let (image, detail) = (subject.image.to_owned(), tidy(message));
    match refusal(message) {
        Refusal::NotFound => EngineError::ImageNotFound { image, detail },
        Refusal::Denied => EngineError::PullDenied { image, detail },
        other => registry_error(subject, other, detail),
    }
}

/// What a refused push means; `Denied` stands for `PushDenied` until a login says otherwise.
pub(crate) fn push_error(subject: Subject<'_>, message: &str) -> EngineError {
    let (image, detail) = (subject.image.to_owned(), tidy(message));
    let on_engine = [
        "does not exist locally",
        "tag does not exist",
        "No such image",
    ]
    .iter()
    .any(|needle| message.contains(needle));
    match refusal(message) {
        Refusal::Denied => EngineError::PushDenied { image, detail },
        // Harbor answers so when the project is missing.
        Refusal::NotFound if !on_engine => EngineError::PushDenied { image, detail },
        other => registry_error(subject, other, detail),
    }
}

/// What a pull or push that was denied means once a login with the same account succeeded.
pub(crate) fn denied_with_login(error: EngineError, registry: &str) -> EngineError {
    match error {
        EngineError::PullDenied { detail, .. } | EngineError::PushDenied { detail, .. }
            if detail.to_ascii_lowercase().contains(HTTP_AFTER_HTTPS) =>
        {
            EngineError::RegistryUnavailable {
                registry: registry.to_owned(),
                detail,
            }
        }
        lack_of_rights => lack_of_rights,
    }
}

fn registry_error(subject: Subject<'_>, refusal: Refusal, detail: String) -> EngineError {
    let address = subject.address.to_owned();
    match refusal {
        Refusal::Unavailable => EngineError::RegistryUnavailable {
            registry: subject.registry.to_owned(),
            detail,
        },
        Refusal::NoSpace => EngineError::NoSpaceLeft { address, detail },
        _ => EngineError::Internal { address, detail },
    }
}

/// The step that failed, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FailedStep {
    /// Its name, such as `[2/5] RUN apt-get update`.
    pub(crate) stage: String,
    /// The end of its output.
    pub(crate) lines: Vec<String>,
}

/// What the failure of a whole build means. `step` is the step that failed, if one began.
pub(crate) fn build_error(
    subject: Subject<'_>,
    step: Option<FailedStep>,
    message: &str,
) -> EngineError {
    let address = subject.address.to_owned();
    let detail = tidy(message);
    let full = |text: &str| refusal(text) == Refusal::NoSpace;
    if full(message)
        || step
            .as_ref()
            .is_some_and(|step| step.lines.iter().any(|line| full(line)))
    {
        return EngineError::NoSpaceLeft { address, detail };
    }
    if let Some(exit_code) = exit_code(message) {
        let step = step.unwrap_or_default();
        return if exit_code == 137 {
            EngineError::OutOfMemory {
                address,
                stage: step.stage,
                lines: step.lines,
            }
        } else {
            EngineError::StepFailed {
                stage: step.stage,
                exit_code: Some(exit_code),
                lines: step.lines,
                detail,
            }
        };
    }
    if about_base_image(message, step.as_ref(), subject) {
        return pull_error(subject, message);
    }
    if [
        "dockerfile parse error",
        "requires BuildKit",
        "unknown flag",
        "unknown instruction",
    ]
    .iter()
    .any(|needle| message.contains(needle))
    {
        return EngineError::Unsupported { address, detail };
    }
    match step {
        Some(step) => EngineError::StepFailed {
            stage: step.stage,
            exit_code: None,
            lines: step.lines,
            detail,
        },
        None => EngineError::Internal { address, detail },
    }
}

/// Whether a build's message speaks of its base image rather than of a file or a secret.
fn about_base_image(message: &str, step: Option<&FailedStep>, subject: Subject<'_>) -> bool {
    let words = [
        "pull access denied",
        "manifest",
        "pulling from host",
        "failed to do request",
        "failed to authorize",
    ];
    let names = message.contains(subject.image)
        || message.contains(subject.registry)
        || words.iter().any(|word| message.contains(word))
        || step.is_some_and(|step| step.stage.contains("] FROM "));
    names && refusal(message) != Refusal::Other
}

/// The exit code a build's error speaks of: BuildKit says `exit code: N`, the classic builder
/// `returned a non-zero code: N`.
pub(crate) fn exit_code(message: &str) -> Option<i64> {
    ["exit code: ", "non-zero code: "].iter().find_map(|lead| {
        let (_, rest) = message.rsplit_once(lead)?;
        let digits = rest
            .split(|character: char| !character.is_ascii_digit())
            .next()?;
        digits.parse().ok()
    })
}

/// Why a probe container did not start or end well.
pub(crate) fn probe_error(address: &str, image: &str, message: &str) -> EngineError {
    let image_error = |detail: &str| EngineError::ImageUnsupported {
        image: image.to_owned(),
        detail: detail.to_owned(),
    };
    let has = |needle: &str| message.contains(needle);
    if has("exec format error") {
        image_error("it is made for another processor architecture than the Docker server's")
    } else if has("executable file not found") || has("no such file or directory") {
        image_error("it has no POSIX shell (sh)")
    } else if has("permission denied") {
        image_error("its shell (sh) cannot be executed")
    } else if has("no space left on device") {
        EngineError::NoSpaceLeft {
            address: address.to_owned(),
            detail: tidy(message),
        }
    } else {
        EngineError::Internal {
            address: address.to_owned(),
            detail: tidy(message),
        }
    }
}

/// What an error of the typed client means when nothing more exact is known.
pub(crate) fn client_error(address: &str, error: &ClientError) -> EngineError {
    // Our own transport's errors come back wrapped. The client's I/O variant is transparent: its
    // `source` passes over the very error it holds.
    let wrapped: &(dyn std::error::Error + 'static) = match error {
        ClientError::IOError { err } => err,
        other => other,
    };
    if let Some(own) = cause::<EngineError>(wrapped) {
        return own.clone();
    }
    let address = address.to_owned();
    match error {
        ClientError::DockerResponseServerError {
            status_code: 400,
            message,
        } if wants_tls(StatusCode::BAD_REQUEST, message.as_bytes()) => EngineError::Tls {
            address,
            problem: TlsProblem::PortWantsTls,
        },
        ClientError::DockerResponseServerError {
            status_code,
            message,
        } => answer_error(address, *status_code, message),
        ClientError::JsonDataError { message, .. } => EngineError::Unreachable {
            address,
            reason: NoAnswer::NotAnEngine(message.clone()),
        },
        ClientError::HyperResponseError { .. } | ClientError::IOError { .. } => EngineError::Lost {
            address,
            detail: chain(error),
        },
        other => EngineError::Internal {
            address,
            detail: chain(other),
        },
    }
}

/// What an answer with an error status means when nothing more exact is known.
pub(crate) fn answer_error(address: String, status: u16, message: &str) -> EngineError {
    if refusal(message) == Refusal::NoSpace {
        return EngineError::NoSpaceLeft {
            address,
            detail: tidy(message),
        };
    }
    EngineError::Internal {
        address,
        detail: format!("HTTP status {status}, {}", tidy(message)),
    }
}

/// An engine's message as the inside of a sentence: one line, without a closing stop, not endless.
pub(crate) fn tidy(message: &str) -> String {
    const LONGEST: usize = 600;
    let text = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_end_matches(['.', '。']);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether an answer is a TLS port's reaction to plain HTTP.
pub(crate) fn wants_tls(status: StatusCode, body: &[u8]) -> bool {
    status == StatusCode::BAD_REQUEST
        && String::from_utf8_lossy(body).contains("HTTP request to an HTTPS server")
}

#[cfg(test)]
mod tests;

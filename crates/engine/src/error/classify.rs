//! Maps the messages of engines and registries to an [`EngineError`]. Pure; no other module reads them.

use bollard::errors::Error as ClientError;
use http::StatusCode;

use super::{
    EngineError, NoAnswer, PushRefusal, RegistryProblem, TlsProblem, UnsupportedImage,
    registry_words::{self, Answer, HTTP_AFTER_HTTPS},
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

/// What an engine's answer to `POST /auth` means.
pub(crate) fn login_error(
    address: &str,
    registry: &str,
    username: &str,
    message: &str,
) -> EngineError {
    let text = message.to_ascii_lowercase();
    let detail = tidy(message);
    if wants_tls(StatusCode::BAD_REQUEST, message.as_bytes()) {
        return EngineError::Tls {
            address: address.to_owned(),
            problem: TlsProblem::PortWantsTls,
        };
    }
    if let Some(error) = about_engine(address, message) {
        return error;
    }
    // An engine that may use plain HTTP for a registry tries it after HTTPS was refused, and reports
    // only what came last: a TLS port's 400. It does not check that registry's certificate, so what was
    // refused is the account.
    let http_after_https =
        text.contains("login attempt to http://") && text.contains("400 bad request");
    let answer = registry_words::read(message);
    let refused = matches!(answer, Answer::Denied | Answer::ProjectMissing)
        || text.contains("incorrect username");
    if http_after_https || refused {
        return EngineError::RegistryLogin {
            registry: registry.to_owned(),
            username: username.to_owned(),
            detail,
        };
    }
    let problem = match answer {
        Answer::Problem(problem) => problem,
        // Every registry has `/v2/`.
        Answer::NotFound => RegistryProblem::NotARegistry,
        _ => RegistryProblem::Unrecognised,
    };
    EngineError::RegistryUnavailable {
        registry: registry.to_owned(),
        problem,
        detail,
    }
}

/// What a refused pull means; `Denied` stands for `PullDenied` until a login says otherwise.
pub(crate) fn pull_error(subject: Subject<'_>, message: &str) -> EngineError {
    let (image, detail) = (subject.image.to_owned(), tidy(message));
    match registry_words::read(message) {
        Answer::Denied => EngineError::PullDenied { image, detail },
        // Harbor says so of a project that the account may not see, too.
        Answer::ProjectMissing if detail.contains("unauthorized") => {
            EngineError::PullDenied { image, detail }
        }
        Answer::NotFound | Answer::ProjectMissing => EngineError::ImageNotFound { image, detail },
        Answer::Forbidden(_) => EngineError::PullForbidden { image, detail },
        other => registry_error(subject, other, message),
    }
}

/// What a refused push means; `Denied` stands for `PushDenied` until a login says otherwise.
pub(crate) fn push_error(subject: Subject<'_>, message: &str) -> EngineError {
    let denied = |reason| EngineError::PushDenied {
        image: subject.image.to_owned(),
        reason,
        detail: tidy(message),
    };
    let gone = [
        "does not exist locally",
        "tag does not exist",
        "No such image",
    ]
    .iter()
    .any(|needle| message.contains(needle));
    match registry_words::read(message) {
        _ if gone => registry_error(subject, Answer::Lost, message),
        Answer::Denied => denied(PushRefusal::Rights),
        // Harbor answers so when the project is missing.
        Answer::NotFound | Answer::ProjectMissing => denied(PushRefusal::ProjectMissing),
        Answer::Forbidden(reason) => denied(reason),
        // A registry in read-only mode has no uploads (distribution, `storage.maintenance.readonly`).
        Answer::Unsupported => {
            registry_error(subject, Answer::Problem(RegistryProblem::ReadOnly), message)
        }
        other => registry_error(subject, other, message),
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
                problem: RegistryProblem::Unreachable,
                detail,
            }
        }
        lack_of_rights => lack_of_rights,
    }
}

/// The meanings that pulls and pushes share.
fn registry_error(subject: Subject<'_>, answer: Answer, message: &str) -> EngineError {
    let (address, image, detail) = (
        subject.address.to_owned(),
        subject.image.to_owned(),
        tidy(message),
    );
    if let Some(error) = about_engine(subject.address, message) {
        return error;
    }
    let problem = match answer {
        Answer::Image(reason) => {
            return EngineError::ImageUnsupported {
                image,
                reason,
                detail,
            };
        }
        Answer::Lost => {
            return EngineError::ImageLost {
                address,
                image,
                detail,
            };
        }
        Answer::EngineDiskFull => return EngineError::NoSpaceLeft { address, detail },
        Answer::Problem(problem) => problem,
        _ => RegistryProblem::Unrecognised,
    };
    EngineError::RegistryUnavailable {
        registry: subject.registry.to_owned(),
        problem,
        detail,
    }
}

/// What an engine says of itself in the place of any answer.
pub(crate) fn about_engine(address: &str, message: &str) -> Option<EngineError> {
    let version = message.contains("client version")
        && (message.contains("is too old") || message.contains("is too new"));
    version.then(|| EngineError::ApiVersion {
        address: address.to_owned(),
        detail: tidy(message),
    })
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
    let full = |text: &str| registry_words::read(text) == Answer::EngineDiskFull;
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
    if let Some(error) = about_engine(subject.address, message) {
        return error;
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
    let answer = registry_words::read(message);
    matches!(answer, Answer::Lost | Answer::Image(_))
        || names && !matches!(answer, Answer::Unknown | Answer::Unsupported)
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
        reason: UnsupportedImage::Probe,
        detail: detail.to_owned(),
    };
    let has = |needle: &str| message.contains(needle);
    if has("exec format error") {
        EngineError::ImageUnsupported {
            image: image.to_owned(),
            reason: UnsupportedImage::Platform {
                image: None,
                engine: None,
            },
            detail: tidy(message),
        }
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
    if let Some(error) = about_engine(&address, message) {
        return error;
    }
    if registry_words::read(message) == Answer::EngineDiskFull {
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

/// An engine's message as the inside of a sentence: one line, without a closing stop, not endless, without the web page
/// that a gateway sent. Engines with containerd's store say some refusals twice, each time on a line of its own.
pub(crate) fn tidy(message: &str) -> String {
    const LONGEST: usize = 600;
    let message = message.split(": \"<").next().unwrap_or_default();
    let mut lines: Vec<&str> = message.lines().collect();
    lines.dedup_by(|line, before| before.ends_with(line.trim()));
    let words = lines.iter().flat_map(|line| line.split_whitespace());
    let text = words.collect::<Vec<_>>().join(" ");
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

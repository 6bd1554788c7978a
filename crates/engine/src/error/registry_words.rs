//! Reads what an engine prints when a registry refuses a pull, a push or a login.
//!
//! Engines wrap a registry's answer in words of their own and drop most of it: Docker 20.10 keeps the text of an
//! error code and loses bodies of 5xx answers, engines with containerd's store ask with `HEAD` and report the status
//! alone. `golden/registry_answers.json` has the answers and both engines' words for them.

use super::{PushRefusal, RegistryProblem, UnsupportedImage};

/// What a registry's answer means, as far as the words tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There is no such repository or tag.
    NotFound,
    /// The account is unknown or lacks a right; only a login tells which.
    Denied,
    /// The project does not exist; some registries say so instead of `Denied`.
    ProjectMissing,
    /// A rule of the registry forbids it.
    Forbidden(PushRefusal),
    /// The registry does not support the operation, which a read-only one says of every push.
    Unsupported,
    /// The registry cannot be used.
    Problem(RegistryProblem),
    /// The image is of a kind the engine cannot use.
    Image(UnsupportedImage),
    /// The engine's store lacks a part of the image.
    Lost,
    /// The engine's own disk is full.
    EngineDiskFull,
    /// None of these.
    Unknown,
}

/// An engine that may use plain HTTP for a registry tries it after HTTPS was denied, or broke off, and reports
/// only what came last: what a TLS port says to plain HTTP.
pub(crate) const HTTP_AFTER_HTTPS: &str = "http request to an https server";

/// Phrases that tell by themselves, in the order in which they are looked for: an earlier row may appear in words
/// that a later row would misread (`no match for platform in manifest: not found`).
fn phrases() -> [(Answer, &'static [&'static str]); 21] {
    use RegistryProblem as Problem;
    let platform = UnsupportedImage::Platform {
        image: None,
        engine: None,
    };
    [
        (Answer::Lost, &["missing content", "content digest sha256"]),
        (
            Answer::Image(platform),
            &[
                "no matching manifest for",
                "no match for platform",
                "cannot be used on this platform",
                "does not match the specified platform",
            ],
        ),
        (
            Answer::Image(UnsupportedImage::Format),
            &[
                "unsupported media type",
                "unexpected media type",
                "is no longer supported since containerd",
                "distribution.manifest.v1+",
                "schema 1",
                "schema1",
                "unexpected end of json input",
                "missing signature key",
            ],
        ),
        (
            Answer::Image(UnsupportedImage::Scratch),
            &["'scratch' is a reserved name"],
        ),
        (
            Answer::Image(UnsupportedImage::TooManyLayers),
            &["max depth exceeded"],
        ),
        (Answer::Denied, &[HTTP_AFTER_HTTPS]),
        (
            Answer::Forbidden(PushRefusal::Quota),
            &[
                "will exceed the configured upper limit",
                "quota exceeded when",
                "storage quota",
                "quota has been exceeded",
            ],
        ),
        (Answer::Forbidden(PushRefusal::TagImmutable), &["immutable"]),
        (
            Answer::Problem(Problem::ReadOnly),
            &["read only mode", "read-only mode", "readonly mode"],
        ),
        (
            Answer::Problem(Problem::RateLimited { retry_after: None }),
            &["toomanyrequests", "too many requests", "rate limit"],
        ),
        (
            Answer::Forbidden(PushRefusal::Policy),
            &[
                "configured policy",
                "vulnerabilit",
                "not signed",
                "projectpolicyviolation",
            ],
        ),
        (
            Answer::Problem(Problem::NotARegistry),
            &[
                "(text/html)",
                "error unmarshalling content: invalid character",
                "no host in request url",
                "invalid checksum digest format",
            ],
        ),
        (
            Answer::Problem(Problem::CertificateExpired),
            &["certificate has expired or is not yet valid"],
        ),
        (
            Answer::Problem(Problem::UnknownAuthority),
            &["certificate signed by unknown authority"],
        ),
        (
            Answer::Problem(Problem::CertificateUnusable),
            &["x509:", "remote error: tls"],
        ),
        (
            Answer::Problem(Problem::PlainHttp),
            &[
                "first record does not look like a tls handshake",
                "server gave http response to https client",
            ],
        ),
        (
            Answer::Problem(Problem::LayerMissing),
            &["could not fetch content descriptor", "blob unknown"],
        ),
        (
            Answer::Problem(Problem::Unreachable),
            &[
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
                "proxyconnect",
                ": eof",
                "unexpected eof",
                "broken pipe",
                "use of closed network connection",
                "server closed idle connection",
                // Docker 20.10 takes an error page for the layer and finds that its digest is wrong.
                "filesystem layer verification failed",
            ],
        ),
        (Answer::ProjectMissing, &["project not found"]),
        (
            Answer::Denied,
            &[
                "denied",
                "unauthorized",
                "no basic auth credentials",
                "authentication required",
                "authorization failed",
                "insufficient_scope",
            ],
        ),
        (
            Answer::NotFound,
            &[
                "manifest unknown",
                "name unknown",
                "repository name not known",
                "not found",
                "no such image",
                "no such manifest",
                "does not exist",
            ],
        ),
    ]
}

/// Reads the words of an engine about a pull, push or login.
pub(crate) fn read(message: &str) -> Answer {
    let text = message.to_ascii_lowercase();
    // The registry's disk and the engine's disk are full in the same words; only what went through the registry's
    // answer is the registry's.
    if text.contains("no space left on device") || text.contains("disk quota exceeded") {
        return if text.contains("error from registry") {
            Answer::Problem(RegistryProblem::DiskFull)
        } else {
            Answer::EngineDiskFull
        };
    }
    if text.contains("project ") && text.contains(" not found") {
        return Answer::ProjectMissing;
    }
    let html = ["<html", "<!doctype"].iter().any(|tag| text.contains(tag));
    let phrase = phrases()
        .into_iter()
        .find(|(_, needles)| needles.iter().any(|needle| text.contains(needle)))
        .map(|(answer, _)| answer);
    let by_status = http_status(&text)
        .map(|status| of_status(status, html))
        .filter(|answer| *answer != Answer::Unknown);
    match (by_status, phrase) {
        // A status is exact, but its reason phrase or an error page may look like one of the phrases.
        (Some(by_status), None | Some(Answer::NotFound | Answer::Denied)) => by_status,
        (_, Some(by_phrase)) => by_phrase,
        (None, None) if text.contains("unsupported") => Answer::Unsupported,
        (None, None)
            if text.contains("unknown error") || text.contains("internal server error") =>
        {
            Answer::Problem(RegistryProblem::ServerError)
        }
        (None, None) => Answer::Unknown,
    }
}

/// The HTTP status in the words of both engines: `received unexpected HTTP status: 503 Service Unavailable`, `error
/// parsing HTTP 413 response body`, `unexpected status from HEAD request to URL: 403 Forbidden`, `failed with status:
/// 401 Unauthorized`, `failed with status code [manifests 1]: 401 Unauthorized`.
fn http_status(text: &str) -> Option<u16> {
    [
        "unexpected http status: ",
        "parsing http ",
        "failed with status: ",
    ]
    .iter()
    .find_map(|lead| text.split_once(lead).map(|(_, rest)| rest))
    .or_else(|| {
        let (_, rest) = text
            .split_once("unexpected status from ")
            .or_else(|| text.split_once("failed with status code "))?;
        rest.split_once(": ").map(|(_, rest)| rest)
    })
    .or_else(|| {
        text.split_once("unexpected status code ")
            .map(|(_, rest)| rest)
    })?
    .get(..3)?
    .parse()
    .ok()
    .filter(|status| (100..600).contains(status))
}

/// The meaning of an HTTP status. `html` tells that the answer was a web page.
fn of_status(status: u16, html: bool) -> Answer {
    use RegistryProblem as Problem;
    match status {
        401 | 403 => Answer::Denied,
        // A registry names what it does not find in JSON, which engines quote.
        404 if !html => Answer::NotFound,
        405 => Answer::Unsupported,
        408 => Answer::Problem(Problem::Unreachable),
        412 => Answer::Forbidden(PushRefusal::Policy),
        413 => Answer::Problem(Problem::LayerTooLarge),
        429 => Answer::Problem(Problem::RateLimited { retry_after: None }),
        507 => Answer::Problem(Problem::DiskFull),
        500.. => Answer::Problem(Problem::ServerError),
        200..=399 | 404 => Answer::Problem(Problem::NotARegistry),
        _ => Answer::Unknown,
    }
}

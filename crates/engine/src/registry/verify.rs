//! What only the registry itself can tell: whether it is one, and when a client it turned away may come back. An
//! engine takes any `200 OK` for a login, and does not pass `Retry-After` on.

use std::time::Duration;

use fastbuild_spec::{reference::ImageReference, settings::RegistrySettings};
use http::{Method, StatusCode, header};
use reqwest::Response;

use super::client::{Conversation, RegistryClient, pull_scope};
use crate::{EngineError, InsecureRegistries, RegistryProblem, error::classify::tidy};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(15);
/// Upper bound for a wait that a registry asks for.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(10);

/// Checks that what answers at `registry` is a registry: `GET /v2/` of the OCI distribution specification. One that cannot
/// be reached from here passes, since the engine alone must reach it. No account is sent, so the certificate, which
/// the engine judges, is not checked.
///
/// # Errors
/// `RegistryUnavailable` with `NotARegistry` for a web page or another service, with `PlainHttp` for a registry without
/// TLS that `insecure`, the engine's list, does not name.
pub async fn verify_registry(
    registry: &str,
    insecure: &InsecureRegistries,
) -> Result<(), EngineError> {
    let unusable = |problem, detail: String| EngineError::RegistryUnavailable {
        registry: registry.to_owned(),
        problem,
        detail: tidy(&detail),
    };
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .build();
    let Ok(client) = client else { return Ok(()) };
    let get = async |scheme: &str| {
        client
            .get(format!("{scheme}://{registry}/v2/"))
            .send()
            .await
    };
    let answer = match get("https").await {
        Ok(answer) => answer,
        Err(error) if error.is_timeout() => return Ok(()),
        // A TLS port answers plain HTTP with 400; why its handshake failed is for the engine to say.
        Err(_) => match get("http").await {
            Ok(answer) if answer.status() != StatusCode::BAD_REQUEST => {
                if !insecure.has(registry) {
                    let detail = "GET /v2/ is answered without TLS".to_owned();
                    return Err(unusable(RegistryProblem::PlainHttp, detail));
                }
                answer
            }
            _ => return Ok(()),
        },
    };
    match other_service(answer).await {
        Some(detail) => Err(unusable(RegistryProblem::NotARegistry, detail)),
        None => Ok(()),
    }
}

impl RegistryClient {
    /// How long the registry asks to wait before the image is pulled again; `None` where it answers normally, does not
    /// say, or cannot be reached from here.
    pub async fn retry_after(
        &self,
        account: &RegistrySettings,
        image: &ImageReference,
        insecure: &InsecureRegistries,
    ) -> Option<Duration> {
        let registry = image.registry().unwrap_or("docker.io");
        let scopes = [pull_scope(image)];
        let conversation = Conversation::begin(&self.http, account, registry, &scopes, insecure)
            .await
            .ok()?;
        let tag = image.digest().unwrap_or(image.tag());
        let path = format!("{}/manifests/{tag}", image.path());
        let answer = conversation
            .ask(Method::HEAD, &path, |request| request)
            .await
            .ok()?;
        matches!(
            answer.status(),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        )
        .then(|| seconds(&answer))?
    }
}

/// `Retry-After` in its form of seconds (RFC 9110 section 10.2.3), within bounds.
fn seconds(answer: &Response) -> Option<Duration> {
    let value = answer.headers().get(header::RETRY_AFTER)?;
    let seconds = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// Why an answer to `GET /v2/` is not a registry's; `None` if it may be one. Registries answer 200 with nothing or JSON, or 401
/// with a challenge; 429 and 5xx are a registry's bad moment.
async fn other_service(answer: Response) -> Option<String> {
    let status = answer.status();
    let header = |name| {
        let value = answer.headers().get(name)?;
        value.to_str().ok().map(str::to_ascii_lowercase)
    };
    if header("docker-distribution-api-version").is_some() {
        return None;
    }
    let kind = header("content-type").unwrap_or_default();
    match status.as_u16() {
        200 if kind.contains("html") => Some(format!("GET /v2/ is answered with {kind}")),
        200 => {
            let body = answer.bytes().await.unwrap_or_default();
            let json = body.trim_ascii().is_empty()
                || serde_json::from_slice::<serde_json::Value>(&body).is_ok();
            (!json).then(|| "GET /v2/ is not answered with JSON".to_owned())
        }
        401 if header("www-authenticate").is_none() => {
            Some("GET /v2/ is answered with 401 without a challenge".to_owned())
        }
        300..=399 | 404 | 405 | 410 => Some(format!("GET /v2/ is answered with {status}")),
        _ => None,
    }
}

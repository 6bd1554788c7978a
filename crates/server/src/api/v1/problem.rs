//! Problem details (RFC 9457): how version 1 answers a failure.

use axum::response::Response;
use fastbuild_spec::failure::{Failure, Fault, Language, ReasonCode};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::{IntoResponses, ToSchema};

use crate::{error::Error, http::localize::LocalizedBody};

/// The media type of problem details.
const MEDIA_TYPE: &str = "application/problem+json";

/// Problem details: what happened, whose it is and what to do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Names the kind of problem, by its code.
    #[serde(rename = "type")]
    #[schema(example = "urn:fastbuild:problem:SpecInvalid")]
    kind: String,
    /// The kind once more, as words.
    #[schema(example = "Spec invalid")]
    title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What happened, for a person.
    detail: String,
    /// The stable code of the reason.
    #[schema(example = "SpecInvalid")]
    code: String,
    /// The remedy, for a person.
    hint: String,
    /// `failed`: the request's fault; `errored`: the platform's.
    #[schema(example = "failed")]
    fault: &'static str,
    /// The culprit, where it is known: a package, a file, a host.
    #[serde(skip_serializing_if = "Option::is_none")]
    culprit: Option<String>,
    /// Every field that does not parse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// One field that does not parse.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Its JSON pointer (RFC 6901) in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/pip/packages/3")]
    pointer: Option<String>,
    /// The parameter's name, when it is none of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// What is wrong with it.
    detail: String,
}

impl Problem {
    /// A failure in a language.
    pub(crate) fn new(failure: &Failure, status: StatusCode, language: Language) -> Self {
        let code = failure.code.to_string();
        Self {
            kind: format!("urn:fastbuild:problem:{code}"),
            title: words(&code),
            status: status.as_u16(),
            detail: failure.message.in_language(language).to_owned(),
            hint: failure.hint.in_language(language).to_owned(),
            fault: fault(failure.code),
            culprit: failure.culprit.clone(),
            errors: failure
                .fields
                .iter()
                .map(|field| {
                    let path = Some(field.path.clone());
                    let (pointer, parameter) = if field.path.starts_with('/') {
                        (path, None)
                    } else {
                        (None, path)
                    };
                    FieldError {
                        pointer,
                        parameter,
                        detail: field.detail().in_language(language).to_owned(),
                    }
                })
                .collect(),
            code,
        }
    }
}

/// Writes the failure that a handler left in a response: the layer of version 1.
pub(crate) async fn render_error(mut response: Response) -> Response {
    let Some(error) = Error::take(&mut response) else {
        return response;
    };
    let status = error.status.unwrap_or_else(|| status(error.failure.code));
    LocalizedBody::new(MEDIA_TYPE, move |language| {
        json!(Problem::new(&error.failure, status, language))
    })
    .attach(response, status)
}

/// Whose fault a failure is, as a word.
pub(crate) fn fault(code: ReasonCode) -> &'static str {
    match code.fault() {
        Fault::Failed => "failed",
        Fault::Errored => "errored",
    }
}

/// `SpecInvalid` as `Spec invalid`.
fn words(code: &str) -> String {
    let mut words = String::with_capacity(code.len() + 4);
    for character in code.chars() {
        if character.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
            words.push(character.to_ascii_lowercase());
        } else {
            words.push(character);
        }
    }
    words
}

/// The status that follows from a reason.
fn status(code: ReasonCode) -> StatusCode {
    match code {
        ReasonCode::NotFound => StatusCode::NOT_FOUND,
        ReasonCode::TargetTaken | ReasonCode::WrongState | ReasonCode::InUse => {
            StatusCode::CONFLICT
        }
        ReasonCode::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
        // For a while: until somebody configures it, or its own database is back.
        ReasonCode::NotConfigured
        | ReasonCode::DatabaseUnavailable
        | ReasonCode::TooManyOpenFiles => StatusCode::SERVICE_UNAVAILABLE,
        ReasonCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        code if code.fault() == Fault::Failed => StatusCode::UNPROCESSABLE_ENTITY,
        // Something behind this service: an engine, a registry, a mirror.
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// What every endpoint of version 1 may answer instead of what it is for.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes answers to the OpenAPI document")]
pub(crate) enum Problems {
    /// The request's fault.
    #[response(status = "4XX", content_type = "application/problem+json")]
    Request(Problem),
    /// The platform's fault.
    #[response(status = "5XX", content_type = "application/problem+json")]
    Platform(Problem),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_title() {
        assert_eq!(words("SpecInvalid"), "Spec invalid");
        assert_eq!(words("Internal"), "Internal");
        assert_eq!(words("BaseImagePullDenied"), "Base image pull denied");
    }

    #[test]
    fn the_status_says_whose_it_is() {
        assert_eq!(status(ReasonCode::SpecInvalid), 422);
        assert_eq!(status(ReasonCode::IdempotencyKeyReused), 422);
        assert_eq!(status(ReasonCode::TargetTaken), 409);
        assert_eq!(status(ReasonCode::NotConfigured), 503);
        assert_eq!(status(ReasonCode::DatabaseUnavailable), 503);
        assert_eq!(status(ReasonCode::EngineUnreachable), 502);
        assert_eq!(status(ReasonCode::Internal), 500);
    }
}

//! `{code, msg, data}`, the shape of every answer of the old protocol.

use axum::response::{IntoResponse, Response};
use fastbuild_spec::failure::{Failure, Fault, ReasonCode, Sentence};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{IntoResponses, ToSchema};

use super::parameters::MAX_ROWS;
use crate::{error::Error, http::localize::LocalizedBody};

/// A successful answer as it goes over the wire.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Envelope<T> {
    /// 0: the request did what it asked for.
    #[schema(example = 0)]
    code: i32,
    /// What happened, for a person.
    #[schema(example = "success")]
    msg: String,
    /// The answer itself.
    data: T,
}

/// A refusal as it goes over the wire.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// -1: refused, and the caller can act on it.
    #[schema(example = -1)]
    code: i32,
    /// What happened and what to do, for a person.
    msg: String,
    /// Null, but for the word that old callers know a few refusals by, and for what came of a test
    /// callback.
    data: Option<Value>,
    /// The stable code of the reason.
    #[schema(example = "SpecInvalid")]
    reason: String,
}

impl ErrorBody {
    /// The body of a refusal.
    pub(crate) fn new(reason: String, msg: String, data: Option<Value>) -> Self {
        Self {
            code: -1,
            msg,
            data,
            reason,
        }
    }
}

/// A failure inside as it goes over the wire.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InternalErrorBody {
    /// The stable code of the reason.
    #[schema(example = "EngineUnreachable")]
    code: String,
    /// What happened and what to do, for a person.
    message: String,
    /// The same text once more, as callers read either.
    msg: String,
    /// Always null.
    data: Option<Value>,
}

impl InternalErrorBody {
    /// The body of a failure inside.
    pub(crate) fn new(reason: String, msg: String) -> Self {
        Self {
            code: reason,
            message: msg.clone(),
            msg,
            data: None,
        }
    }
}

/// What every endpoint may answer instead of what it is for.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes answers to the OpenAPI document")]
pub(crate) enum Failures {
    /// A refusal. Those of the endpoint itself come as HTTP 200 with the same body; 404, 405 and
    /// 413 are for requests that reach no endpoint.
    #[response(status = "4XX")]
    Refused(ErrorBody),
    /// Something inside failed: the engine, the registry, the database.
    #[response(status = 500)]
    Failed(InternalErrorBody),
}

/// What a handler answers: a sentence in both languages, and data.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    msg: Sentence,
    data: T,
}

impl<T> Reply<T> {
    /// The plain answer of the old protocol, which says "success" in either language.
    pub(crate) fn success(data: T) -> Self {
        Self {
            msg: Sentence::new("success", "success"),
            data,
        }
    }

    /// A list without paging: says so where it is cut to the newest rows.
    pub(crate) fn newest(is_cut: bool, data: T) -> Self {
        if is_cut {
            Self::with_message(
                format!("success：仅返回最新的 {MAX_ROWS} 条记录。"),
                format!("success: these are the newest {MAX_ROWS} rows only."),
                data,
            )
        } else {
            Self::success(data)
        }
    }

    /// What is answered.
    pub(crate) fn data(&self) -> &T {
        &self.data
    }

    /// An answer with a sentence of its own.
    pub(crate) fn with_message(zh: impl Into<String>, en: impl Into<String>, data: T) -> Self {
        Self {
            msg: Sentence::new(zh, en),
            data,
        }
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        let Self { msg, data } = self;
        match serde_json::to_value(data) {
            Ok(data) => LocalizedBody::json(move |language| {
                success(msg.in_language(language), data.clone())
            })
            .into_response(),
            Err(error) => Error::internal(format!("failed to write an answer as JSON: {error}"))
                .into_response(),
        }
    }
}

/// What a handler answers when it did as asked and what it tried failed: why, and what was found.
#[derive(Debug)]
pub(crate) struct FailedReply<T> {
    failure: Failure,
    data: T,
}

impl<T> FailedReply<T> {
    /// The failure in both languages, with data.
    pub(crate) fn new(failure: Failure, data: T) -> Self {
        Self { failure, data }
    }
}

impl<T: Serialize> IntoResponse for FailedReply<T> {
    fn into_response(self) -> Response {
        let Self { failure, data } = self;
        match serde_json::to_value(data) {
            Ok(data) => LocalizedBody::json(move |language| {
                json!(ErrorBody::new(
                    failure.code.to_string(),
                    failure.sentence(language),
                    Some(data.clone()),
                ))
            })
            .into_response(),
            Err(error) => Error::internal(format!("failed to write an answer as JSON: {error}"))
                .into_response(),
        }
    }
}

/// An answer that is a sentence and nothing else: the endpoints of `config` give it as `msg` and
/// as `data`.
#[derive(Debug)]
pub(crate) struct MessageOnly(Sentence);

impl MessageOnly {
    /// The sentence in both languages.
    pub(crate) fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self(Sentence::new(zh, en))
    }
}

impl IntoResponse for MessageOnly {
    fn into_response(self) -> Response {
        LocalizedBody::json(move |language| {
            let sentence = self.0.in_language(language);
            success(sentence, sentence.into())
        })
        .into_response()
    }
}

fn success(msg: &str, data: Value) -> Value {
    json!(Envelope {
        code: 0,
        msg: msg.to_owned(),
        data
    })
}

/// Writes the failure that a handler left in a response: the layer of the old protocol.
///
/// What a caller can act on is HTTP 200 with `code` -1, since callers test `code` and show `msg` to a
/// person, and a browser client shows only the status text of anything else. What failed inside is HTTP 500
/// with the reason's name as `code`, and the text under both names that callers read.
pub(crate) async fn render_error(mut response: Response) -> Response {
    let Some(error) = Error::take(&mut response) else {
        return response;
    };
    let code = error.failure.code;
    let is_refusal = error.is_refusal || is_refusal(code);
    let status = error.status.unwrap_or_else(|| status(is_refusal));
    LocalizedBody::json(move |language| {
        let msg = error.failure.sentence(language);
        if is_refusal {
            json!(ErrorBody::new(
                code.to_string(),
                msg,
                error.data.map(Value::from)
            ))
        } else {
            json!(InternalErrorBody::new(code.to_string(), msg))
        }
    })
    .attach(response, status)
}

fn status(is_refusal: bool) -> StatusCode {
    if is_refusal {
        StatusCode::OK
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    }
}

/// Whether the caller can act on it. An unconfigured service is the platform's fault, yet the
/// one who asks is often the one who configures, and old callers expect `code` -1.
fn is_refusal(code: ReasonCode) -> bool {
    code.fault() == Fault::Failed || code == ReasonCode::NotConfigured
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_can_act_on_is_no_server_error() {
        let status = |code| status(is_refusal(code));
        assert_eq!(status(ReasonCode::SpecInvalid), 200);
        assert_eq!(status(ReasonCode::NotConfigured), 200);
        assert_eq!(status(ReasonCode::BaseImageNotFound), 200);
        assert_eq!(status(ReasonCode::EngineUnreachable), 500);
        assert_eq!(status(ReasonCode::RegistryLoginFailed), 500);
        assert_eq!(status(ReasonCode::Internal), 500);
    }
}

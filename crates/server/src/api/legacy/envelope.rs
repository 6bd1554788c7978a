//! `{code, msg, data}`, the shape of every answer of the old protocol.

use axum::response::{IntoResponse, Response};
use fastbuild_spec::failure::Sentence;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoResponses, ToSchema};

use crate::{error::Error, http::localize};

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
    /// Null, but for the word that old callers know a few refusals by.
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
            Ok(data) => localize::localized(StatusCode::OK, move |language| {
                body(msg.in_language(language), data.clone())
            }),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written as JSON");
                Error::internal().into_response()
            }
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
        localize::localized(StatusCode::OK, move |language| {
            let sentence = self.0.in_language(language);
            body(sentence, sentence.into())
        })
    }
}

fn body(msg: &str, data: Value) -> Value {
    serde_json::json!(Envelope {
        code: 0,
        msg: msg.to_owned(),
        data
    })
}

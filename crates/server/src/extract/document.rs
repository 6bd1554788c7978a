//! A build document as a JSON or YAML body, and its idempotency key.

use axum::extract::{FromRequest, FromRequestParts, Request};
use fastbuild_spec::{
    failure::{Failure, FieldError, ReasonCode, Sentence},
    request::{Syntax, read},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde_json::Value;

use super::{body, json};
use crate::error::Error;

/// A build document. `Content-Type` says its syntax; without one, what begins with `{` is JSON.
#[derive(Debug)]
pub(crate) struct Document(pub(crate) Value);

impl<S: Sync> FromRequest<S> for Document {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Error> {
        let declared = declared(request.headers());
        let body = body::read(request, json::LIMIT).await?;
        body::work_on(body, move |body| parse(body, declared))
            .await?
            .map(Self)
    }
}

fn parse(body: &[u8], declared: Option<Syntax>) -> Result<Value, Error> {
    let malformed = |Sentence { zh, en }: Sentence| {
        let failure = Failure::new(
            ReasonCode::SpecInvalid,
            format!("请求体{zh}。"),
            format!("The request's body cannot be read: {en}."),
        );
        Error::from(failure).with_status(StatusCode::BAD_REQUEST)
    };
    let text = std::str::from_utf8(body)
        .map_err(|_| malformed(Sentence::new("不是 UTF-8 文本", "it is no UTF-8 text")))?;
    let syntax = declared.unwrap_or_else(|| {
        if text.trim_start().starts_with('{') {
            Syntax::Json
        } else {
            Syntax::Yaml
        }
    });
    read(text, syntax).map_err(|error| malformed(error.sentence()))
}

fn declared(headers: &HeaderMap) -> Option<Syntax> {
    let media_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let media_type = media_type.split(';').next()?.trim().to_ascii_lowercase();
    if media_type.ends_with("/json") || media_type.ends_with("+json") {
        Some(Syntax::Json)
    } else if media_type.contains("yaml") {
        Some(Syntax::Yaml)
    } else {
        None
    }
}

const KEY: &str = "idempotency-key";
const MAX_KEY_LENGTH: usize = 255;

/// The `Idempotency-Key` of a request, where it has one.
#[derive(Debug)]
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        let Some(value) = parts.headers.get(KEY) else {
            return Ok(Self(None));
        };
        let key = value
            .to_str()
            .ok()
            .filter(|key| (1..=MAX_KEY_LENGTH).contains(&key.len()));
        match key {
            Some(key) => Ok(Self(Some(key.to_owned()))),
            None => Err(Failure::invalid_fields(&[FieldError::without_value(
                "Idempotency-Key",
                Sentence::new(
                    format!("应为 1 到 {MAX_KEY_LENGTH} 个可见 ASCII 字符"),
                    format!("must be 1 to {MAX_KEY_LENGTH} visible ASCII characters"),
                ),
            )])
            .into()),
        }
    }
}

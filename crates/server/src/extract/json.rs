//! A JSON body.

use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use bytes::Bytes;
use fastbuild_spec::{
    failure::Sentence,
    wire::{self, FieldError},
};
use http::StatusCode;
use serde::de::DeserializeOwned;

use super::{MEGABYTE, refuse_announced, too_large, unreadable};
use crate::error::Error;

/// Far more than the longest package list needs.
const LIMIT: usize = 2 * MEGABYTE;

/// A JSON body, whatever content type it is sent with: the callers in the field differ.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let body = body(request, state).await?;
        let parser = &mut serde_json::Deserializer::from_slice(&body);
        let value =
            serde_path_to_error::deserialize(&mut *parser).map_err(|error| explain(&error))?;
        parser.end().map_err(|error| malformed(&error))?;
        Ok(Self(value))
    }
}

/// The whole body, within the limit.
pub(super) async fn body<S: Send + Sync>(mut request: Request, state: &S) -> Result<Bytes, Error> {
    refuse_announced(request.headers(), LIMIT)?;
    DefaultBodyLimit::max(LIMIT).apply(&mut request);
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                too_large(LIMIT)
            } else {
                unreadable(
                    "请求体没有完整到达。",
                    "The request's body did not arrive whole.",
                )
            }
        })
}

fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    if !error.inner().is_data() {
        return malformed(error.inner());
    }
    let path = match error.path().to_string() {
        root if root == "." => "body".to_owned(),
        path => path,
    };
    let allowed = allowed(&error.inner().to_string());
    wire::failure(&[FieldError::without_value(path, allowed)]).into()
}

/// What the parser expected, without repeating what it found: that may be a secret.
fn allowed(said: &str) -> Sentence {
    let expected = said.split_once(", expected ").map(|(_, rest)| {
        rest.split_once(" at line")
            .map_or(rest, |(expected, _)| expected)
    });
    match expected {
        Some("a string") => Sentence::new("应为文本", "must be a string"),
        Some("a map") => Sentence::new("应为 JSON 对象", "must be a JSON object"),
        Some(other) => Sentence::new(format!("应为 {other}"), format!("must be {other}")),
        None => Sentence::new("的值无效", "is not valid"),
    }
}

fn malformed(error: &serde_json::Error) -> Error {
    let (line, column) = (error.line(), error.column());
    unreadable(
        format!("请求体不是有效的 JSON（第 {line} 行第 {column} 列附近）。"),
        format!("The request's body is no valid JSON (near line {line}, column {column})."),
    )
}

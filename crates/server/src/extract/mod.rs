//! Extractors. Each rejects with a failure that names the field; none lets a rejection of axum through.

mod body;
mod document;
mod files;
mod form;
mod json;
mod path;
mod query;

pub(crate) use body::off_async_threads;
pub(crate) use document::{Document, IdempotencyKey};
pub(crate) use files::receive_files;
pub(crate) use form::Form;
pub(crate) use json::{Json, JsonBody};
pub(crate) use path::Path;
pub(crate) use query::Query;

use fastbuild_spec::failure::{Failure, ReasonCode, Sentence};
use http::{HeaderMap, StatusCode, header};

use crate::error::Error;

const MEGABYTE: usize = 1 << 20;

/// What a field that must be there is refused with.
fn required() -> Sentence {
    Sentence::new("是必填项", "is required")
}

/// A request that cannot be read as a whole.
fn unreadable(zh: impl Into<String>, en: impl Into<String>) -> Error {
    Failure::new(ReasonCode::SpecInvalid, zh, en).into()
}

/// A form that is none.
fn no_form() -> Error {
    unreadable(
        "该接口的请求体应为 multipart/form-data 格式，并在 Content-Type 中带有 boundary。",
        "This endpoint takes a body of type multipart/form-data whose Content-Type has a boundary.",
    )
}

/// The length of the body, where the request says it.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Refuses a body that says it is beyond the limit, before any of it is read.
fn reject_announced(headers: &HeaderMap, limit: usize) -> Result<(), Error> {
    match announced(headers) {
        Some(length) if length > limit as u64 => Err(too_large(limit)),
        _ => Ok(()),
    }
}

/// A body beyond the limit.
fn too_large(limit: usize) -> Error {
    let megabytes = limit / MEGABYTE;
    let failure = Failure::new(
        ReasonCode::SpecInvalid,
        format!("请求体超过 {megabytes} MB 的上限。"),
        format!("The request's body is larger than the limit of {megabytes} MB."),
    )
    .with_hint("请减小请求内容后重新提交。", "Send less in one request.");
    status_too_large(failure)
}

/// The answer to a body beyond its limit.
fn status_too_large(failure: Failure) -> Error {
    Error::from(failure).with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

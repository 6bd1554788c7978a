//! What a handler takes from a request. Each extractor refuses with the envelope and names the
//! field; none lets the framework's own rejections through.

mod form;
mod json;
mod query;

pub(crate) use form::Form;
pub(crate) use json::Json;
pub(crate) use query::Query;

use fastbuild_spec::failure::{Failure, ReasonCode, Sentence};
use http::StatusCode;

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

/// A body beyond the limit.
fn too_large(limit: usize) -> Error {
    let megabytes = limit / MEGABYTE;
    let failure = Failure::new(
        ReasonCode::SpecInvalid,
        format!("请求体超过 {megabytes} MB 的上限。"),
        format!("The request's body is larger than the limit of {megabytes} MB."),
    )
    .hinting("请减小请求内容后重新提交。", "Send less in one request.");
    Error::from(failure).with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

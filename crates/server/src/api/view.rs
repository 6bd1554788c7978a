//! Answers that the old protocol and version 1 share.

use std::collections::BTreeMap;

use fastbuild_builder::{CallbackTry, SigningOrigin};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Whether callbacks are signed, as what says so is called, and when it was said.
pub(crate) fn of_signing(origin: SigningOrigin) -> (bool, &'static str, Option<Timestamp>) {
    match origin {
        SigningOrigin::Set { signing, at } => (signing, "api", Some(at)),
        SigningOrigin::Configuration => (true, "configuration", None),
        SigningOrigin::None => (false, "none", None),
    }
}

/// What came of a callback that was just sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TriedCallback {
    /// Where to.
    url: String,
    /// The headers that were sent; `***` stands for the values of those that look like credentials.
    request_headers: BTreeMap<String, String>,
    /// The body that was sent.
    request_body: String,
    /// The answer's HTTP status; null when there was no answer.
    status: Option<u16>,
    /// The first 4 KB of the answer's body.
    body: String,
    /// Milliseconds until the answer, or until it was given up.
    duration_ms: u64,
    /// Why there was no answer; null when there was one.
    error: Option<String>,
}

impl From<CallbackTry> for TriedCallback {
    fn from(tried: CallbackTry) -> Self {
        Self {
            url: tried.url,
            request_headers: tried.request_headers,
            request_body: tried.request_body,
            status: tried.status,
            body: tried.body,
            duration_ms: tried.duration_ms,
            error: tried.error,
        }
    }
}

//! A multipart form (RFC 7578), small enough to be held in memory.

use std::collections::BTreeMap;

use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, multipart::MultipartError};
use bytes::Bytes;
use http::StatusCode;

use super::{MEGABYTE, no_form, reject_announced, too_large, unreadable};
use crate::error::Error;

/// Three certificates and a handful of names, many times over.
const LIMIT: usize = 4 * MEGABYTE;

/// The parts of a multipart form. No `Debug`: a form holds passwords and keys.
pub(crate) struct Form {
    /// Their contents by field name; of a field that came twice, the last one.
    pub(crate) parts: BTreeMap<String, Bytes>,
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Error;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Error> {
        reject_announced(request.headers(), LIMIT)?;
        DefaultBodyLimit::max(LIMIT).apply(&mut request);
        let mut multipart = Multipart::from_request(request, state)
            .await
            .map_err(|_rejection| no_form())?;
        let mut parts = BTreeMap::new();
        while let Some(field) = multipart
            .next_field()
            .await
            .map_err(|error| explain(&error))?
        {
            let Some(name) = field.name().map(str::to_owned) else {
                continue;
            };
            parts.insert(name, field.bytes().await.map_err(|error| explain(&error))?);
        }
        Ok(Self { parts })
    }
}

fn explain(error: &MultipartError) -> Error {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large(LIMIT);
    }
    unreadable(
        "multipart/form-data 请求体不完整或格式有误。",
        "The multipart/form-data body is incomplete or malformed.",
    )
}

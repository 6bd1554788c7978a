//! A multipart form (RFC 7578) that fits into memory.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request},
};
use bytes::Bytes;

use super::{MEGABYTE, body, no_form, unreadable};
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

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let (head, body) = request.into_parts();
        // Read whole before it is taken apart, so that it counts among the bodies in memory.
        let body = body::read(Request::from_parts(head.clone(), body), LIMIT).await?;
        let mut request = Request::from_parts(head, Body::from(Bytes::clone(&body)));
        DefaultBodyLimit::disable().apply(&mut request);
        let mut multipart = Multipart::from_request(request, state)
            .await
            .map_err(|_rejection| no_form())?;
        let mut parts = BTreeMap::new();
        while let Some(field) = multipart
            .next_field()
            .await
            .map_err(|_malformed| incomplete())?
        {
            let Some(name) = field.name().map(str::to_owned) else {
                continue;
            };
            let content = field.bytes().await.map_err(|_malformed| incomplete())?;
            parts.insert(name, content);
        }
        Ok(Self { parts })
    }
}

fn incomplete() -> Error {
    unreadable(
        "multipart/form-data 请求体不完整或格式有误。",
        "The multipart/form-data body is incomplete or malformed.",
    )
}

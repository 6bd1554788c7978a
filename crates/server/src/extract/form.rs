//! A multipart form (RFC 7578), small enough to be held in memory.

use std::collections::BTreeMap;

use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, multipart::MultipartError};
use bytes::Bytes;
use fastbuild_spec::failure::{Failure, FieldError, Sentence};
use http::StatusCode;

use super::{MEGABYTE, no_form, reject_announced, required, too_large, unreadable};
use crate::error::Error;

/// Three certificates and a handful of names, many times over.
const LIMIT: usize = 4 * MEGABYTE;

/// The fields of a multipart form. What is missing is collected while the fields are read, so
/// that one answer names all of it. No `Debug`: a form holds passwords and keys.
pub(crate) struct Form {
    fields: BTreeMap<String, Bytes>,
    errors: Vec<FieldError>,
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Error;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Error> {
        reject_announced(request.headers(), LIMIT)?;
        DefaultBodyLimit::max(LIMIT).apply(&mut request);
        let mut multipart = Multipart::from_request(request, state)
            .await
            .map_err(|_rejection| no_form())?;
        let mut fields = BTreeMap::new();
        while let Some(field) = multipart
            .next_field()
            .await
            .map_err(|error| explain(&error))?
        {
            let Some(name) = field.name().map(str::to_owned) else {
                continue;
            };
            fields.insert(name, field.bytes().await.map_err(|error| explain(&error))?);
        }
        Ok(Self {
            fields,
            errors: Vec::new(),
        })
    }
}

impl Form {
    /// Makes something of the fields, or names every field that is wrong.
    pub(crate) fn read<T>(mut self, make: impl FnOnce(&mut Self) -> T) -> Result<T, Error> {
        let read = make(&mut self);
        if self.errors.is_empty() {
            Ok(read)
        } else {
            Err(Failure::invalid_fields(&self.errors).into())
        }
    }

    /// The text of a field that must be there and must not be empty.
    pub(crate) fn required(&mut self, name: &'static str) -> String {
        let text = self.text(name).unwrap_or_default();
        if text.is_empty() && !self.errors.iter().any(|error| error.path == name) {
            self.errors
                .push(FieldError::without_value(name, required()));
        }
        text
    }

    /// The text of a field, or `default` where it is missing or empty.
    pub(crate) fn optional(&mut self, name: &'static str, default: &str) -> String {
        self.text(name)
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| default.to_owned())
    }

    /// The content of a file; none where it is missing or empty, as browsers send an empty part
    /// for a file that was not chosen.
    pub(crate) fn file(&mut self, name: &'static str) -> Option<Bytes> {
        self.fields
            .remove(name)
            .filter(|content| !content.is_empty())
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        match String::from_utf8(self.fields.remove(name)?.into()) {
            Ok(text) => Some(text),
            Err(_not_utf8) => {
                let allowed = Sentence::new("应为 UTF-8 文本", "must be UTF-8 text");
                self.errors.push(FieldError::without_value(name, allowed));
                None
            }
        }
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

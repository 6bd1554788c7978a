//! Streams the files of a multipart form (RFC 7578) to the catalog.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream},
    extract::{
        DefaultBodyLimit, FromRequest as _, Multipart, Request,
        multipart::{Field, MultipartError},
    },
};
use bytes::Bytes;
use fastbuild_builder::catalog::upload::{self, PartError, Upload};
use fastbuild_spec::failure::{Failure, FieldError, Sentence};
use futures_util::{Stream, StreamExt as _};

use super::{announced, no_form, status_too_large, unreadable};
use crate::error::Error;

/// The field the files are in.
const FILES: &str = "files";
/// What the boundaries, headers and text fields of a form may have beside its files.
const FORM_OVERHEAD: u64 = 1 << 20;
/// How much may arrive in which there is neither the start of a field nor a part of one; it is held
/// in memory until there is.
const MAX_UNPARSED: u64 = 1 << 20;
/// How long a file's next part may keep us waiting.
const CHUNK_TIMEOUT: Duration = Duration::from_mins(1);
/// The longest text of a field that is no file.
const TEXT: usize = 4096;

/// The text fields that say where the files go, for callers that have them in the form and not
/// behind the question mark.
#[derive(Debug, Default)]
pub(crate) struct Whereto {
    /// The installer of a mirror file.
    pub(crate) installer: Option<String>,
    /// The group of a mirror file, the protocol's `type`.
    pub(crate) group: Option<String>,
}

/// Receives the files of a form. `begin` is asked where they go when the first file comes; the text
/// fields before it are known by then.
///
/// Files of more than `limit` bytes are refused before they are read where the request says its
/// length, else as soon as they pass it. Memory is spent on one chunk at a time.
pub(crate) async fn receive_files(
    request: Request,
    limit: u64,
    begin: impl FnOnce(&Whereto) -> Result<Upload, Failure>,
) -> Result<Upload, Error> {
    if announced(request.headers())
        .is_some_and(|length| length > limit.saturating_add(FORM_OVERHEAD))
    {
        return Err(status_too_large(upload::too_large(limit)));
    }
    let unread = Arc::new(AtomicU64::new(0));
    let mut request = request.map(|body| {
        Body::from_stream(Counted {
            body: body.into_data_stream(),
            unread: Arc::clone(&unread),
        })
    });
    DefaultBodyLimit::disable().apply(&mut request);
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|_rejection| no_form())?;
    let mut whereto = Whereto::default();
    let mut begin = Some(begin);
    let mut upload = None;
    while let Some(field) = form.next_field().await.map_err(|error| explain(&error))? {
        unread.store(0, Ordering::Relaxed);
        let name = field.name().unwrap_or_default().to_owned();
        let Some(file_name) = field.file_name().map(str::to_owned) else {
            let text = text(field, &name).await?;
            match name.as_str() {
                FILES => return Err(no_file(&name)),
                "installer" => whereto.installer = Some(text),
                "type" => whereto.group = Some(text),
                // Callers may say more than we ask for.
                _ => {}
            }
            continue;
        };
        if name != FILES {
            return Err(no_file(&name));
        }
        if let Some(begin) = begin.take() {
            upload = Some(begin(&whereto)?);
        }
        if let Some(upload) = &mut upload {
            receive(field, &file_name, upload, &unread).await?;
        }
    }
    match (upload, begin) {
        (Some(upload), _) => Ok(upload),
        // No file came: the builder says so, or first what else is missing.
        (None, Some(begin)) => Ok(begin(&whereto)?),
        (None, None) => Err(Error::internal("an upload was begun twice")),
    }
}

async fn receive(
    mut field: Field<'_>,
    file_name: &str,
    upload: &mut Upload,
    unread: &AtomicU64,
) -> Result<(), Error> {
    let mut file = upload.file(file_name).await?;
    while let Some(part) = next(&mut field).await? {
        unread.store(0, Ordering::Relaxed);
        file.write(&part).await.map_err(|error| match error {
            PartError::TooLarge(failure) => status_too_large(failure),
            PartError::Unwritable(failure) => failure.into(),
        })?;
    }
    Ok(file.end().await?)
}

/// The next part of a file. A sender that stops without hanging up is not waited for: its upload
/// ends, and what came of it is removed.
async fn next(field: &mut Field<'_>) -> Result<Option<Bytes>, Error> {
    let part = tokio::time::timeout(CHUNK_TIMEOUT, field.chunk()).await;
    part.map_err(|_elapsed| {
        unreadable(
            "上传长时间没有收到数据，已放弃。",
            "Nothing of the upload came for too long; it was given up.",
        )
    })?
    .map_err(|error| explain(&error))
}

async fn text(mut field: Field<'_>, name: &str) -> Result<String, Error> {
    let mut text = Vec::new();
    while let Some(part) = field.chunk().await.map_err(|error| explain(&error))? {
        text.extend_from_slice(&part);
        if text.len() > TEXT {
            let allowed = Sentence::new(
                format!("的文本超过 {TEXT} 字节"),
                format!("must be a text of at most {TEXT} bytes"),
            );
            return Err(
                Failure::invalid_fields(&[FieldError::without_value(name, allowed)]).into(),
            );
        }
    }
    String::from_utf8(text).map_err(|_not_utf8| {
        let allowed = Sentence::new("应为 UTF-8 文本", "must be UTF-8 text");
        Failure::invalid_fields(&[FieldError::without_value(name, allowed)]).into()
    })
}

fn no_file(name: &str) -> Error {
    let allowed = Sentence::new(
        "不是上传字段：文件应放在字段 files 中，并带有文件名",
        "does not take it: files go into the field `files`, with their names",
    );
    Failure::invalid_fields(&[FieldError::without_value(name, allowed)]).into()
}

fn explain(error: &MultipartError) -> Error {
    tracing::debug!(%error, "a form broke off");
    unreadable(
        "multipart/form-data 请求体不完整或格式有误。",
        "The multipart/form-data body is incomplete or malformed.",
    )
}

/// A body that ends with an error when too much of it makes no sense.
struct Counted {
    body: BodyDataStream,
    unread: Arc<AtomicU64>,
}

impl Stream for Counted {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.unread.load(Ordering::Relaxed) > MAX_UNPARSED {
            let error = axum::Error::new("the form's fields do not begin");
            return Poll::Ready(Some(Err(error)));
        }
        let polled = self.body.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(chunk))) = &polled {
            self.unread.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
        polled
    }
}

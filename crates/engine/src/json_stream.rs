//! The stream of JSON messages in the response to a pull, push or classic build: one object per line, an
//! `errorDetail` object if the operation failed (Docker Engine API, "Build an image",
//! "Create an image", "Push an image").

use bytes::{Bytes, BytesMut};
use fastbuild_spec::event::Progress;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use serde::Deserialize;

use crate::{Engine, EngineError, ProgressSender, error::source::chain};

/// Upper bound for one message.
const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// One message.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Message {
    /// Text of a classic build.
    pub(crate) stream: Option<String>,
    /// What happens to the layer `id`, or to the image.
    pub(crate) status: Option<String>,
    pub(crate) id: Option<String>,
    #[serde(rename = "progressDetail", default)]
    pub(crate) progress: Option<ProgressDetail>,
    error: Option<String>,
    #[serde(rename = "errorDetail")]
    error_detail: Option<ErrorDetail>,
    /// The result: digest of a push, image id of a build.
    #[serde(default)]
    pub(crate) aux: Option<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct ProgressDetail {
    current: Option<i64>,
    total: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct ErrorDetail {
    message: Option<String>,
}

impl Message {
    /// The error this message is, if it is one.
    pub(crate) fn error(&self) -> Option<&str> {
        self.error_detail
            .as_ref()
            .and_then(|detail| detail.message.as_deref())
            .or(self.error.as_deref())
    }

    /// Reports a `status` message: a layer's travel or a line of the log.
    pub(crate) fn report(&self, progress: &ProgressSender) {
        let Some(status) = &self.status else { return };
        let status = status.trim_end();
        match &self.id {
            Some(layer) if is_layer(layer) => {
                let bytes =
                    |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
                let detail = self.progress.as_ref();
                progress.send(Progress::Transfer {
                    layer: layer.clone(),
                    status: status.to_owned(),
                    current: detail
                        .and_then(|detail| bytes(detail.current))
                        .unwrap_or_default(),
                    total: detail
                        .and_then(|detail| bytes(detail.total))
                        .filter(|total| *total > 0),
                });
            }
            Some(id) => progress.line(&format!("{id}: {status}")),
            None => progress.line(status),
        }
    }
}

/// Layers go by the first twelve digits of their digest; tags share the field.
fn is_layer(id: &str) -> bool {
    id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Why a JSON message stream failed.
pub(crate) enum StreamError {
    /// The engine reports that the operation failed, with this message.
    Refused(String),
    /// The stream broke off.
    Broken(EngineError),
}

/// An error answer's text: the `message` of its JSON object, or the whole of it.
pub(crate) fn error_text(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Answer {
        message: String,
    }
    serde_json::from_slice::<Answer>(body).map_or_else(
        |_| String::from_utf8_lossy(body).trim().to_owned(),
        |answer| answer.message,
    )
}

/// The JSON messages of one response.
pub(crate) struct Messages {
    body: Incoming,
    buffer: BytesMut,
    address: String,
}

impl Engine {
    /// Sends a request whose response is a JSON message stream. Dropping the result closes the connection.
    pub(crate) async fn stream_json<B>(&self, request: Request<B>) -> Result<Messages, StreamError>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let response = self
            .transport()
            .send(request)
            .await
            .map_err(StreamError::Broken)?;
        let status = response.status();
        let body = response.into_body();
        if status == StatusCode::OK {
            return Ok(Messages {
                body,
                buffer: BytesMut::new(),
                address: self.address().to_owned(),
            });
        }
        let text = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        Err(StreamError::Refused(error_text(&text)))
    }
}

impl Messages {
    /// The next message; `None` at the end. A message that is an error is returned as one.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, StreamError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                match self.parse(&line)? {
                    Some(message) => return Ok(Some(message)),
                    None => continue,
                }
            }
            if self.buffer.len() > MAX_LINE_BYTES {
                return Err(self.broken("a line without end"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(self.broken(&chain(&error))),
                None => {
                    let rest: Bytes = self.buffer.split().freeze();
                    return self.parse(&rest);
                }
            }
        }
    }

    fn parse(&self, line: &[u8]) -> Result<Option<Message>, StreamError> {
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let message: Message = serde_json::from_slice(line)
            .map_err(|error| self.broken(&format!("a message that is no JSON ({error})")))?;
        match message.error() {
            Some(error) => Err(StreamError::Refused(error.to_owned())),
            None => Ok(Some(message)),
        }
    }

    fn broken(&self, detail: &str) -> StreamError {
        StreamError::Broken(EngineError::Lost {
            address: self.address.clone(),
            detail: detail.to_owned(),
        })
    }
}

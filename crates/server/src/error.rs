//! A failure on its way to the caller. It is logged here, once, and travels in the response's extensions;
//! each surface has one layer that writes it in its own shape ([`crate::api::legacy::envelope::render_error`],
//! [`crate::api::v1::problem::render_error`]).

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use fastbuild_spec::failure::{Failure, Fault, FieldErrors, ReasonCode};
use fastbuild_store::StoreError;
use http::{HeaderValue, Method, StatusCode, Uri, header};

/// A failure on its way to the caller.
#[derive(Debug, Clone)]
pub(crate) struct Error {
    /// What the caller is told.
    pub(crate) failure: Arc<Failure>,
    /// A status that HTTP itself asks for, instead of the one that follows from the failure.
    pub(crate) status: Option<StatusCode>,
    /// Whether the old protocol tells it as what the caller can act on, whatever failed.
    pub(crate) is_refusal: bool,
    /// The word in `data` by which old callers know this failure.
    pub(crate) data: Option<&'static str>,
    /// What the log says and the caller does not see.
    cause: Option<Arc<str>>,
    /// When to ask again, in seconds.
    retry_after: Option<u32>,
}

impl Error {
    /// A fault of this service.
    ///
    /// `cause` is for the log: what could not be done, and why.
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        let failure = Failure::new(
            ReasonCode::Internal,
            "FastBuild 内部发生错误。",
            "FastBuild met an internal fault.",
        );
        Self {
            cause: Some(cause.to_string().into()),
            ..Self::from(failure)
        }
    }

    /// A failure that the old protocol answers with HTTP 200 and `code` -1 even where an engine or a registry
    /// failed: the callers of the operation show nothing of another status.
    pub(crate) fn refusal(failure: Failure) -> Self {
        Self {
            is_refusal: true,
            ..failure.into()
        }
    }

    /// The same failure, answered with this status.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// The same failure, which is over in so many seconds.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The same failure, with the word in `data` by which old callers know it.
    pub(crate) fn with_data(mut self, word: &'static str) -> Self {
        self.data = Some(word);
        self
    }

    /// Takes the failure that a handler left in a response, for the layer that writes it.
    pub(crate) fn take(response: &mut Response) -> Option<Self> {
        response.extensions_mut().remove()
    }

    /// Writes the failure into the log: what the operator must act on as an error or a warning, what the
    /// caller did wrong not at all.
    fn log(&self) {
        let Failure { code, .. } = *self.failure;
        let failure = self
            .failure
            .sentence(fastbuild_spec::failure::Language::English);
        let cause = self.cause.as_deref();
        match code {
            ReasonCode::Internal | ReasonCode::DatabaseUnavailable => {
                tracing::error!(%code, cause, failure, "request failed");
            }
            code if code.fault() == Fault::Errored && !is_normal(code) => {
                tracing::warn!(%code, cause, failure, "request failed");
            }
            _ => {}
        }
    }
}

/// Whether a failure of the platform is part of its normal life: it is not configured yet, or has no room for
/// one more client.
fn is_normal(code: ReasonCode) -> bool {
    matches!(code, ReasonCode::NotConfigured | ReasonCode::TooManyStreams)
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self {
            failure: Arc::new(failure),
            status: None,
            is_refusal: false,
            data: None,
            cause: None,
            retry_after: None,
        }
    }
}

impl From<FieldErrors> for Error {
    fn from(errors: FieldErrors) -> Self {
        Failure::from(errors).into()
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self {
            cause: Some(error.to_string().into()),
            ..error.failure().into()
        }
    }
}

impl IntoResponse for Error {
    /// An empty response that carries the failure to the layer of its surface.
    fn into_response(self) -> Response {
        self.log();
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The answer to a path that nothing serves.
pub(crate) async fn unknown_route(method: Method, uri: Uri) -> Error {
    let path = uri.path();
    let failure = Failure::new(
        ReasonCode::NotFound,
        format!("没有 {method} {path} 这个接口。"),
        format!("There is no {method} {path}."),
    )
    .with_hint(
        "全部接口见 /docs。",
        "All endpoints are listed under /docs.",
    );
    Error::from(failure).with_status(StatusCode::NOT_FOUND)
}

/// The answer to a path that is served, but not with this method; the `Allow` header names those
/// that are.
pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> Error {
    let path = uri.path();
    let failure = Failure::new(
        ReasonCode::NotFound,
        format!("接口 {path} 不支持 {method} 方法。"),
        format!("{path} does not take {method}."),
    )
    .with_hint(
        "请使用响应头 Allow 中列出的方法，全部接口见 /docs。",
        "Use a method that the Allow header lists; all endpoints are under /docs.",
    );
    Error::from(failure).with_status(StatusCode::METHOD_NOT_ALLOWED)
}

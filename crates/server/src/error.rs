//! The one place where a failure becomes an HTTP answer, with a face for each surface. Version 1
//! answers problem details ([`crate::api::v1::problem`]). In the old protocol:
//!
//! What a caller can act on is HTTP 200 with `code` -1, since callers test `code` and show `msg`
//! to a person, and a browser client shows only the status text of anything else. What failed
//! inside is HTTP 500 with the reason's name as `code`, and the text under both names that
//! callers read.

use axum::response::{IntoResponse, Response};
use fastbuild_spec::failure::{Failure, Fault, FieldErrors, ReasonCode};
use fastbuild_store::StoreError;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use serde_json::{Value, json};

use crate::{
    api::legacy::envelope::{ErrorBody, InternalErrorBody},
    api::v1::problem::{self, Problem},
    http::localize,
};

/// A failure on its way to the caller.
#[derive(Debug)]
pub(crate) struct Error {
    // Boxed, as most results that could hold one hold none.
    failure: Box<Failure>,
    /// A status that HTTP itself asks for, instead of the one that follows from the failure.
    status: Option<StatusCode>,
    /// The word that old callers know this refusal by.
    data: Option<&'static str>,
    /// When to ask again, in seconds.
    retry_after: Option<u32>,
}

impl Error {
    /// A fault of ours whose detail is in the log.
    pub(crate) fn internal() -> Self {
        Failure::new(
            ReasonCode::Internal,
            "FastBuild 内部发生错误。",
            "FastBuild met an internal fault.",
        )
        .into()
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

    /// The same refusal, with the word in `data` that old callers know it by.
    pub(crate) fn with_data(mut self, word: &'static str) -> Self {
        self.data = Some(word);
        self
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self {
            failure: Box::new(failure),
            status: None,
            data: None,
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
        tracing::error!(%error, "the store failed");
        error.failure().into()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Self {
            failure,
            status,
            data,
            retry_after,
        } = self;
        let problem_status = status.unwrap_or_else(|| problem::status(failure.code));
        let refused = is_refusal(failure.code);
        let status = status.unwrap_or(if refused {
            StatusCode::OK
        } else {
            tracing::error!(%failure, "request failed inside");
            StatusCode::INTERNAL_SERVER_ERROR
        });
        let told = failure.clone();
        let answer = localize::localized(status, move |language| {
            let msg = failure.sentence(language);
            let code = failure.code.to_string();
            if refused {
                json!(ErrorBody::new(code, msg, data.map(Value::from)))
            } else {
                json!(InternalErrorBody::new(code, msg))
            }
        });
        let mut answer = localize::with_problem(answer, problem_status, move |language| {
            json!(Problem::new(&told, problem_status, language))
        });
        if let Some(seconds) = retry_after {
            answer
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

/// Whether the caller can act on it. An unconfigured service is the platform's fault, yet the
/// one who asks is often the one who configures, and old callers expect a refusal.
fn is_refusal(code: ReasonCode) -> bool {
    code.fault() == Fault::Failed || code == ReasonCode::NotConfigured
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_can_act_on_is_no_server_error() {
        let status = |code| {
            Error::from(Failure::new(code, "。", "."))
                .into_response()
                .status()
                .as_u16()
        };
        assert_eq!(status(ReasonCode::SpecInvalid), 200);
        assert_eq!(status(ReasonCode::NotConfigured), 200);
        assert_eq!(status(ReasonCode::BaseImageNotFound), 200);
        assert_eq!(status(ReasonCode::EngineUnreachable), 500);
        assert_eq!(status(ReasonCode::RegistryLoginFailed), 500);
        assert_eq!(status(ReasonCode::Internal), 500);
    }
}

//! One line in the log per request, at debug: method, path, status and milliseconds. Never the query or a
//! body, which hold what callers build, and never a header.

use std::time::Duration;

use axum::{body::Body, extract::Request, response::Response};
use tracing::Span;

/// The layer that writes the lines. A macro, for its type has no short name.
macro_rules! layer {
    () => {
        ::tower_http::trace::TraceLayer::new_for_http()
            .make_span_with($crate::http::request_log::span)
            .on_request(())
            .on_response($crate::http::request_log::answered)
            .on_body_chunk(())
            .on_eos(())
            .on_failure(())
    };
}
pub(crate) use layer;

/// What every line written during a request carries. Of the highest level, so that a filter that
/// lets a line through never takes its method and path away.
pub(crate) fn span(request: &Request) -> Span {
    tracing::error_span!(
        "request",
        http.method = %request.method(),
        http.path = request.uri().path(),
    )
}

/// The line that ends a request, for those who look for it: what goes wrong is logged where it is known why.
pub(crate) fn answered(response: &Response<Body>, latency: Duration, _span: &Span) {
    let status = response.status().as_u16();
    let duration_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(http.status = status, duration_ms, "answered a request");
}

//! How people and platforms talk to FastBuild over HTTP. Knows the builder's verbs and what the
//! store remembers; knows no Docker and holds no rule.
//!
//! A map of the room, in the order a request passes through it:
//!
//! | file | what it is |
//! |---|---|
//! | `lib.rs` | [`router`]: the layers (log, language, origins, panics) around all routes; [`openapi`] |
//! | `log.rs` | one line per request, without what is in it |
//! | `options.rs`, `state.rs` | what the server is told at its start, and what every handler can reach |
//! | `controllers.rs` | where each controller enters itself; the routes are gathered from there |
//! | `api/legacy/*.rs` | the old protocol, one file per controller; a file dropped in is served |
//! | `api/v1/*.rs` | version 1 of the API, likewise: plain JSON, and problem details for failures |
//! | `api/parameters.rs`, `api/site_form.rs` | parameters and forms that several of them take |
//! | `api/pieces.rs`, `api/build_query.rs` | lists of version 1, a piece at a time, and which builds they show |
//! | `extract/` | what a handler takes from a request; a refusal names the field |
//! | `view/` | what a handler answers: rows of the store in the protocol's shapes |
//! | `streams/` | following builds: few reads for any number of clients |
//! | `task_files.rs` | step logs and Dockerfiles under `/task`, as text, while the build runs |
//! | `envelope.rs` | `{code, msg, data}`, the shape of every answer |
//! | `error.rs`, `problem.rs` | the one place where a failure becomes an HTTP answer, and its face in version 1 |
//! | `linger.rs` | bodies that are refused while they are still being sent |
//! | `language.rs` | Chinese or English, from `Accept-Language`; answers are put into words last |
//! | `docs.rs` | the OpenAPI document with its pages |
//! | `health.rs`, `metrics.rs` | the sign of life, what the service depends on, its version, and it in numbers |
//!
//! Answers stay unworded until the language layer sees them: handlers, extractors, the fallback
//! for unknown routes and the panic handler all leave a sentence in both languages, and one place
//! chooses. So nothing escapes as a bare 500, and no handler asks for the language to say "success".

mod api;
mod controllers;
mod docs;
mod envelope;
mod error;
mod extract;
mod health;
mod language;
mod linger;
mod log;
mod metrics;
mod options;
mod problem;
mod state;
mod streams;
mod task_files;
mod view;

use std::any::Any;

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::any,
};
use tower_http::catch_panic::CatchPanicLayer;

pub use docs::openapi;
pub use options::{AllowedOrigins, BuildInfo, InvalidOrigin, ServerOptions};
pub use state::AppState;

use crate::error::Error;

/// Everything the service answers over HTTP.
pub fn router(state: AppState, options: &ServerOptions) -> Router {
    let (routes, document) = controllers::routes().split_for_parts();
    let catch_panics = || CatchPanicLayer::custom(answer_panic);
    let open_to_browsers = routes
        // Without this, an unknown path of the protocol would lack the headers that let a page
        // of another origin read the answer.
        .route("/api/fast-build/{*unknown}", any(error::unknown_route))
        .route("/api/v1/{*unknown}", any(error::unknown_route))
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(catch_panics())
        .layer(options.allowed_origins.layer());
    let own = docs::router(&document)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(catch_panics());
    open_to_browsers
        .merge(own)
        .fallback(error::unknown_route)
        .layer(from_fn(language::speak))
        .layer(from_fn(linger::linger))
        .layer(from_fn_with_state(state.metrics().clone(), metrics::count))
        .layer(log::layer!())
        .with_state(state)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands over what it caught"
)]
fn answer_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    tracing::error!(panic = text, "a handler panicked");
    Error::internal().into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn panics() {
        panic!("boom")
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_like_any_other() {
        let router: Router = Router::new()
            .route("/", get(panics))
            .layer(CatchPanicLayer::custom(answer_panic))
            .layer(from_fn(language::speak));
        let request = Request::get("/")
            .header("accept-language", "en")
            .body(Body::empty())
            .unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 500);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], "Internal");
        assert_eq!(body["msg"], body["message"]);
        assert!(!body.to_string().contains("boom"), "{body}");
    }
}

//! All routes: the controllers gathered, and the layers around them.

use std::any::Any;

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state, map_response},
    response::{IntoResponse as _, Response},
    routing::any,
};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::{OpenApi, tag::TagBuilder};

use crate::{
    api::{Controller, Surface, legacy::envelope, v1::problem},
    error::{self, Error},
    http::{drain_body, localize, request_log, request_metrics},
    openapi::{complete, pages, titled},
    options::ServerOptions,
    state::AppState,
};

/// Everything the service answers over HTTP.
pub fn router(state: AppState, options: &ServerOptions) -> Router {
    let Routes {
        legacy,
        v1,
        ops,
        document,
    } = Routes::gather();
    let catch_panics = || CatchPanicLayer::custom(answer_panic);
    // The fallbacks for unknown paths belong to the surfaces: their answers too have the surface's shape, and
    // the headers that let a page of another origin read them.
    let legacy = legacy
        .route("/api/fast-build/{*unknown}", any(error::unknown_route))
        .merge(ops)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(catch_panics())
        .layer(map_response(envelope::render_error));
    let v1 = v1
        .route("/api/v1/{*unknown}", any(error::unknown_route))
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(catch_panics())
        .layer(map_response(problem::render_error));
    let pages = pages(&document)
        .method_not_allowed_fallback(error::method_not_allowed)
        .fallback(error::unknown_route)
        .layer(catch_panics())
        .layer(map_response(envelope::render_error));
    legacy
        .merge(v1)
        .layer(options.allowed_origins.layer())
        .merge(pages)
        .layer(from_fn(localize::localize))
        .layer(from_fn(drain_body::drain_body))
        .layer(from_fn_with_state(
            state.metrics().clone(),
            request_metrics::count,
        ))
        .layer(request_log::layer!())
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
    Error::internal(format!("a handler panicked: {text}")).into_response()
}

/// The routes of all controllers by surface, and the document that describes them.
struct Routes {
    legacy: Router<AppState>,
    v1: Router<AppState>,
    ops: Router<AppState>,
    document: OpenApi,
}

impl Routes {
    /// Gathers what the controllers submitted, in alphabetic order: the order in which the linker lays them
    /// down is not defined.
    fn gather() -> Self {
        let mut controllers: Vec<_> = inventory::iter::<Controller>().collect();
        controllers.sort_by_key(|controller| controller.name);
        let mut gathered = Self {
            legacy: Router::new(),
            v1: Router::new(),
            ops: Router::new(),
            document: titled(),
        };
        for controller in controllers {
            let (routes, document) = (controller.routes)().split_for_parts();
            let surface = match controller.surface {
                Surface::Legacy => &mut gathered.legacy,
                Surface::V1 => &mut gathered.v1,
                Surface::Ops => &mut gathered.ops,
            };
            *surface = std::mem::take(surface).merge(routes);
            gathered.document.merge(document);
            gathered.document.tags.get_or_insert_default().push(
                TagBuilder::new()
                    .name(controller.name)
                    .description(Some(controller.purpose))
                    .build(),
            );
        }
        complete(&mut gathered.document);
        gathered
    }
}

/// The OpenAPI document of everything the service answers, controllers in alphabetic order.
pub fn openapi() -> OpenApi {
    Routes::gather().document
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
            .layer(map_response(envelope::render_error))
            .layer(from_fn(localize::localize));
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

    /// The names of the controllers of a folder's files: those that submit one.
    fn submitted_in(folder: &str, prefix: &str) -> Vec<String> {
        let folder = format!("{}/src/api/{folder}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .filter(|path| {
                let text = std::fs::read_to_string(path).unwrap();
                text.contains("inventory::submit! {")
            })
            .map(|path| format!("{prefix}{}", path.file_stem().unwrap().to_str().unwrap()))
            .collect()
    }

    #[test]
    fn a_controller_that_no_mod_line_declares_is_found() {
        let mut files = submitted_in("legacy", "");
        files.extend(submitted_in("v1", "v1 "));
        files.extend(submitted_in("ops", ""));
        files.sort();
        let mut names: Vec<&str> = inventory::iter::<Controller>()
            .map(|controller| controller.name)
            .collect();
        names.sort_unstable();
        assert_eq!(names, files);
    }
}

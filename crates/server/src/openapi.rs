//! The OpenAPI document and the pages that show it. Everything comes from the binary, since a
//! site may have no way to the internet.

use axum::{
    Router,
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use http::header;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, RefOr};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{
    api::{
        legacy::envelope::{ErrorBody, InternalErrorBody},
        v1::problem::{FieldError, Problem},
    },
    error::Error,
    state::AppState,
};

/// Where Swagger UI reads the document.
const FOR_SWAGGER: &str = "/api-docs/openapi.json";

/// The document at two addresses, and Swagger UI at `/docs`. What is kept is the text that is sent, which takes a
/// small part of the memory of what it was made from.
pub(crate) fn pages(document: &OpenApi) -> Router<AppState> {
    let text = document
        .to_json()
        .map(Bytes::from)
        .map_err(|error| error.to_string());
    let serve = move || async move { answer(text) };
    Router::new()
        .route("/openapi.json", get(serve.clone()))
        .route(FOR_SWAGGER, get(serve))
        .merge(SwaggerUi::new("/docs").config(Config::from(FOR_SWAGGER)))
}

fn answer(text: Result<Bytes, String>) -> Response {
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => Error::internal(format!("failed to write the OpenAPI document: {error}"))
            .into_response(),
    }
}

/// A document that says what this service is, with no route yet.
pub(crate) fn titled() -> OpenApi {
    let info = InfoBuilder::new()
        .title("FastBuild")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Builds container images from a structured request on a remote Docker Engine, pushes \
             them to a registry and calls back. Every answer under `/api/fast-build/` is \
             `{code, msg, data}`; `code` 0 is success, -1 a refusal the caller can act on. \
             Under `/api/v1/` answers are plain JSON, and failures problem details (RFC 9457). \
             Messages are Chinese, or English where `Accept-Language` prefers it.",
        ))
        .build();
    let components = ComponentsBuilder::new()
        .schema_from::<ErrorBody>()
        .schema_from::<InternalErrorBody>()
        .schema_from::<Problem>()
        .schema_from::<FieldError>()
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .build()
}

/// Says of every answer what is true of all of them, where its route says nothing; and gives each
/// operation a name of its own, since several controllers have a `list`.
pub(crate) fn complete(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let said = if path.starts_with("/api/v1/") {
            "The answer."
        } else {
            "The answer, or a refusal: `code` -1, `data` null, and `msg` says what to do."
        };
        let operations = [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            let tag = operation.tags.iter().flatten().next();
            if let (Some(tag), Some(name)) = (tag, &operation.operation_id) {
                operation.operation_id = Some(format!("{tag}_{name}").replace([' ', '-'], "_"));
            }
            for answer in operation.responses.responses.values_mut() {
                if let RefOr::T(answer) = answer
                    && answer.description.is_empty()
                {
                    said.clone_into(&mut answer.description);
                }
            }
        }
    }
}

//! Path parameters.

use axum::extract::{FromRequestParts, RawPathParams, rejection::RawPathParamsRejection};
use fastbuild_spec::failure::{Failure, ReasonCode};
use http::{StatusCode, request::Parts};
use serde::de::DeserializeOwned;

use crate::error::Error;

/// What varies in a path, such as `{id}` or `{name}`. What does not fit names nothing, so it is rejected with
/// 404 and named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_rejection) => {
                let raw = RawPathParams::from_request_parts(parts, state).await;
                Err(not_found(parts.uri.path(), raw))
            }
        }
    }
}

fn not_found(path: &str, raw: Result<RawPathParams, RawPathParamsRejection>) -> Error {
    let name = match raw {
        Ok(raw) => raw
            .iter()
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
            .join("/"),
        // What is no UTF-8 once it is decoded is shown as it was sent.
        Err(_) => path.to_owned(),
    };
    let failure = Failure::new(
        ReasonCode::NotFound,
        format!("没有编号或名称为 {name} 的对象。"),
        format!("There is nothing with the number or name {name}."),
    )
    .with_culprit(name)
    .with_hint(
        "请使用列表接口返回的编号或名称。",
        "Use a number or name that the list of these objects shows.",
    );
    Error::from(failure).with_status(StatusCode::NOT_FOUND)
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing::get};
    use http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn culprit(path: &str) -> (StatusCode, Option<String>) {
        let router: Router = Router::new().route(
            "/things/{id}",
            get(async |Path(_): Path<i64>| StatusCode::OK),
        );
        let request = Request::get(path).body(Body::empty()).unwrap();
        let mut response = router.oneshot(request).await.unwrap();
        let error = Error::take(&mut response);
        let status = error.as_ref().and_then(|error| error.status);
        (
            status.unwrap_or(response.status()),
            error.and_then(|error| error.failure.culprit.clone()),
        )
    }

    #[tokio::test]
    async fn what_does_not_fit_is_not_found_by_its_name() {
        assert_eq!(culprit("/things/7").await, (StatusCode::OK, None));
        for (path, name) in [
            ("/things/seven", "seven"),
            ("/things/a%20b", "a b"),
            ("/things/9223372036854775808", "9223372036854775808"),
            ("/things/%ff", "/things/%ff"),
        ] {
            let expected = (StatusCode::NOT_FOUND, Some(name.to_owned()));
            assert_eq!(culprit(path).await, expected, "{path}");
        }
    }
}

//! The number of a build in a path.

use axum::extract::{FromRequestParts, Path};
use fastbuild_spec::failure::Failure;
use http::request::Parts;

use crate::error::Error;

/// The build's number, `{id}` in the path. What is no number is no build's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuildId(pub(crate) i64);

impl<S: Send + Sync> FromRequestParts<S> for BuildId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let id = Path::<i64>::from_request_parts(parts, state).await;
        // No build has the number 0.
        id.map(|Path(id)| Self(id))
            .map_err(|_| Failure::build_not_found(0).into())
    }
}

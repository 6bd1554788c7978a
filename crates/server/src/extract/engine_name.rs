//! The name of an engine in a path.

use axum::extract::{FromRequestParts, Path};
use fastbuild_builder::no_such_engine;
use http::request::Parts;

use crate::error::Error;

/// The engine's name, `{name}` in the path. What is no text is no engine's.
#[derive(Debug, Clone)]
pub(crate) struct EngineName(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for EngineName {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        name.map(|Path(name)| Self(name))
            .map_err(|_| no_such_engine("").into())
    }
}

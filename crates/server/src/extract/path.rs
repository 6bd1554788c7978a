//! What a path names beside builds.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

/// The number of a row, `{id}` in the path. What is no number becomes 0, which no row has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowNumber(pub(crate) i64);

impl<S: Send + Sync> FromRequestParts<S> for RowNumber {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let number = Path::<i64>::from_request_parts(parts, state).await;
        Ok(Self(number.map(|Path(number)| number).unwrap_or_default()))
    }
}

/// The one word that varies in a path. What does not decode is empty, which nothing is called.
#[derive(Debug)]
pub(crate) struct PathWord(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathWord {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let word = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(word.map(|Path(word)| word).unwrap_or_default()))
    }
}

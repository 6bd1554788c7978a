//! A JSON body.

use axum::extract::{FromRequest, Request};
use fastbuild_spec::failure::{Failure, FieldError, Sentence};
use http::StatusCode;
use serde::de::DeserializeOwned;

use super::{MEGABYTE, body, required, unreadable};
use crate::error::Error;

/// Far more than the longest package list needs.
pub(super) const LIMIT: usize = 2 * MEGABYTE;

/// A JSON body, whatever content type it is sent with: the callers in the field differ.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned + Send + 'static> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Error> {
        let body = body::read(request, LIMIT).await?;
        body::work_on(body, read_json).await?.map(Self)
    }
}

fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let parser = &mut serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut *parser).map_err(|error| explain(&error))?;
    parser.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// The JSON object of a request of version 1; each field that is wrong is named by its JSON pointer
/// (RFC 6901).
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned + Send + 'static> FromRequest<S> for JsonBody<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Error> {
        let body = body::read(request, LIMIT).await?;
        body::work_on(body, read_fields).await?.map(Self)
    }
}

fn read_fields<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let unreadable =
        |error: &serde_json::Error| malformed(error).with_status(StatusCode::BAD_REQUEST);
    let parser = &mut serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut *parser).map_err(|error| {
        let inner = error.inner();
        if inner.is_data() {
            Failure::invalid_fields(&[misfit(error.path(), &inner.to_string())]).into()
        } else {
            unreadable(inner)
        }
    })?;
    parser.end().map_err(|error| unreadable(&error))?;
    Ok(value)
}

/// What is wrong with a field, from where the parser stood and what it said.
fn misfit(path: &serde_path_to_error::Path, said: &str) -> FieldError {
    let at = pointer(path);
    // These two are told at the object that lacks the field or has it.
    if let Some(name) = quoted(said, "missing field `") {
        return FieldError::without_value(format!("{at}/{}", escaped(name)), required());
    }
    if let Some(name) = quoted(said, "unknown field `") {
        let place = format!("{at}/{}", escaped(name));
        let at = if at.ends_with(&format!("/{}", escaped(name))) {
            at
        } else {
            place
        };
        let allowed = Sentence::new("不是该请求的字段", "is no field of this request");
        return FieldError::without_value(at, allowed);
    }
    FieldError::without_value(
        if at.is_empty() { "body".to_owned() } else { at },
        allowed(said),
    )
}

fn quoted<'a>(said: &'a str, before: &str) -> Option<&'a str> {
    said.strip_prefix(before)?.split('`').next()
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", escaped(key))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// A name as a JSON pointer writes it.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    if !error.inner().is_data() {
        return malformed(error.inner());
    }
    let path = match error.path().to_string() {
        root if root == "." => "body".to_owned(),
        path => path,
    };
    let allowed = allowed(&error.inner().to_string());
    Failure::invalid_fields(&[FieldError::without_value(path, allowed)]).into()
}

/// What the parser expected, without repeating what it found: that may be a secret.
fn allowed(said: &str) -> Sentence {
    let expected = said.split_once(", expected ").map(|(_, rest)| {
        rest.split_once(" at line")
            .map_or(rest, |(expected, _)| expected)
    });
    match expected {
        Some("a string") => Sentence::new("应为文本", "must be a string"),
        Some(map) if map == "a map" || map.starts_with("struct ") => {
            Sentence::new("应为 JSON 对象", "must be a JSON object")
        }
        Some("u8" | "u16" | "u32" | "u64" | "i8" | "i16" | "i32" | "i64") => {
            Sentence::new("应为范围内的整数", "must be a whole number within bounds")
        }
        Some(other) => Sentence::new(format!("应为 {other}"), format!("must be {other}")),
        None => Sentence::new("的值无效", "is not valid"),
    }
}

fn malformed(error: &serde_json::Error) -> Error {
    let (line, column) = (error.line(), error.column());
    unreadable(
        format!("请求体不是有效的 JSON（第 {line} 行第 {column} 列附近）。"),
        format!("The request's body is no valid JSON (near line {line}, column {column})."),
    )
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what cannot be read matters")]
    struct Outer {
        inner: Inner,
        #[serde(default)]
        many: Vec<u8>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what cannot be read matters")]
    struct Inner {
        word: String,
        kind: Kind,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        One,
        Two,
    }

    #[test]
    fn each_misfit_has_its_pointer() {
        let said = |text: &str| {
            let parser = &mut serde_json::Deserializer::from_str(text);
            let error = serde_path_to_error::deserialize::<_, Outer>(parser).unwrap_err();
            let misfit = misfit(error.path(), &error.inner().to_string());
            format!("{} {}", misfit.path, misfit.detail().en)
        };
        insta::assert_snapshot!(said("{}"), @"/inner is required");
        insta::assert_snapshot!(said(r#"{"inner": {"word": "a"}}"#), @"/inner/kind is required");
        insta::assert_snapshot!(said(r#"{"inner": {"word": 1}}"#), @"/inner/word must be a string");
        insta::assert_snapshot!(said(r#"{"inner": {"kind": "three"}}"#), @"/inner/kind must be `one` or `two`");
        insta::assert_snapshot!(said(r#"{"inner": {"a/b": 1}}"#), @"/inner/a~1b is no field of this request");
        insta::assert_snapshot!(said(r#"{"many": [1, 300]}"#), @"/many/1 must be a whole number within bounds");
        insta::assert_snapshot!(said("[]"), @"body must be a JSON object");
    }
}

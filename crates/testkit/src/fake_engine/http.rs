//! What requests and answers of the Engine API have in common.

use std::collections::HashMap;

use axum::{
    Json,
    http::{StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

pub(super) fn missing(what: &str, name: &str) -> Response {
    let message = format!("No such {what}: {name}");
    (StatusCode::NOT_FOUND, Json(json!({"message": message}))).into_response()
}

pub(super) fn lines(messages: &[Value]) -> Response {
    messages
        .iter()
        .map(|message| format!("{message}\r\n"))
        .collect::<Vec<_>>()
        .concat()
        .into_response()
}

/// The output of a container without a terminal (Docker Engine API, "Attach to a container"): frames
/// with the stream's number and the length before them.
pub(super) fn framed(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut framed = vec![1, 0, 0, 0];
    framed.extend(length.to_be_bytes());
    framed.extend(text.as_bytes());
    framed
}

pub(super) fn query(uri: &Uri) -> HashMap<String, String> {
    serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default()
}

/// A path without its `/v1.40` in front.
pub(super) fn unversioned(path: &str) -> &str {
    match path.strip_prefix("/v1.") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => path,
    }
}

/// A path part without its percent signs (RFC 3986, section 2.1).
pub(super) fn decoded(text: &str) -> String {
    // As the value of a form field whose plus signs are written out, since those mean blanks there.
    let pair = format!("x={}", text.replace('+', "%2B"));
    serde_urlencoded::from_str::<Vec<(String, String)>>(&pair)
        .ok()
        .and_then(|pairs| pairs.into_iter().next())
        .map_or_else(|| text.to_owned(), |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_percent_signs_leave_a_path() {
        assert_eq!(unversioned("/v1.40/images/a/json"), "/images/a/json");
        assert_eq!(unversioned("/_ping"), "/_ping");
        assert_eq!(decoded("127.0.0.1%3A5000/a+b:1"), "127.0.0.1:5000/a+b:1");
    }

    #[test]
    fn output_is_framed_as_the_engine_frames_it() {
        assert_eq!(framed("ab"), [1, 0, 0, 0, 0, 0, 0, 2, b'a', b'b']);
    }
}

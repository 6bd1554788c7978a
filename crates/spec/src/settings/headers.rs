//! The rules for the headers that go with every callback.

use http::{HeaderName, HeaderValue};

use super::CallbackHeaders;
use crate::failure::{FieldError, FieldErrors, Sentence};

/// Checks names and values of callback headers against HTTP (RFC 9110, 5.1 and 5.5).
///
/// # Errors
/// Every header that HTTP does not allow, by its name; no value is repeated, as any may be a
/// credential.
pub fn check_headers(headers: &CallbackHeaders) -> Result<(), FieldErrors> {
    let errors: FieldErrors = headers
        .iter()
        .filter_map(|(name, value)| {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                let allowed = Sentence::new(
                    "应为 HTTP 头部名称（字母、数字和连字符）",
                    "must be an HTTP header name (letters, digits and hyphens)",
                );
                Some(FieldError::new(name, name, allowed))
            } else if HeaderValue::from_str(value).is_err() {
                let allowed = Sentence::new(
                    "应为单行可见 ASCII 文本",
                    "must be one line of visible ASCII text",
                );
                Some(FieldError::without_value(name, allowed))
            } else {
                None
            }
        })
        .collect();
    errors.or(Some(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_http_refuses_is_named_and_no_value_repeated() {
        let headers = CallbackHeaders::from([
            ("X-Token".to_owned(), "secret".to_owned()),
            ("X Bad".to_owned(), "1".to_owned()),
            ("X-Lines".to_owned(), "secret\r\nX-Other: 1".to_owned()),
        ]);
        let errors = check_headers(&headers).unwrap_err();
        let told: Vec<_> = errors
            .reported()
            .iter()
            .map(|one| (one.path.as_str(), one.value.as_str()))
            .collect();
        assert_eq!(told, [("X Bad", "X Bad"), ("X-Lines", "")]);
    }
}

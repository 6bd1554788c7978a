//! The language of an answer, and the layer that writes answers that hold sentences.
//!
//! Chinese is the default, as the callers of the old protocol are Chinese; a caller that prefers English says
//! so in `Accept-Language` (RFC 9110, section 12.5.4).

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRequestParts, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use fastbuild_spec::failure::Language;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use serde_json::Value;

/// The language of the request, for answers whose data holds sentences.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InLanguage(pub(crate) Language);

impl<S: Sync> FromRequestParts<S> for InLanguage {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(preferred(&parts.headers)))
    }
}

/// A JSON body that is written once the language is known. It travels in the response's extensions to
/// [`localize`].
#[derive(Clone)]
pub(crate) struct LocalizedBody {
    media_type: &'static str,
    write: Arc<dyn Fn(Language) -> Value + Send + Sync>,
}

impl LocalizedBody {
    /// A body of this media type, made by `write` in the language that the caller prefers.
    pub(crate) fn new(
        media_type: &'static str,
        write: impl Fn(Language) -> Value + Send + Sync + 'static,
    ) -> Self {
        Self {
            media_type,
            write: Arc::new(write),
        }
    }

    /// A body of type `application/json`.
    pub(crate) fn json(write: impl Fn(Language) -> Value + Send + Sync + 'static) -> Self {
        Self::new("application/json", write)
    }

    /// Gives a response this body and status; its headers stay.
    pub(crate) fn attach(self, mut response: Response, status: StatusCode) -> Response {
        *response.status_mut() = status;
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for LocalizedBody {
    fn into_response(self) -> Response {
        self.attach(Response::default(), StatusCode::OK)
    }
}

/// The layer that writes every [`LocalizedBody`].
pub(crate) async fn localize(request: Request, next: Next) -> Response {
    let language = preferred(request.headers());
    let mut response = next.run(request).await;
    let Some(LocalizedBody { media_type, write }) = response.extensions_mut().remove() else {
        return response;
    };
    let (mut parts, _empty) = response.into_parts();
    let headers = &mut parts.headers;
    // The length of the empty body it had so far.
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(
        header::CONTENT_LANGUAGE,
        HeaderValue::from_static(tag(language)),
    );
    headers.append(header::VARY, HeaderValue::from_static("accept-language"));
    Response::from_parts(parts, Body::from(write(language).to_string()))
}

fn tag(language: Language) -> &'static str {
    match language {
        Language::Chinese => "zh",
        Language::English => "en",
    }
}

/// English where the header weighs it higher than Chinese, else Chinese.
fn preferred(headers: &HeaderMap) -> Language {
    let ranges: Vec<(&str, u16)> = headers
        .get_all(header::ACCEPT_LANGUAGE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(parse_range)
        .collect();
    let english = weight(&ranges, "en");
    let chinese = weight(&ranges, "zh");
    // The same weight twice: what was written first, as people write what they prefer first.
    let english_first = || position(&ranges, "en") < position(&ranges, "zh");
    if english > chinese || (english == chinese && english > 0 && english_first()) {
        Language::English
    } else {
        Language::Chinese
    }
}

/// A language range and its weight in thousandths; `None` for what does not parse.
fn parse_range(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let weight = match parts.next() {
        None => 1000,
        Some(parameter) => {
            let (name, value) = parameter.split_once('=')?;
            if !name.trim().eq_ignore_ascii_case("q") {
                return None;
            }
            parse_weight(value.trim())?
        }
    };
    parts.next().is_none().then_some((range, weight))
}

/// `0` to `1` with up to three decimals (RFC 9110, section 12.4.2), in thousandths.
fn parse_weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// The highest weight of a range of this language; that of `*` where none names it.
fn weight(ranges: &[(&str, u16)], language: &str) -> u16 {
    let highest = |fits: &dyn Fn(&str) -> bool| {
        ranges
            .iter()
            .filter(|(range, _)| fits(range))
            .map(|(_, weight)| *weight)
            .max()
    };
    highest(&|range| is_of(range, language))
        .or_else(|| highest(&|range| range == "*"))
        .unwrap_or(0)
}

fn position(ranges: &[(&str, u16)], language: &str) -> usize {
    ranges
        .iter()
        .position(|(range, _)| is_of(range, language))
        .unwrap_or(ranges.len())
}

/// Whether a range such as `en-GB` is of a language such as `en`.
fn is_of(range: &str, language: &str) -> bool {
    range
        .split('-')
        .next()
        .is_some_and(|primary| primary.eq_ignore_ascii_case(language))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language_of(header: &str) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::ACCEPT_LANGUAGE,
            HeaderValue::from_str(header).unwrap(),
        );
        tag(preferred(&headers))
    }

    #[test]
    fn chinese_unless_english_is_preferred() {
        assert_eq!(tag(preferred(&HeaderMap::new())), "zh");
        for header in [
            "zh-CN,zh;q=0.9,en;q=0.8",
            "*",
            "",
            "fr-FR",
            "en;q=0",
            "en;q=0.3, zh;q=0.4",
            "en;q=0.5, *;q=0.7",
            "zh, en",
            "en;q=2, zh;q=0.1",
            "en;level=1",
            "english",
        ] {
            assert_eq!(language_of(header), "zh", "{header:?}");
        }
        for header in [
            "en",
            "EN-us",
            "en-GB,en;q=0.9,zh;q=0.8",
            "zh;q=0.1, en ; q=0.25",
            "fr, en;q=0.001",
            "en, zh",
            "en, *;q=0.5",
            "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
        ] {
            assert_eq!(language_of(header), "en", "{header:?}");
        }
    }

    #[test]
    fn weights_are_those_of_the_standard() {
        let weights = [
            "1", "1.0", "0.5", "0.123", "0", "1.001", "0.1234", "-1", "", "a", "0.x",
        ];
        assert_eq!(
            weights.map(parse_weight),
            [
                Some(1000),
                Some(1000),
                Some(500),
                Some(123),
                Some(0),
                None,
                None,
                None,
                None,
                None,
                None
            ]
        );
    }
}

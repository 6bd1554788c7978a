//! Forwards HTTP requests to another server, bodies streamed in both directions.

use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::{
    body::Body,
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};

const TIMEOUT: Duration = Duration::from_mins(1);

/// A client of one upstream server.
#[derive(Debug, Clone)]
pub(crate) struct ReverseProxy {
    upstream: String,
    http: reqwest::Client,
}

impl ReverseProxy {
    /// Forwards to `upstream` (`http://HOST:PORT`); for `https` its CA certificate in PEM form is needed.
    pub(crate) fn new(upstream: String, ca_pem: Option<&[u8]>) -> Result<Self> {
        let mut http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(pem) = ca_pem {
            http = http.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem)?);
        }
        let http = http.build()?;
        Ok(Self { upstream, http })
    }

    /// The upstream's response; 502 with the error if there is none.
    pub(crate) async fn forward(&self, request: Request) -> Response {
        match self.exchange(request).await {
            Ok(response) => response,
            Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
        }
    }

    async fn exchange(&self, request: Request) -> Result<Response> {
        let (head, body) = request.into_parts();
        let path = head
            .uri
            .path_and_query()
            .context("a request without a path")?;
        let mut headers = head.headers;
        let has_body = headers.contains_key(header::CONTENT_LENGTH)
            || headers.contains_key(header::TRANSFER_ENCODING);
        for own in [header::HOST, header::TRANSFER_ENCODING, header::CONNECTION] {
            headers.remove(own);
        }
        let mut onward = self
            .http
            .request(head.method, format!("{}{path}", self.upstream))
            .headers(headers);
        if has_body {
            onward = onward.body(reqwest::Body::wrap_stream(body.into_data_stream()));
        }
        let answer = onward.send().await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.extend(answer.headers().clone());
            headers.remove(header::TRANSFER_ENCODING);
            headers.remove(header::CONNECTION);
        }
        Ok(response.body(Body::from_stream(answer.bytes_stream()))?)
    }
}

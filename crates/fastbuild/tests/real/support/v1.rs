//! Version 1 of the API as tests ask it, and what monitoring asks.

use fastbuild_testkit::wait::{eventually, when};
use reqwest::Method;
use serde_json::Value;

use super::{
    http::{Http, Reply, send},
    installation::{Installation, TIMEOUT},
};

/// Asks a service in English.
pub(crate) async fn ask(
    installation: &Installation,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Reply {
    let http = Http::new(&installation.client().url);
    let mut request = http
        .request_url(method, &format!("{}{path}", http.url))
        .header("accept-language", "en");
    if let Some(body) = body {
        request = request.json(body);
    }
    send(request).await
}

pub(crate) async fn get(installation: &Installation, path: &str) -> Reply {
    ask(installation, Method::GET, path, None).await
}

pub(crate) async fn post(installation: &Installation, path: &str, body: &Value) -> Reply {
    ask(installation, Method::POST, path, Some(body)).await
}

/// Submits a document and waits for the build's end.
pub(crate) async fn build(installation: &Installation, document: &Value) -> Value {
    let taken = post(installation, "/api/v1/builds", document).await;
    assert_eq!(taken.status, 202, "{}", taken.text);
    let id = taken.json()["id"].as_i64().unwrap();
    ended(installation, id).await
}

pub(crate) async fn ended(installation: &Installation, id: i64) -> Value {
    installation
        .client()
        .wait_for_end(id, TIMEOUT)
        .await
        .unwrap();
    get(installation, &format!("/api/v1/builds/{id}"))
        .await
        .json()
}

/// The numbers of all series whose names and labels hold every one of the given texts, added up.
pub(crate) async fn number(installation: &Installation, labels: &[&str]) -> u64 {
    let text = get(installation, "/metrics").await.text;
    text.lines()
        .filter(|line| !line.starts_with('#') && labels.iter().all(|part| line.contains(part)))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

/// Waits until the series are a number.
pub(crate) async fn wait_for_number(installation: &Installation, labels: &[&str], wanted: u64) {
    eventually(format!("{labels:?} is {wanted}"), TIMEOUT, || async {
        let now = number(installation, labels).await;
        Ok(when(now == wanted, now))
    })
    .await
    .unwrap();
}

/// `kind: state` of the dependencies.
pub(crate) fn dependencies(reply: &Reply) -> Vec<String> {
    let body = reply.json();
    let dependencies = body["dependencies"].as_array().unwrap();
    dependencies
        .iter()
        .map(|one| {
            format!(
                "{}: {}",
                one["kind"].as_str().unwrap(),
                one["state"].as_str().unwrap()
            )
        })
        .collect()
}

/// The one dependency of a kind in an answer about readiness.
pub(crate) fn dependency<'body>(body: &'body Value, kind: &str) -> &'body Value {
    body["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .find(|dependency| dependency["kind"] == kind)
        .unwrap()
}

/// Asks whether the service is ready until the answer has a status.
pub(crate) async fn wait_for_readiness(installation: &Installation, status: u16) -> Reply {
    eventually(format!("readiness is {status}"), TIMEOUT, || async {
        let reply = get(installation, "/readyz").await;
        Ok(when(reply.status == status, reply))
    })
    .await
    .unwrap()
}

//! Whether the service lives, whether it can do its work, and which version it is.

use fastbuild_spec::settings::CallbackHeaders;
use fastbuild_store::NewSettings;
use http::Method;
use insta::assert_snapshot;
use serde_json::Value;

use crate::service::{Answer, Service};

async fn ready(service: &Service) -> Answer {
    service.send(Method::GET, "/readyz", "en").await
}

/// `kind name: state: detail` of each dependency.
fn shown(answer: &Answer) -> String {
    let body = answer.json();
    // How much this machine has left differs.
    let of_this_machine = |one: &&Value| one["kind"] != "disk" && one["kind"] != "open_files";
    let dependencies = body["dependencies"].as_array().unwrap();
    assert_eq!(
        dependencies
            .iter()
            .filter(|one| !of_this_machine(one))
            .count(),
        2
    );
    let lines = dependencies.iter().filter(of_this_machine).map(|one| {
        let text = |name: &str| one[name].as_str().unwrap_or("-").to_owned();
        assert!(one["duration_ms"].is_u64(), "{one}");
        format!(
            "{} {}: {} {}: {}",
            text("kind"),
            text("name"),
            text("state"),
            text("code"),
            text("detail")
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn of_kind<'a>(body: &'a Value, kind: &str) -> &'a Value {
    let dependencies = body["dependencies"].as_array().unwrap();
    dependencies.iter().find(|one| one["kind"] == kind).unwrap()
}

#[tokio::test]
async fn it_lives_whatever_it_depends_on() {
    let service = Service::start().await;
    let answer = service.get("/healthz").await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (200, r#"{"status":"ok"}"#)
    );
}

#[tokio::test]
async fn what_is_not_configured_is_named() {
    let service = Service::start().await;
    let answer = ready(&service).await;
    assert_eq!(
        (answer.status, &answer.json()["ready"]),
        (503, &Value::from(false))
    );
    assert_snapshot!(shown(&answer), @r"
    database -: good -: The database answers.
    host -: not_configured -: The service's own address is not configured yet.
    engine default: not_configured -: No Docker server is configured yet.
    registry -: not_configured -: No registry is configured yet.
    callbacks -: good -: Callbacks carry 0 configured header(s) and are not signed.
    ");
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_named_and_why() {
    let service = Service::configured().await;
    let answer = ready(&service).await;
    assert_eq!(answer.status, 503);
    assert_snapshot!(shown(&answer), @r"
    database -: good -: The database answers.
    host -: good -: Callers reach this service at 10.0.0.88:48001.
    engine default: bad EngineUnreachable: The Docker Engine at 127.0.0.1:1 cannot be reached: the connection was refused, nothing listens on that port.
    registry -: not_seen -: No Docker server answers that could ask it.
    callbacks -: good -: Callbacks carry 0 configured header(s) and are not signed.
    ");
    let chinese = service.get("/readyz").await.json();
    let detail = of_kind(&chinese, "engine")["hint"].as_str().unwrap();
    assert!(!detail.is_ascii(), "{detail}");
}

#[tokio::test]
async fn headers_that_http_does_not_take_are_named_without_their_values() {
    let service = Service::configured().await;
    let headers = CallbackHeaders::from([("X-Token".to_owned(), "geheim\n".to_owned())]);
    let settings = NewSettings {
        headers: Some(headers.into()),
        ..NewSettings::default()
    };
    service
        .store
        .add_settings(settings, service.now())
        .await
        .unwrap();
    let answer = ready(&service).await;
    assert!(!answer.text.contains("geheim"), "{}", answer.text);
    let body = answer.json();
    let callbacks = of_kind(&body, "callbacks");
    assert_eq!(callbacks["state"], "bad", "{callbacks}");
    assert!(
        callbacks["detail"].as_str().unwrap().contains("X-Token"),
        "{callbacks}"
    );
}

#[tokio::test]
async fn the_version_is_told() {
    let service = Service::start().await;
    let version = service.get("/version").await.json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["api"][1], "/api/v1/");
}

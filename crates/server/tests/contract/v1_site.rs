//! Images, settings and callbacks in version 1. What needs a Docker Engine is shown elsewhere.

use axum::{Router, body::Body, routing::post};
use fastbuild_spec::settings::{CallbackHeaders, HostSettings};
use fastbuild_store::{NewBaseImage, NewDelivery, NewDeliveryAttempt, NewSettings};
use http::{Method, Request};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::service::{Answer, Service};

async fn get(service: &Service, path: &str) -> Answer {
    service.send(Method::GET, path, "en").await
}

async fn send(service: &Service, path: &str, body: &str) -> Answer {
    let request = Request::post(path)
        .header("accept-language", "en")
        .body(Body::from(body.to_owned()));
    service.ask(request.unwrap()).await
}

fn refused(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{body}"
    );
    (answer.status, body["code"].as_str().unwrap().to_owned())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// The values of a field of a list.
fn all(answer: &Answer, list: &str, field: &str) -> Vec<Value> {
    let body = answer.json();
    let rows = body[list].as_array().unwrap();
    rows.iter().map(|row| row[field].clone()).collect()
}

#[tokio::test]
async fn images_are_listed_piece_by_piece() {
    let service = Service::configured().await;
    for tag in ["1", "2", "3"] {
        let new = NewBaseImage {
            reference: format!("10.0.0.9/base/debian:{tag}").parse().unwrap(),
            image_id: format!("sha256:{tag}"),
            size: 7,
            description: "d".to_owned(),
        };
        service
            .store
            .put_base_image(&new, service.now())
            .await
            .unwrap();
    }
    let first = get(&service, "/api/v1/images?limit=2").await;
    assert_eq!(
        all(&first, "images", "image"),
        ["10.0.0.9/base/debian:3", "10.0.0.9/base/debian:2"]
    );
    assert_snapshot!(serde_json::to_string_pretty(&first.json()["images"][0]).unwrap(), @r#"
    {
      "build": null,
      "created_at": "2026-11-23T09:07:44.830951Z",
      "description": "d",
      "digest": null,
      "id": 3,
      "image": "10.0.0.9/base/debian:3",
      "image_id": "sha256:3",
      "jupyter_lab": false,
      "kind": "base",
      "size": 7,
      "ssh": false,
      "updated_at": "2026-11-23T09:07:44.830951Z"
    }
    "#);
    let body = first.json();
    let cursor = body["next_cursor"].as_str().unwrap();
    let second = get(&service, &format!("/api/v1/images?limit=2&cursor={cursor}")).await;
    assert_eq!(all(&second, "images", "image"), ["10.0.0.9/base/debian:1"]);
    assert_eq!(second.json()["next_cursor"], Value::Null);
    for (query, count) in [
        ("kind=base", 3),
        ("kind=built", 0),
        ("name=DEBIAN", 3),
        ("name=x", 0),
    ] {
        let answer = get(&service, &format!("/api/v1/images?{query}")).await;
        assert_eq!(all(&answer, "images", "id").len(), count, "{query}");
    }
    let wrong = get(&service, "/api/v1/images?kind=odd&limit=0&cursor=x").await;
    assert_eq!(refused(&wrong), is(422, "SpecInvalid"));
    assert_eq!(
        all(&wrong, "errors", "parameter"),
        ["kind", "cursor", "limit"]
    );
}

#[tokio::test]
async fn an_image_that_is_none_is_refused_with_its_pointer() {
    let service = Service::configured().await;
    for path in ["/api/v1/images:pull", "/api/v1/images:profile"] {
        let answer = send(&service, path, r#"{"image": "a b"}"#).await;
        assert_eq!(refused(&answer), is(422, "SpecInvalid"));
        assert_eq!(all(&answer, "errors", "pointer"), ["/image"]);
        let answer = send(&service, path, r#"{"image": "10.0.0.9/base/a:1"}"#).await;
        assert_eq!(refused(&answer), is(502, "EngineUnreachable"));
    }
    for id in ["7", "x"] {
        let path = format!("/api/v1/images/{id}");
        let answer = service.send(Method::DELETE, &path, "en").await;
        assert_eq!(refused(&answer), is(404, "NotFound"));
    }
}

#[tokio::test]
async fn settings_are_shown_without_secrets() {
    let service = Service::configured().await;
    let headers = CallbackHeaders::from([
        ("Authorization".to_owned(), "Bearer abc".to_owned()),
        ("X-A".to_owned(), "1".to_owned()),
    ]);
    let settings = NewSettings {
        headers: Some(headers.into()),
        ..NewSettings::default()
    };
    service
        .store
        .add_settings(settings, service.now())
        .await
        .unwrap();
    assert_snapshot!(get(&service, "/api/v1/settings").await.shown(), @r#"
    200 {
      "callback_headers": {
        "revision": 1,
        "settings": {
          "headers": {
            "Authorization": "***",
            "X-A": "1"
          }
        },
        "since": "2026-11-23T09:07:44.830951Z"
      },
      "callback_signing": {
        "origin": "none",
        "signing": false,
        "since": null
      },
      "docker_server": {
        "revision": 1,
        "settings": {
          "host": "127.0.0.1",
          "port": 1,
          "tls": false
        },
        "since": "2026-11-23T09:07:44.830951Z"
      },
      "host": {
        "revision": 1,
        "settings": {
          "host": "10.0.0.88",
          "port": 48001
        },
        "since": "2026-11-23T09:07:44.830951Z"
      },
      "registry": {
        "revision": 1,
        "settings": {
          "registry": "10.0.0.9",
          "registry_dns": null,
          "username": "admin"
        },
        "since": "2026-11-23T09:07:44.830951Z"
      }
    }
    "#);
    let waiting = Service::start().await;
    let empty = get(&waiting, "/api/v1/settings").await.json();
    assert_eq!(empty["registry"], Value::Null);
    for kind in ["registry", "docker-server", "callback-headers", "host"] {
        let path = format!("/api/v1/settings/{kind}/history");
        assert_eq!(
            all(&get(&service, &path).await, "revisions", "revision"),
            [1]
        );
    }
    let unknown = get(&service, "/api/v1/settings/colour/history").await;
    assert_eq!(refused(&unknown), is(404, "NotFound"));
}

#[tokio::test]
async fn settings_are_rolled_back_as_a_new_revision() {
    let service = Service::configured().await;
    let second = NewSettings {
        host: Some(HostSettings {
            host: "10.0.0.99".to_owned(),
            port: 1,
        }),
        headers: Some(CallbackHeaders::from([("X-A".to_owned(), "1".to_owned())]).into()),
        ..NewSettings::default()
    };
    let emptied = NewSettings {
        headers: Some(CallbackHeaders::new().into()),
        ..NewSettings::default()
    };
    for settings in [second, emptied] {
        service
            .store
            .add_settings(settings, service.now())
            .await
            .unwrap();
    }
    let path = "/api/v1/settings/host/rollback";
    let answer = send(&service, path, r#"{"revision": 1}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        json!([answer.json()["revision"], answer.json()["settings"]["host"]]),
        json!([3, "10.0.0.88"])
    );
    let history = get(&service, "/api/v1/settings/host/history").await;
    assert_eq!(all(&history, "revisions", "revision"), [3, 2, 1]);
    let path = "/api/v1/settings/callback-headers/rollback";
    let answer = send(&service, path, r#"{"revision": 1}"#).await;
    assert_eq!(answer.json()["settings"]["headers"], json!({"X-A": "1"}));

    let missing = send(&service, path, r#"{"revision": 9}"#).await;
    assert_eq!(refused(&missing), is(404, "NotFound"));
    let wrong = send(&service, path, r#"{"revision": "1"}"#).await;
    assert_eq!(all(&wrong, "errors", "pointer"), ["/revision"]);
    // A registry is proved by an engine, and none answers here.
    let path = "/api/v1/settings/registry/rollback";
    let unproved = send(&service, path, r#"{"revision": 1}"#).await;
    assert_eq!(refused(&unproved), is(502, "EngineUnreachable"));
    let history = get(&service, "/api/v1/settings/registry/history").await;
    assert_eq!(all(&history, "revisions", "revision"), [1]);
}

#[tokio::test]
async fn what_is_in_force_is_proved_part_by_part() {
    let service = Service::configured().await;
    let answer = send(&service, "/api/v1/settings:prove", "").await;
    assert_eq!(
        (answer.status, &answer.json()["ready"]),
        (200, &json!(false))
    );
    assert_eq!(
        all(&answer, "dependencies", "state"),
        ["good", "good", "good", "good", "bad", "not_seen", "good"]
    );
}

/// A callback that was tried once and failed; its number.
async fn callback(service: &Service, tag: &str) -> i64 {
    let task_id = service.queue(&format!("10.0.0.9/a/b:{tag}")).await;
    let new = NewDelivery {
        url: "http://127.0.0.1:1/callback".to_owned(),
        headers: CallbackHeaders::from([("Authorization".to_owned(), "Bearer abc".to_owned())])
            .into(),
        body: r#"{"state": "PUSH_SUCCESS"}"#.to_owned(),
    };
    let tried = NewDeliveryAttempt {
        started_at: service.now(),
        ended_at: service.now(),
        request_headers: new.headers.clone(),
        status: Some(500),
        body: "no".to_owned(),
        error: None,
    };
    service
        .store
        .record_single_delivery(Some(task_id), &new, &tried, false, service.now())
        .await
        .unwrap()
}

#[tokio::test]
async fn callbacks_are_listed_and_shown_with_their_tries() {
    let service = Service::configured().await;
    let (first, second) = (callback(&service, "1").await, callback(&service, "2").await);
    let piece = get(&service, "/api/v1/callbacks?limit=1").await;
    assert_eq!(all(&piece, "callbacks", "id"), [second]);
    let body = piece.json();
    let cursor = body["next_cursor"].as_str().unwrap();
    let rest = get(&service, &format!("/api/v1/callbacks?cursor={cursor}")).await;
    assert_eq!(all(&rest, "callbacks", "id"), [first]);
    let build = rest.json()["callbacks"][0]["build"].clone();
    let of_build = get(
        &service,
        &format!("/api/v1/callbacks?build={build}&status=gave_up"),
    )
    .await;
    assert_eq!(all(&of_build, "callbacks", "id"), [first]);
    let none = get(&service, "/api/v1/callbacks?status=delivered").await;
    assert_eq!(all(&none, "callbacks", "id"), Vec::<Value>::new());
    let wrong = get(&service, "/api/v1/callbacks?status=odd").await;
    assert_eq!(all(&wrong, "errors", "parameter"), ["status"]);

    let one = get(&service, &format!("/api/v1/callbacks/{first}"))
        .await
        .json();
    assert_eq!(
        json!([one["headers"], one["body"], one["status"], one["test"]]),
        json!([{"Authorization": "***"}, {"state": "PUSH_SUCCESS"}, "gave_up", true])
    );
    assert_eq!(
        json!([
            one["attempts"][0]["number"],
            one["attempts"][0]["status"],
            one["attempts"][0]["body"]
        ]),
        json!([1, 500, "no"])
    );
    let unknown = get(&service, "/api/v1/callbacks/99").await;
    assert_eq!(refused(&unknown), is(404, "NotFound"));
}

#[tokio::test]
async fn callbacks_are_sent_again() {
    let service = Service::configured().await;
    let id = callback(&service, "1").await;
    let path = format!("/api/v1/callbacks/{id}/redeliver");
    let again = service.send(Method::POST, &path, "en").await;
    assert_eq!(
        (again.status, &again.json()["status"]),
        (202, &json!("pending"))
    );
    let unknown = service
        .send(Method::POST, "/api/v1/callbacks/99/redeliver", "en")
        .await;
    assert_eq!(refused(&unknown), is(404, "NotFound"));

    let path = "/api/v1/callbacks:redeliver-failed";
    let failed = send(&service, path, r#"{"since": "2026-11-23T00:00:00Z"}"#).await;
    assert_eq!(
        (failed.status, failed.json()),
        (202, json!({"callbacks": []}))
    );
    let wrong = send(&service, path, r#"{"since": "yesterday"}"#).await;
    assert_eq!(all(&wrong, "errors", "pointer"), ["/since"]);
}

#[tokio::test]
async fn a_receiver_is_tried() {
    let service = Service::configured().await;
    let path = "/api/v1/callbacks:test";
    let nothing = send(&service, path, "{}").await;
    assert_eq!(refused(&nothing), is(404, "NotFound"));
    let wrong = send(&service, path, r#"{"url": "ftp://user:geheim@x"}"#).await;
    assert_eq!(all(&wrong, "errors", "pointer"), ["/url"]);
    assert!(!wrong.text.contains("geheim"), "{}", wrong.text);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/callback", listener.local_addr().unwrap());
    let receiver = Router::new().route("/callback", post(|| async { "thanks" }));
    let serving = tokio::spawn(async move { axum::serve(listener, receiver).await });
    let tried = send(&service, path, &json!({"url": url}).to_string()).await;
    assert_eq!(
        json!([tried.status, tried.json()["status"], tried.json()["body"]]),
        json!([200, 200, "thanks"])
    );
    serving.abort();
}

//! Version 1 of the API.

use axum::body::Body;
use fastbuild_spec::profile::{ImageConfig, ImageProfile, OsRelease};
use http::{Method, Request};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::service::{Answer, Service};

fn document(target: &str) -> String {
    format!("base: 10.0.0.9/base/debian:12\ntarget: {target}\nsystem: [git]\n")
}

async fn submit(service: &Service, document: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::post("/api/v1/builds").header("accept-language", "en");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Body::from(document.to_owned());
    service.ask(request.body(body).unwrap()).await
}

async fn submitted(service: &Service, target: &str) -> i64 {
    let answer = submit(service, &document(target), &[]).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["id"].as_i64().unwrap()
}

async fn english(service: &Service, path: &str) -> Answer {
    service.send(Method::GET, path, "en").await
}

#[tokio::test]
async fn a_document_is_taken_and_shown_and_stopped() {
    let service = Service::configured().await;
    let answer = submit(
        &service,
        &document("10.0.0.9/a/b:1"),
        &[("content-type", "application/yaml")],
    )
    .await;
    let id = answer.json()["id"].as_i64().unwrap();
    assert_eq!(answer.header("location"), format!("/api/v1/builds/{id}"));
    assert_snapshot!(answer.shown(), @r#"
    202 {
      "attempt": 0,
      "base": "10.0.0.9/base/debian:12",
      "callback_url": "",
      "cancel_requested": false,
      "created_at": "2026-11-23T09:07:44.830951Z",
      "description": "",
      "ended": false,
      "engine": null,
      "failure": null,
      "finished_at": null,
      "id": 1795424864830,
      "image": null,
      "last_event": 1,
      "limits": {
        "push_seconds": 60,
        "silence_seconds": 60,
        "total_seconds": 60
      },
      "links": {
        "dockerfile": "/api/v1/builds/1795424864830/dockerfile",
        "events": "/api/v1/builds/1795424864830/events",
        "log": "/api/v1/builds/1795424864830/log",
        "self": "/api/v1/builds/1795424864830"
      },
      "name": "",
      "owner": "",
      "priority": 0,
      "queue": {
        "based_on": null,
        "ends_at": null,
        "exact": true,
        "position": 1,
        "running": 0,
        "starts_at": "2026-11-23T09:07:44.830951Z",
        "waiting_for": null
      },
      "requeued_because": null,
      "started_at": null,
      "state": "QUEUED",
      "target": "10.0.0.9/a/b:1",
      "updated_at": "2026-11-23T09:07:44.830951Z"
    }
    "#);
    let shown = english(&service, &format!("/api/v1/builds/{id}")).await;
    assert_eq!((shown.status, shown.json()), (200, answer.json()));

    let log = english(&service, &format!("/api/v1/builds/{id}/log")).await;
    assert_eq!((log.status, log.text.as_str()), (200, ""));
    let none = english(&service, &format!("/api/v1/builds/{id}/dockerfile")).await;
    assert_eq!(none.status, 404);

    let cancel = format!("/api/v1/builds/{id}/cancel");
    let cancelled = service.send(Method::POST, &cancel, "en").await;
    assert_eq!(cancelled.json(), json!({"id": id, "ended": true}));
    let ended = english(&service, &format!("/api/v1/builds/{id}"))
        .await
        .json();
    assert_eq!(ended["state"], "BUILD_ABORT");
    assert_eq!(ended["failure"]["code"], "Cancelled");
    let again = service.send(Method::POST, &cancel, "en").await;
    assert_eq!(
        (again.status, &again.json()["code"]),
        (409, &json!("WrongState"))
    );
}

#[tokio::test]
async fn owner_priority_and_limits_are_the_build_s() {
    let service = Service::configured().await;
    let text = document("10.0.0.9/a/b:1")
        + "owner: team a\npriority: 7\nlimits: {total_seconds: 90, push_seconds: 30}\n";
    let build = submit(&service, &text, &[]).await.json();
    assert_eq!(
        json!([build["owner"], build["priority"], build["limits"]]),
        json!(["team a", 7, {"total_seconds": 90, "silence_seconds": 60, "push_seconds": 30}])
    );
    submitted(&service, "10.0.0.9/a/b:2").await;
    for (owner, count) in [("team%20a", 1), ("team", 0), ("", 1)] {
        let path = format!("/api/v1/builds?owner={owner}");
        let builds = english(&service, &path).await.json()["builds"].clone();
        assert_eq!(builds.as_array().unwrap().len(), count, "{owner:?}");
        assert!(
            builds
                .as_array()
                .unwrap()
                .iter()
                .all(|build| build.get("queue").is_none())
        );
    }
    // The second one was asked for by somebody else, with a lower priority.
    let second =
        english(&service, "/api/v1/builds?owner=").await.json()["builds"][0]["links"]["self"]
            .clone();
    let queue = english(&service, second.as_str().unwrap()).await.json()["queue"].clone();
    assert_eq!(queue["position"], 2, "{queue}");

    let text = document("10.0.0.9/a/b:3")
        + "priority: 1000\nlimits: {total_seconds: 3601, silence_seconds: a, hours: 1}\nowner: [a]\n";
    let answer = submit(&service, &text, &[]).await;
    assert_eq!(answer.status, 422);
    let mut named: Vec<String> = pointers(&answer);
    named.sort();
    assert_eq!(
        named,
        [
            "/limits/hours",
            "/limits/silence_seconds",
            "/limits/total_seconds",
            "/owner",
            "/priority"
        ]
    );
    let text = document("10.0.0.9/a/b:3") + "limits: {total_seconds: 3601, push_seconds: 601}\n";
    let answer = submit(&service, &text, &[]).await;
    assert_eq!(
        (answer.status, pointers(&answer)),
        (
            422,
            vec![
                "/limits/total_seconds".to_owned(),
                "/limits/push_seconds".to_owned()
            ]
        )
    );
}

fn pointers(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let errors = body["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_build_is_begun_again_from_where_it_can_be() {
    let service = Service::configured().await;
    let id = submitted(&service, "10.0.0.9/a/b:1").await;
    let path = format!("/api/v1/builds/{id}/retry");
    let retry = async |body: &str| {
        let request = Request::post(&path)
            .header("accept-language", "en")
            .body(Body::from(body.to_owned()));
        service.ask(request.unwrap()).await
    };
    let refused = |answer: &Answer| (answer.status, answer.json()["code"].clone());
    let queued = retry(r#"{"from": "start"}"#).await;
    assert_eq!(
        refused(&queued),
        (409, json!("WrongState")),
        "{}",
        queued.text
    );
    let cancel = format!("/api/v1/builds/{id}/cancel");
    service.send(Method::POST, &cancel, "en").await;
    let nobody = retry(r#"{"from": "callback"}"#).await;
    assert_eq!(
        refused(&nobody),
        (409, json!("WrongState")),
        "{}",
        nobody.text
    );
    let no_image = retry(r#"{"from": "push"}"#).await;
    assert_eq!(
        refused(&no_image),
        (409, json!("WrongState")),
        "{}",
        no_image.text
    );
    for (body, pointer) in [
        ("{}", "/from"),
        (r#"{"from": "end"}"#, "/from"),
        (r#"{"from": "start", "when": "now"}"#, "/when"),
    ] {
        let answer = retry(body).await;
        assert_eq!(answer.status, 422, "{body}");
        assert_eq!(pointers(&answer), [pointer], "{body}");
    }
    let answer = retry("from: start").await;
    assert_eq!(refused(&answer), (400, json!("SpecInvalid")));

    let again = retry(r#"{"from": "start"}"#).await;
    assert_eq!(again.status, 202, "{}", again.text);
    let build = again.json();
    assert_eq!(
        json!([build["id"], build["state"], build["queue"]["position"]]),
        json!([id, "QUEUED", 1])
    );
}

#[tokio::test]
async fn a_request_is_taken_once_under_its_key() {
    let service = Service::configured().await;
    let key = [("idempotency-key", "order-7")];
    let text = document("10.0.0.9/a/b:1");
    let (one, two) = tokio::join!(submit(&service, &text, &key), submit(&service, &text, &key));
    assert_eq!(
        (one.status, two.status),
        (202, 202),
        "{} {}",
        one.text,
        two.text
    );
    assert_eq!(one.text, two.text);
    assert_eq!(one.header("location"), two.header("location"));
    let other = submit(&service, &document("10.0.0.9/a/b:2"), &key).await;
    assert_eq!(
        (other.status, &other.json()["code"]),
        (422, &json!("IdempotencyKeyReused")),
        "{}",
        other.text
    );
    let all = english(&service, "/api/v1/builds").await.json();
    assert_eq!(all["builds"].as_array().unwrap().len(), 1);
    let bad = submit(
        &service,
        &document("10.0.0.9/a/b:3"),
        &[("idempotency-key", "")],
    )
    .await;
    assert_eq!(bad.json()["errors"][0]["parameter"], "Idempotency-Key");
}

#[tokio::test]
async fn every_mistake_has_its_pointer_in_both_languages() {
    let service = Service::configured().await;
    let body =
        json!({"base": "A", "target": "10.0.0.9/a/b:1", "pip": ["-r x"], "env": {"a/b": "1"}});
    let answer = submit(&service, &body.to_string(), &[]).await;
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_snapshot!(answer.shown(), @r#"
    422 {
      "code": "SpecInvalid",
      "culprit": "/base, /pip/0, /env/a~1b",
      "detail": "The request has 3 mistake(s): /base is \"A\" but must be an image name with lower case letters, digits and . _ - / after the registry; upper case letters are not allowed there; /pip/0 is \"-r x\" but must be a Python package in PEP 508 form, perhaps with extras and version specifiers, without URL, marker or option, such as requests[socks]>=2,<3; /env/a~1b is \"a/b\" but must be the name of a variable: letters, digits and underscores, not beginning with a digit, and not PATH.",
      "errors": [
        {
          "detail": "is \"A\" but must be an image name with lower case letters, digits and . _ - / after the registry; upper case letters are not allowed there",
          "pointer": "/base"
        },
        {
          "detail": "is \"-r x\" but must be a Python package in PEP 508 form, perhaps with extras and version specifiers, without URL, marker or option, such as requests[socks]>=2,<3",
          "pointer": "/pip/0"
        },
        {
          "detail": "is \"a/b\" but must be the name of a variable: letters, digits and underscores, not beginning with a digit, and not PATH",
          "pointer": "/env/a~1b"
        }
      ],
      "fault": "failed",
      "hint": "Correct the named fields of the request and submit it again.",
      "status": 422,
      "title": "Spec invalid",
      "type": "urn:fastbuild:problem:SpecInvalid"
    }
    "#);
    let chinese = service.send_json("/api/v1/builds", &body).await;
    assert_eq!(chinese.header("content-language"), "zh");
    let detail = chinese.json()["errors"][0]["detail"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(detail.starts_with("值“A”无效，应为镜像名"), "{detail}");
}

#[tokio::test]
async fn what_is_no_request_is_a_problem_as_well() {
    let service = Service::configured().await;
    let problem = |answer: &Answer| {
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let body = answer.json();
        assert_eq!(body["status"], answer.status);
        (answer.status, body["code"].as_str().unwrap().to_owned())
    };
    let json = [("content-type", "application/json")];
    let is = |status: u16, code: &str| (status, code.to_owned());
    let answer = submit(&service, "base: x", &json).await;
    assert_eq!(problem(&answer), is(400, "SpecInvalid"));
    let answer = submit(&service, "a: [", &[]).await;
    assert_eq!(problem(&answer), is(400, "SpecInvalid"));
    for path in [
        "/api/v1/nothing",
        "/api/v1/builds/7",
        "/api/v1/builds/x",
        "/api/v1/builds/7/log",
    ] {
        let answer = english(&service, path).await;
        assert_eq!(problem(&answer), is(404, "NotFound"), "{path}");
    }
    let answer = service.send(Method::DELETE, "/api/v1/builds", "en").await;
    assert_eq!(answer.status, 405);
    let answer = english(
        &service,
        "/api/v1/builds?limit=0&since=now&state=odd&cursor=7",
    )
    .await;
    assert_eq!(answer.status, 422);
    let named: Vec<Value> = answer.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["parameter"].clone())
        .collect();
    assert_eq!(named, ["state", "since", "cursor", "limit"]);

    let waiting = Service::start().await;
    let answer = submit(&waiting, &document("10.0.0.9/a/b:1"), &[]).await;
    assert_eq!(problem(&answer), is(503, "NotConfigured"));
}

#[tokio::test]
async fn the_list_is_read_piece_by_piece() {
    let service = Service::configured().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(submitted(&service, &format!("10.0.0.9/team/image-{number}:1")).await);
    }
    service
        .send(
            Method::POST,
            &format!("/api/v1/builds/{}/cancel", ids[2]),
            "en",
        )
        .await;
    ids.reverse();
    let (mut seen, mut path) = (Vec::new(), "/api/v1/builds?limit=2".to_owned());
    loop {
        let answer = english(&service, &path).await.json();
        let builds = answer["builds"].as_array().unwrap();
        assert!(builds.len() <= 2);
        seen.extend(builds.iter().map(|build| build["id"].as_i64().unwrap()));
        // One that is added meanwhile is newer than all that follow.
        if seen.len() == 2 {
            submitted(&service, "10.0.0.9/team/late:1").await;
        }
        match answer["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/v1/builds?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, ids);
    for (query, count) in [
        ("state=queued", 5),
        ("state=BUILD_ABORT,running", 1),
        ("image=IMAGE-3", 1),
        ("since=2026-11-23T09:07:44Z", 6),
        ("since=2026-11-24T00:00:00Z", 0),
    ] {
        let answer = english(&service, &format!("/api/v1/builds?{query}"))
            .await
            .json();
        assert_eq!(answer["builds"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn a_document_is_rendered_without_a_build() {
    let service = Service::configured().await;
    let render = async |text: &str| {
        let request = Request::post("/api/v1/builds:render")
            .header("accept-language", "en")
            .body(Body::from(text.to_owned()));
        service.ask(request.unwrap()).await
    };
    let text = document("10.0.0.9/a/b:1")
        + "env: {MODE: \"a $b\"}\nlabels: {team: x}\nssh: {password: hunter22}\n";
    let answer = render(&text).await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (409, &json!("WrongState"))
    );
    service
        .store
        .put_profile(&debian(), "10.0.0.9/base/debian:12", service.now())
        .await
        .unwrap();
    let answer = render(&text).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let plan = answer.json();
    let dockerfile = plan["dockerfile"].as_str().unwrap();
    for part in [
        "FROM 10.0.0.9/base/debian:12",
        "git",
        "ENV MODE=\"a \\$b\"",
        "team=\"x\"",
    ] {
        assert!(dockerfile.contains(part), "{part}: {dockerfile}");
    }
    assert_eq!(plan["secrets"], json!(["ssh_password_hash"]));
    assert!(!answer.text.contains("hunter22"));
    assert_eq!(
        english(&service, "/api/v1/builds").await.json()["builds"],
        json!([])
    );
}

fn debian() -> ImageProfile {
    ImageProfile {
        image_id: "sha256:1".to_owned(),
        size: 1,
        architecture: "amd64".to_owned(),
        config: ImageConfig::default(),
        kernel: "Linux".to_owned(),
        os: OsRelease {
            id: "debian".to_owned(),
            id_like: Vec::new(),
            name: "Debian GNU/Linux".to_owned(),
            version: "12 (bookworm)".to_owned(),
            version_id: "12".to_owned(),
            codename: "bookworm".to_owned(),
            release_line: String::new(),
        },
        package_manager: Some(fastbuild_spec::profile::PackageManagerFound {
            kind: fastbuild_spec::image_spec::PackageManager::Apt,
            has_dnf: false,
            version: "apt 2.6.1 (amd64)".to_owned(),
            mirrors: Vec::new(),
        }),
        pythons: Vec::new(),
        externally_managed: false,
        has_venv: false,
        pips: Vec::new(),
        pip_mirrors: Vec::new(),
        conda: None,
        sshd: None,
        jupyter_lab: None,
        has_sudo: false,
    }
}

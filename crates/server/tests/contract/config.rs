//! Configuring the site. The proofs against real engines and registries are shown elsewhere.

use axum::{Json, Router, routing::post};
use fastbuild_spec::{failure::Failure, settings::HostSettings, state::BuildState};
use fastbuild_store::{AttemptOutcome, NewDelivery, NewSettings, SettingsRevisions};
use http::Method;
use insta::assert_snapshot;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

use crate::service::Service;

const CONFIG: &str = "/api/fast-build/config";

#[tokio::test]
async fn every_missing_field_is_named_in_one_answer() {
    let service = Service::start().await;
    let path = format!("{CONFIG}/config-fastbuild");
    let fields = [
        ("fastbuild_host", "10.0.0.88"),
        ("harbor_username", ""),
        ("unknown", "x"),
    ];
    assert_snapshot!(service.post_form(&path, &fields).await.shown(), @r#"
    200 {
      "code": -1,
      "data": null,
      "msg": "请求中有 4 处错误：harbor_username 是必填项；harbor_password 是必填项；harbor_registry 是必填项；docker_host 是必填项。请按提示修改请求中的字段后重新提交。",
      "reason": "SpecInvalid"
    }
    "#);
    let no_form = service.post(&path).await;
    assert_snapshot!(no_form.msg(), @"该接口的请求体应为 multipart/form-data 格式，并在 Content-Type 中带有 boundary。请按提示修改请求中的字段后重新提交。");
    let cut_off = http::Request::post(&path)
        .header("content-type", "multipart/form-data; boundary=edge")
        .body(
            "--edge\r\nContent-Disposition: form-data; name=\"fastbuild_host\"\r\n\r\n10.0".into(),
        )
        .unwrap();
    assert_snapshot!(service.ask(cut_off).await.msg(), @"multipart/form-data 请求体不完整或格式有误。请按提示修改请求中的字段后重新提交。");
}

#[tokio::test]
async fn every_bad_value_is_named_in_one_answer() {
    let service = Service::start().await;
    let fields = [
        ("fastbuild_host", "not a host"),
        ("fastbuild_port", "0"),
        ("harbor_username", "admin"),
        ("harbor_password", "Harbor12345"),
        ("harbor_registry", "a/b"),
        ("docker_host", "10.0.0.7"),
        ("docker_port", "2375"),
        ("docker_tls_tar_file", "no archive"),
    ];
    let answer = service
        .post_form(&format!("{CONFIG}/config-fastbuild"), &fields)
        .await;
    assert_eq!(
        (answer.status, answer.json()["reason"].as_str()),
        (200, Some("SpecInvalid"))
    );
    let msg = answer.msg();
    for field in [
        "fastbuild_host",
        "fastbuild_port",
        "harbor_registry",
        "docker_tls_tar_file",
    ] {
        assert!(msg.contains(field), "{field} is not named: {msg}");
    }
    assert!(!msg.contains("Harbor12345"), "{msg}");
}

#[tokio::test]
async fn a_site_that_does_not_answer_is_a_failure_inside_and_stores_nothing() {
    let service = Service::start().await;
    let fields = [
        ("fastbuild_host", "10.0.0.88"),
        ("harbor_username", "admin"),
        ("harbor_password", "Harbor12345"),
        ("harbor_registry", "10.0.0.9"),
        ("docker_host", "127.0.0.1"),
        ("docker_port", "1"),
        ("docker_tls_tar_file", ""),
    ];
    let answer = service
        .post_form(&format!("{CONFIG}/config-fastbuild"), &fields)
        .await;
    let body = answer.json();
    assert_eq!(
        (answer.status, &body["code"]),
        (500, &json!("EngineUnreachable"))
    );
    assert_eq!(body["message"], body["msg"]);
    assert!(
        body["msg"].as_str().unwrap().contains("127.0.0.1"),
        "{body}"
    );
    for query in ["query-host", "query-harbor", "query-docker-server"] {
        let row = service.get(&format!("{CONFIG}/{query}")).await.json();
        assert_eq!(
            (&row["code"], &row["data"]),
            (&json!(0), &Value::Null),
            "{query}"
        );
    }
}

#[tokio::test]
async fn rows_are_shown_newest_first_without_secrets() {
    let service = Service::start().await;
    let _stable = service.stable();
    for path in [
        "query-host",
        "query-harbor",
        "query-docker-server",
        "query-callback",
    ] {
        let latest = service.get(&format!("{CONFIG}/{path}")).await;
        assert_eq!(latest.text, r#"{"code":0,"data":null,"msg":"success"}"#);
        let all = service.get(&format!("{CONFIG}/{path}-all")).await;
        assert_eq!(all.text, r#"{"code":0,"data":[],"msg":"success"}"#);
    }
    let service = Service::configured().await;
    let host = HostSettings {
        host: "fastbuild.example".to_owned(),
        port: 80,
    };
    let settings = NewSettings {
        host: Some(host),
        ..NewSettings::default()
    };
    service
        .store
        .add_settings(settings, service.now())
        .await
        .unwrap();

    assert_snapshot!(service.get(&format!("{CONFIG}/query-host")).await.shown(), @r#"
    200 {
      "code": 0,
      "data": {
        "create_time": "[time]",
        "host_ip": "fastbuild.example",
        "host_port": 80,
        "primary_id": 2,
        "update_time": "[time]"
      },
      "msg": "success"
    }
    "#);
    let hosts = service
        .get(&format!("{CONFIG}/query-host-all"))
        .await
        .json();
    let names: Vec<&Value> = (0..2).map(|row| &hosts["data"][row]["host_ip"]).collect();
    assert_eq!(names, ["fastbuild.example", "10.0.0.88"]);
    assert_snapshot!(service.get(&format!("{CONFIG}/query-harbor")).await.shown(), @r#"
    200 {
      "code": 0,
      "data": {
        "create_time": "[time]",
        "primary_id": 1,
        "registry": "10.0.0.9",
        "registry_dns": "",
        "update_time": "[time]",
        "username": "admin"
      },
      "msg": "success"
    }
    "#);
    assert_snapshot!(service.get(&format!("{CONFIG}/query-docker-server")).await.shown(), @r#"
    200 {
      "code": 0,
      "data": {
        "create_time": "[time]",
        "host": "127.0.0.1",
        "port": 1,
        "primary_id": 1,
        "tls_verify": false,
        "update_time": "[time]"
      },
      "msg": "success"
    }
    "#);
    for path in ["query-harbor", "query-harbor-all"] {
        let text = service.get(&format!("{CONFIG}/{path}")).await.text;
        assert!(
            !text.contains("Harbor12345") && !text.contains("password"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn the_host_and_the_headers_are_updated_without_an_engine() {
    let service = Service::start().await;
    let answer = service
        .post_form(
            &format!("{CONFIG}/update-host"),
            &[("fastbuild_host", "10.0.0.88")],
        )
        .await;
    assert_snapshot!(answer.shown(), @r#"
    200 {
      "code": 0,
      "data": "服务地址更新成功。",
      "msg": "服务地址更新成功。"
    }
    "#);
    let row = service.get(&format!("{CONFIG}/query-host")).await.json()["data"].clone();
    assert_eq!(
        (&row["host_ip"], &row["host_port"]),
        (&json!("10.0.0.88"), &json!(48001))
    );

    let path = format!("{CONFIG}/update-headers");
    let answer = service
        .post_text(
            &path,
            r#"{"X-BizType": "DROS", "Authorization": "Bearer x"}"#,
        )
        .await;
    assert_snapshot!(answer.msg(), @"回调请求头更新成功。");
    let headers = service.store.settings().await.unwrap().callback_headers;
    assert_eq!(headers.get("X-BizType").map(String::as_str), Some("DROS"));
    let refused = service
        .post_text(&path, r#"{"no header": "x", "X-A": "a\nb"}"#)
        .await;
    let msg = refused.msg();
    assert!(
        refused.json()["code"] == -1 && msg.contains("no header") && msg.contains("X-A"),
        "{msg}"
    );
}

#[tokio::test]
async fn the_registry_and_the_engine_are_updated_by_forms_of_their_own() {
    let service = Service::start().await;
    let answer = service
        .post_form(&format!("{CONFIG}/update-harbor"), &[])
        .await;
    assert_snapshot!(answer.msg(), @"请求中有 3 处错误：harbor_username 是必填项；harbor_password 是必填项；harbor_registry 是必填项。请按提示修改请求中的字段后重新提交。");
    let fields = [("docker_host", "127.0.0.1"), ("docker_port", "1")];
    let answer = service
        .post_form(&format!("{CONFIG}/update-docker-server"), &fields)
        .await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (500, &json!("EngineUnreachable"))
    );
}

#[tokio::test]
async fn there_is_no_callback_to_repeat_before_the_first() {
    let service = Service::start().await;
    let answer = service
        .send(Method::POST, &format!("{CONFIG}/test-callback"), "en")
        .await;
    assert_eq!((answer.status, &answer.json()["code"]), (200, &json!(-1)));
    assert_eq!(answer.json()["reason"], "NotFound");
}

/// A receiver of callbacks that repeats what it got; its address.
async fn receiver() -> String {
    let answer = |Json(body): Json<Value>| async move { Json(json!({"got": body})) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/callback", listener.local_addr().unwrap());
    let router = Router::new().route("/callback", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

#[tokio::test]
async fn the_last_callback_is_repeated_and_both_are_shown() {
    let service = Service::configured().await;
    let url = receiver().await;
    let task_id = service.queue("10.0.0.9/base/a:1").await;
    let claimed = service
        .store
        .claim("worker-7", Duration::from_mins(1), service.now())
        .await
        .unwrap()
        .unwrap();
    let body = json!({"imageName": "10.0.0.9/base/a:1", "taskId": task_id, "state": "BUILD_ABORT"});
    let headers = BTreeMap::from([
        ("X-BizType".to_owned(), "DROS".to_owned()),
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("Authorization".to_owned(), "Bearer hidden".to_owned()),
    ]);
    let delivery = NewDelivery {
        url: url.clone(),
        headers: headers.into(),
        body: body.to_string(),
    };
    let end = AttemptOutcome::Failed(BuildState::BuildAbort, Failure::build_cancelled());
    service
        .store
        .finish(
            claimed.attempt,
            &end,
            SettingsRevisions::default(),
            &|_| Some(delivery.clone()),
            service.now(),
        )
        .await
        .unwrap();
    service.clock.advance(SignedDuration::from_secs(1));

    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"http://127\.0\.0\.1:\d+", "http://receiver");
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", "[time]");
    let _filters = settings.bind_to_scope();
    assert_snapshot!(service.get(&format!("{CONFIG}/query-callback")).await.shown(), @r#"
    200 {
      "code": 0,
      "data": {
        "create_time": "[time]",
        "headers": {
          "Authorization": "***",
          "Content-Type": "application/json",
          "X-BizType": "DROS"
        },
        "next_time": "[time]",
        "primary_id": 1,
        "result": "",
        "state": {
          "imageName": "10.0.0.9/base/a:1",
          "state": "BUILD_ABORT",
          "taskId": 1795424864830
        },
        "status": "pending",
        "task_id": 1795424864830,
        "test": false,
        "tries": 0,
        "update_time": "[time]",
        "url": "http://receiver/callback"
      },
      "msg": "success"
    }
    "#);

    let answer = service.post(&format!("{CONFIG}/test-callback")).await;
    assert_snapshot!(answer.shown(), @r#"
    200 {
      "code": 0,
      "data": {
        "body": "{\"got\":{\"imageName\":\"10.0.0.9/base/a:1\",\"state\":\"BUILD_ABORT\",\"taskId\":1795424864830}}",
        "duration_ms": 0,
        "error": null,
        "request_body": "{\"imageName\":\"10.0.0.9/base/a:1\",\"state\":\"BUILD_ABORT\",\"taskId\":1795424864830}",
        "request_headers": {
          "Authorization": "***",
          "Content-Type": "application/json",
          "X-BizType": "DROS"
        },
        "status": 200,
        "url": "http://receiver/callback"
      },
      "msg": "success"
    }
    "#);
    let all = service.get(&format!("{CONFIG}/query-callback-all")).await;
    assert!(!all.text.contains("Bearer hidden"), "{}", all.text);
    let all = all.json();
    let statuses: Vec<&Value> = (0..2).map(|row| &all["data"][row]["status"]).collect();
    assert_eq!(statuses, ["delivered", "pending"]);
}

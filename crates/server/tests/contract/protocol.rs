//! The envelope and what is refused before a handler is asked.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use fastbuild_server::{AllowedOrigins, ServerOptions};
use http::{Method, Request};
use insta::assert_snapshot;

use crate::service::Service;

#[tokio::test]
async fn an_unknown_path_is_the_envelope() {
    let service = Service::start().await;
    assert_snapshot!(service.get("/api/fast-build/task/nothing").await.shown(), @r#"
    404 {
      "code": -1,
      "data": null,
      "msg": "没有 GET /api/fast-build/task/nothing 这个接口。全部接口见 /docs。",
      "reason": "NotFound"
    }
    "#);
    let answer = service.send(Method::GET, "/nowhere", "en").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (404, "application/json")
    );
    assert_snapshot!(answer.msg(), @"There is no GET /nowhere. All endpoints are listed under /docs.");
}

#[tokio::test]
async fn a_wrong_method_is_the_envelope_and_names_the_right_one() {
    let service = Service::start().await;
    let answer = service.post("/api/fast-build/task/list-task").await;
    assert_eq!(answer.header("allow"), "GET,HEAD");
    assert_snapshot!(answer.shown(), @r#"
    405 {
      "code": -1,
      "data": null,
      "msg": "接口 /api/fast-build/task/list-task 不支持 POST 方法。请使用响应头 Allow 中列出的方法，全部接口见 /docs。",
      "reason": "NotFound"
    }
    "#);
}

#[tokio::test]
async fn every_missing_or_mistyped_parameter_is_named() {
    let service = Service::start().await;
    let path = "/api/fast-build/task/list-task";
    assert_snapshot!(service.get(path).await.shown(), @r#"
    200 {
      "code": -1,
      "data": null,
      "msg": "请求中有 2 处错误：page 是必填项；page_size 是必填项。请按提示修改请求中的字段后重新提交。",
      "reason": "SpecInvalid"
    }
    "#);
    let answer = service
        .send(Method::GET, &format!("{path}?page=one&page_size="), "en")
        .await;
    assert_eq!(answer.status, 200);
    assert_snapshot!(answer.msg(), @r#"The request has 2 mistake(s): page is "one" but must be an integer; page_size must be an integer. Correct the named fields of the request and submit it again."#);
    let twice = service
        .get(&format!("{path}?page=1&page=2&page_size=3"))
        .await;
    assert_eq!((twice.status, &twice.json()["code"]), (200, &(-1).into()));
    let empty = service
        .post("/api/fast-build/task/check-image?image_name=")
        .await;
    assert_snapshot!(empty.msg(), @"请求中有 1 处错误：image_name 不能为空。请按提示修改请求中的字段后重新提交。");
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_with_the_place() {
    let service = Service::start().await;
    let path = "/api/fast-build/task/build-image";
    assert_snapshot!(service.post_text(path, "{\"image_data\": ").await.shown(), @r#"
    200 {
      "code": -1,
      "data": null,
      "msg": "请求体不是有效的 JSON（第 1 行第 15 列附近）。请按提示修改请求中的字段后重新提交。",
      "reason": "SpecInvalid"
    }
    "#);
    assert_snapshot!(service.post_text(path, "{} {}").await.msg(), @"请求体不是有效的 JSON（第 1 行第 4 列附近）。请按提示修改请求中的字段后重新提交。");
}

#[tokio::test]
async fn a_json_value_of_the_wrong_type_is_refused_with_its_path() {
    let service = Service::start().await;
    let path = "/api/fast-build/config/update-headers";
    let answer = service
        .post_text(path, r#"{"X-BizType": "DROS", "X-Level": 3}"#)
        .await;
    assert_snapshot!(answer.msg(), @"请求中有 1 处错误：X-Level 应为文本。请按提示修改请求中的字段后重新提交。");
    let answer = service.post_text(path, "[]").await;
    assert_snapshot!(answer.msg(), @"请求中有 1 处错误：body 应为 JSON 对象。请按提示修改请求中的字段后重新提交。");
}

#[tokio::test]
async fn an_oversized_body_is_refused() {
    let service = Service::start().await;
    let large = format!("\"{}\"", "x".repeat(2 << 20));
    let answer = service
        .post_text("/api/fast-build/task/build-image", large)
        .await;
    assert_snapshot!(answer.shown(), @r#"
    413 {
      "code": -1,
      "data": null,
      "msg": "请求体超过 2 MB 的上限。请减小请求内容后重新提交。",
      "reason": "SpecInvalid"
    }
    "#);
    let large = "x".repeat(4 << 20);
    let fields = [("fastbuild_host", large.as_str())];
    let answer = service
        .post_form("/api/fast-build/config/update-host", &fields)
        .await;
    assert_snapshot!(answer.shown(), @r#"
    413 {
      "code": -1,
      "data": null,
      "msg": "请求体超过 4 MB 的上限。请减小请求内容后重新提交。",
      "reason": "SpecInvalid"
    }
    "#);
}

#[tokio::test]
async fn a_language_is_chosen_and_said() {
    let service = Service::start().await;
    let path = "/api/fast-build/task/pull-image?image_name=10.0.0.9:30003/base/ubuntu:18.04";
    let answer = service
        .send(Method::POST, path, "de,en;q=0.8,zh;q=0.7")
        .await;
    assert_eq!(
        (answer.header("content-language"), answer.header("vary")),
        ("en", "accept-language")
    );
    assert_snapshot!(answer.shown(), @r#"
    200 {
      "code": -1,
      "data": null,
      "msg": "The service is not configured yet; missing: host, Harbor, Docker server. Ask the operator to call POST /api/fast-build/config/config-fastbuild.",
      "reason": "NotConfigured"
    }
    "#);
    let answer = service.post(path).await;
    assert_eq!(answer.header("content-language"), "zh");
    assert_snapshot!(answer.msg(), @"服务尚未配置完成，缺少：host、Harbor、Docker server。请管理员调用 POST /api/fast-build/config/config-fastbuild 完成配置。");
}

/// Asks as a page of another origin does.
async fn from_page(service: &Service, method: Method, path: &str, origin: &str) -> String {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .body(Body::empty())
        .unwrap();
    service
        .ask(request)
        .await
        .header("access-control-allow-origin")
        .to_owned()
}

#[tokio::test]
async fn pages_of_any_origin_may_read_the_protocol_and_the_files() {
    let service = Service::start().await;
    for (method, path) in [
        (Method::OPTIONS, "/api/fast-build/task/build-image"),
        (Method::GET, "/api/fast-build/"),
        (Method::GET, "/api/fast-build/nothing"),
        (Method::PUT, "/api/fast-build/task/list-task"),
        (Method::GET, "/task/2026/build.log"),
    ] {
        assert_eq!(
            from_page(&service, method, path, "http://ui.example").await,
            "*",
            "{path}"
        );
    }
    assert_eq!(
        from_page(&service, Method::GET, "/openapi.json", "http://ui.example").await,
        ""
    );
}

#[tokio::test]
async fn configured_origins_are_the_only_ones() {
    let options = ServerOptions {
        allowed_origins: AllowedOrigins::parse(&["http://ui.example"]).unwrap(),
    };
    let service = Service::start_with(&options).await;
    let path = "/api/fast-build/";
    assert_eq!(
        from_page(&service, Method::GET, path, "http://ui.example").await,
        "http://ui.example"
    );
    assert_eq!(
        from_page(&service, Method::GET, path, "http://other.example").await,
        ""
    );
}

/// Where the log goes while a test looks at it.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_tells_of_requests_without_what_is_in_them() {
    let captured = Captured::default();
    let writer = captured.clone();
    let log = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    // For the whole process: beside tests without a log, one thread's log would miss lines.
    tracing::subscriber::set_global_default(log).unwrap();
    let service = Service::configured().await;
    let path = "/api/fast-build/config/update-harbor";
    let fields = [
        ("harbor_username", "admin"),
        ("harbor_password", "Harbor12345"),
    ];
    service
        .post_form(&format!("{path}?token=hidden"), &fields)
        .await;

    let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(
        !text.contains("Harbor12345") && !text.contains("hidden"),
        "{text}"
    );
    let line: serde_json::Value = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|line: &serde_json::Value| {
            line["span"]["http.path"] == path && line["fields"]["http.status"].is_number()
        })
        .unwrap_or_else(|| panic!("{text}"));
    assert_eq!(line["fields"]["message"], "answered a request");
    assert_eq!(line["fields"]["http.status"], 200);
    assert!(line["fields"]["duration_ms"].is_u64(), "{line}");
    assert_eq!(line["span"]["http.method"], "POST");
    assert_eq!(line["level"], "DEBUG");
}

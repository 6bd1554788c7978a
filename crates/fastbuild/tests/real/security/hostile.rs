//! Callers that send what they should not: every answer is the envelope and names the field.

use std::time::Duration;

use fastbuild_testkit::request::Request;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{
    catalog::{catalog, own_catalog},
    http::{Http, Reply, Wire, send},
    installation::{EngineKind, Installation},
};

/// An answer is the envelope, in the language asked for, and says what it must.
fn check(what: &str, reply: &Reply, language: &str, named: &str) {
    assert!(
        reply.header("content-type").starts_with("application/json"),
        "{what}: {}: {}",
        reply.header("content-type"),
        reply.text
    );
    let body = reply.json();
    let msg = body["msg"]
        .as_str()
        .unwrap_or_else(|| panic!("{what}: {body}"));
    assert_eq!(body["code"], -1, "{what}: {body}");
    assert!(reply.status < 500, "{what}: {} {body}", reply.status);
    assert!(msg.contains(named), "{what} does not name {named}: {msg}");
    assert_eq!(reply.header("content-language"), language, "{what}");
    let is_chinese = msg
        .chars()
        .any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter));
    assert_eq!(is_chinese, language == "zh", "{what}: {msg}");
}

/// Sends the request in both languages and checks both answers; their status.
async fn refused(what: &str, request: RequestBuilder, named: &str) -> u16 {
    let english = request
        .try_clone()
        .unwrap()
        .header("Accept-Language", "en-US,en;q=0.9,zh;q=0.5");
    let reply = send(english).await;
    check(what, &reply, "en", named);
    let reply = send(request).await;
    check(what, &reply, "zh", named);
    reply.status
}

/// Sends a wrong method to version 1, which answers with problem details (RFC 9457).
async fn refused_by_version_1(what: &str, request: RequestBuilder) {
    let reply = send(request).await;
    assert_eq!(reply.status, 405, "{what}: {}", reply.text);
    assert_eq!(
        reply.header("content-type"),
        "application/problem+json",
        "{what}: {}",
        reply.text
    );
    assert!(!reply.header("allow").is_empty(), "{what}");
    let problem = reply.json();
    assert_eq!(
        (&problem["status"], &problem["code"]),
        (&json!(405), &json!("NotFound")),
        "{what}: {problem}"
    );
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_the_envelope() {
    let installation = Installation::unconfigured(&[]).await;
    let http = Http::new(&installation.client().url);
    for path in [
        "nothing",
        "task",
        "task/",
        "task/nothing/more",
        "../x",
        "%2e%2e/x",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let what = format!("{method} {path}");
            let status = refused(&what, http.request(method, path), "").await;
            assert_eq!(status, 404, "{what}");
        }
    }
    for url in [
        "/nothing",
        "/task/x/build.log",
        "/api",
        "/api/fast-build/task/list-task/",
    ] {
        let url = format!("{}{url}", http.url);
        let status = refused(&url, http.request_url(Method::GET, &url), "").await;
        assert_eq!(status, 404, "{url}");
    }
    let document = serde_json::to_value(fastbuild_server::openapi()).unwrap();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let url = format!("{}{}", http.url, path.replace(['{', '}'], ""));
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if item.get(method.to_lowercase()).is_some() {
                continue;
            }
            let request = http.request_url(method.parse().unwrap(), &url);
            asked += 1;
            if path.starts_with("/api/v1/") {
                refused_by_version_1(&format!("{method} {path}"), request).await;
                continue;
            }
            let status = refused(
                &format!("{method} {path}"),
                request,
                path.split('{').next().unwrap(),
            )
            .await;
            assert_eq!(status, 405, "{method} {path}");
        }
    }
    assert!(asked > 100, "{asked}");
}

#[tokio::test]
async fn malformed_and_mistyped_requests_name_what_is_wrong() {
    let installation = own_catalog(&[]).await;
    let http = Http::new(&installation.client().url);
    let get = |path: &str| http.request(Method::GET, path);
    let post = |path: &str| http.request(Method::POST, path);
    let json_type = "application/json";
    let text = |path: &str, content_type: &str, body: &'static str| {
        post(path).header("Content-Type", content_type).body(body)
    };
    let edge = "multipart/form-data; boundary=edge";
    let cases = [
        ("no parameters", get("task/list-task"), "page_size"),
        (
            "a word for a number",
            get("task/list-task?page=one&page_size=10"),
            "page",
        ),
        (
            "too large a number",
            get("progress/details?task_id=99999999999999999999"),
            "task_id",
        ),
        (
            "an empty number",
            get("progress/details?task_id="),
            "task_id",
        ),
        ("no image", post("task/check-image"), "image_name"),
        (
            "no image name",
            post("task/check-image?image_name="),
            "image_name",
        ),
        (
            "an impossible image",
            post("task/pull-image?image_name=../containers/x"),
            "",
        ),
        (
            "a parameter twice",
            get("task/list-task?page=1&page=2&page_size=1"),
            "page",
        ),
        (
            "no JSON",
            text("task/build-image", json_type, "{\"image_data\": "),
            "JSON",
        ),
        ("no body", post("task/build-image"), "JSON"),
        (
            "a list for an object",
            text("config/update-headers", json_type, "[]"),
            "body",
        ),
        (
            "a number for a text",
            text("config/update-headers", json_type, "{\"X-A\": 1}"),
            "X-A",
        ),
        (
            "no text at all",
            text("config/update-headers", json_type, "\u{0}\u{1}"),
            "JSON",
        ),
        (
            "no form",
            text("config/update-host", json_type, "{}"),
            "multipart/form-data",
        ),
        (
            "a form without edge",
            text("config/update-host", "multipart/form-data", "x"),
            "boundary",
        ),
        (
            "a form that breaks off",
            text("config/update-host", edge, "--edge\r\nContent-Dis"),
            "multipart/form-data",
        ),
        (
            "an empty form",
            text("config/update-host", edge, "--edge--\r\n"),
            "fastbuild_host",
        ),
        ("an upload without a type", post("file/upload"), "file_type"),
        (
            "an upload of no form",
            text("file/upload?file_type=python", json_type, "{}"),
            "multipart/form-data",
        ),
        (
            "an upload without edge",
            text("file/upload?file_type=python", "multipart/form-data", "x"),
            "boundary",
        ),
        (
            "an upload that breaks off",
            text(
                "file/upload?file_type=python",
                edge,
                "--edge\r\nContent-Dis",
            ),
            "multipart/form-data",
        ),
        (
            "an upload of nothing",
            text("file/upload?file_type=python", edge, "--edge--\r\n"),
            "files",
        ),
        (
            "an upload in a wrong field",
            text(
                "file/upload?file_type=python",
                edge,
                "--edge\r\nContent-Disposition: form-data; name=\"flies\"; filename=\"Python-3.tgz\"\r\n\r\nx\r\n--edge--\r\n",
            ),
            "flies",
        ),
        (
            "an upload without a name",
            text(
                "file/upload?file_type=python",
                edge,
                "--edge\r\nContent-Disposition: form-data; name=\"files\"\r\n\r\nx\r\n--edge--\r\n",
            ),
            "files",
        ),
    ];
    for (what, request, named) in cases {
        assert_eq!(refused(what, request, named).await, 200, "{what}");
    }
    assert_eq!(catalog(&installation), Vec::<String>::new());
}

#[tokio::test]
async fn a_build_request_with_mistakes_names_every_one() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let http = Http::new(&installation.client().url);
    let request = Request::new(
        &installation.base(&installation.env.images.debian),
        &installation.target("1"),
    );
    let with = |pointer: &str, value: Value| {
        let mut body = request.body().clone();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let two = {
        let mut body = with("/dockerfile_json/base_image", json!("a b"));
        body["task_data"]["callback_url"] = json!("ftp://x");
        body
    };
    for (body, named) in [
        (json!(null), vec!["null"]),
        (json!([]), vec!["1"]),
        (json!({}), vec!["dockerfile_json", "task_data"]),
        (
            json!({"task_data": 3}),
            vec!["task_data", "dockerfile_json"],
        ),
        (with("/dockerfile_json", json!([])), vec!["dockerfile_json"]),
        (
            with("/dockerfile_json/base_image", json!(7)),
            vec!["base_image"],
        ),
        (
            with("/task_data/target_image_name", json!(null)),
            vec!["target_image_name"],
        ),
        (
            with("/task_data/target_image_name", json!("../x")),
            vec!["target_image_name"],
        ),
        (two, vec!["base_image", "callback_url"]),
    ] {
        for name in named {
            let request = http.request(Method::POST, "task/build-image").json(&body);
            let status = refused(&body.to_string(), request, name).await;
            assert_eq!(status, 200, "{body}");
        }
    }
    let tasks = installation
        .client()
        .get("task/list-task?page=1&page_size=1")
        .await
        .unwrap();
    assert_eq!(tasks.data().unwrap()["page"]["total"], 0);
}

#[tokio::test]
async fn a_service_goes_on_after_connections_that_end_anywhere() {
    let installation = Installation::unconfigured(&[]).await;
    let request = "POST /api/fast-build/task/build-image HTTP/1.1\r\nHost: x\r\n\
                   Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"image_data\": ";
    for end in (0..=request.len()).step_by(7) {
        let mut wire = Wire::connect(installation.service.port).await;
        assert!(wire.write(&request.as_bytes()[..end]).await);
    }
    let answer = tokio::time::timeout(Duration::from_secs(30), installation.client().get("")).await;
    let body: Value = answer.unwrap().unwrap().body;
    assert_eq!(body["message"], "Welcome To FastBuild");
    assert!(
        !installation.service.log().contains("panicked"),
        "{}",
        installation.service.log()
    );
}

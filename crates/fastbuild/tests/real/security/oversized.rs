//! Bodies that are too long: refused early, and never held in memory.

use futures_util::stream;
use reqwest::{Body, Method};
use serde_json::json;

use crate::support::{
    catalog::{catalog, own_catalog},
    http::{Http, Wire, send},
    installation::Installation,
};

const MEGABYTE: usize = 1 << 20;
/// What a service may come to hold beyond what it held, whatever it is sent.
const GROWTH: u64 = 64 << 20;

/// The most memory the service ever held, in bytes (proc(5), `VmHWM`).
fn peak(installation: &Installation) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", installation.service.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1024
}

/// The service holds little more than it ever held `before`.
fn assert_bounded(installation: &Installation, before: u64) {
    let grown = peak(installation) - before;
    assert!(grown < GROWTH, "the service grew by {} KB", grown >> 10);
}

/// A body of zeroes that is made while it is sent.
fn endless(megabytes: usize) -> Body {
    let chunk = bytes::Bytes::from(vec![b'0'; MEGABYTE]);
    Body::wrap_stream(stream::iter(
        (0..megabytes).map(move |_| Ok::<_, std::io::Error>(chunk.clone())),
    ))
}

#[tokio::test]
async fn announced_bodies_beyond_the_limit_are_refused_before_they_are_sent() {
    let installation = own_catalog(&[]).await;
    installation.client().get("").await.unwrap();
    let before = peak(&installation);
    for (path, content_type, length) in [
        ("task/build-image", "application/json", 600_000_000_u64),
        ("config/update-headers", "application/json", 600_000_000),
        (
            "config/config-fastbuild",
            "multipart/form-data; boundary=edge",
            600_000_000,
        ),
        (
            "file/upload?file_type=python",
            "multipart/form-data; boundary=edge",
            600_000_000_000,
        ),
    ] {
        let head = format!(
            "POST /api/fast-build/{path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        let mut wire = Wire::connect(installation.service.port).await;
        assert!(wire.write(head.as_bytes()).await);
        // Nothing of the body was sent, and here is the answer.
        let (status, body) = wire.answer().await;
        assert_eq!((status, &body["code"]), (413, &json!(-1)), "{path}: {body}");
        assert!(!body["msg"].as_str().unwrap().is_empty());
        // A client that sends before it reads is not reset: its bytes are taken in.
        let chunk = vec![b'0'; MEGABYTE];
        for _ in 0..32 {
            assert!(wire.write(&chunk).await, "{path}");
        }
        // It may go on for as long as the service bears with it.
        for _ in 32..600 {
            if !wire.write(&chunk).await {
                break;
            }
        }
    }
    assert_bounded(&installation, before);
}

#[tokio::test]
async fn bodies_of_600_megabytes_are_refused_in_constant_memory() {
    let installation = own_catalog(&[("UPLOADS__SIZE_LIMIT", "20000000")]).await;
    let http = Http::new(&installation.client().url);
    // Once round, so that what every request needs is there.
    send(
        http.request(Method::POST, "task/build-image")
            .json(&json!({})),
    )
    .await;
    let before = peak(&installation);
    let edge = "multipart/form-data; boundary=edge";
    for (path, content_type) in [
        ("task/build-image", "application/json"),
        ("config/config-fastbuild", edge),
        ("file/upload?file_type=python", edge),
        ("file/upload?file_type=music", edge),
        ("nothing", "application/json"),
    ] {
        for announced in [true, false] {
            let mut request = http
                .request(Method::POST, path)
                .header("Content-Type", content_type)
                .body(endless(600));
            if announced {
                request = request.header("Content-Length", 600 * MEGABYTE);
            }
            let reply = send(request).await;
            assert!(
                [200, 404, 413].contains(&reply.status),
                "{path}: {}",
                reply.text
            );
            assert_eq!(reply.json()["code"], -1, "{path}: {}", reply.text);
        }
    }
    assert_bounded(&installation, before);
    assert_eq!(catalog(&installation), Vec::<String>::new());
}

#[tokio::test]
async fn large_files_are_taken_or_refused_in_constant_memory() {
    let installation = own_catalog(&[("UPLOADS__SIZE_LIMIT", "110000000")]).await;
    let http = Http::new(&installation.client().url);
    let small = http
        .upload("file_type=python", &[("Python-3.0.1.tgz", b"x")])
        .await;
    assert_eq!(small.json()["code"], 0, "{}", small.text);
    let before = peak(&installation);
    let file = |megabytes: usize| {
        let part =
            reqwest::multipart::Part::stream(endless(megabytes)).file_name("Python-3.8.10.tgz");
        let form = reqwest::multipart::Form::new().part("files", part);
        http.request(Method::POST, "file/upload?file_type=python")
            .multipart(form)
    };
    let taken = send(file(100)).await;
    assert_eq!(
        taken.json()["data"]["files"][0]["size"],
        100 * MEGABYTE,
        "{}",
        taken.text
    );
    // Chunked, so that only counting tells.
    let refused = send(file(200)).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (413, &json!(-1)),
        "{}",
        refused.text
    );
    assert_bounded(&installation, before);
    assert_eq!(
        catalog(&installation),
        ["python/Python-3.0.1.tgz", "python/Python-3.8.10.tgz"]
    );
}

#[tokio::test]
async fn a_form_whose_fields_never_begin_is_not_kept() {
    let installation = own_catalog(&[]).await;
    let http = Http::new(&installation.client().url);
    let before = peak(&installation);
    let heads = [
        "--edge\r\nContent-Disposition: form-data; name=\"",
        "",
        "--edge\r\nContent-Disposition: form-data; name=\"installer\"\r\n\r\n",
    ];
    for head in heads {
        let first = stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(
            head.as_bytes(),
        ))]);
        let chunk = bytes::Bytes::from(vec![b'x'; MEGABYTE]);
        let rest = stream::iter((0..200).map(move |_| Ok(chunk.clone())));
        let request = http
            .request(Method::POST, "file/upload?file_type=source")
            .header("Content-Type", "multipart/form-data; boundary=edge")
            .body(Body::wrap_stream(futures_util::StreamExt::chain(
                first, rest,
            )));
        let reply = send(request).await;
        assert_eq!(reply.json()["code"], -1, "{head:?}: {}", reply.text);
    }
    assert_bounded(&installation, before);
}

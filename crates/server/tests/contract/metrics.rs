//! The service in numbers.

use std::time::Duration;

use fastbuild_store::CheckedHealth;
use http::Method;
use jiff::SignedDuration;

use crate::service::Service;

/// The lines of some metrics, in order.
async fn lines(service: &Service, beginnings: &[&str]) -> String {
    let answer = service.get("/metrics").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    let mut lines: Vec<&str> = answer
        .text
        .lines()
        .filter(|line| {
            beginnings
                .iter()
                .any(|beginning| line.starts_with(beginning))
        })
        .collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[tokio::test]
async fn what_waits_and_runs_is_counted_from_the_store() {
    let service = Service::configured().await;
    service
        .store
        .set_default_capacity(4, service.now())
        .await
        .unwrap();
    let names = [
        "fastbuild_queue_depth",
        "fastbuild_queue_longest",
        "fastbuild_builds_running",
        "fastbuild_engine",
        "fastbuild_database_up",
    ];
    insta::assert_snapshot!(lines(&service, &names).await, @r#"
    fastbuild_database_up 1
    fastbuild_engine_builds_running{engine="default"} 0
    fastbuild_engine_capacity{engine="default"} 4
    fastbuild_queue_depth 0
    fastbuild_queue_longest_wait_seconds 0.0
    "#);
    for tag in ["1", "2", "3"] {
        service.queue(&format!("10.0.0.9/base/a:{tag}")).await;
    }
    let now = service.now();
    service
        .store
        .claim("test-1", Duration::from_mins(1), now)
        .await
        .unwrap()
        .unwrap();
    let found = CheckedHealth {
        engine: "default".to_owned(),
        up: true,
        since: now,
        given_up_at: None,
        failure: None,
    };
    service
        .store
        .note_health("test-1", &found, now)
        .await
        .unwrap();
    service.clock.advance(SignedDuration::from_secs(90));
    insta::assert_snapshot!(lines(&service, &names).await, @r#"
    fastbuild_builds_running{state="STARTED"} 1
    fastbuild_database_up 1
    fastbuild_engine_builds_running{engine="default"} 1
    fastbuild_engine_capacity{engine="default"} 4
    fastbuild_engine_up{engine="default"} 1
    fastbuild_queue_depth 2
    fastbuild_queue_longest_wait_seconds 90.0
    "#);
}

#[tokio::test]
async fn what_happened_is_counted_where_it_happens() {
    let service = Service::configured().await;
    let task_id = service.queue("10.0.0.9/base/a:1").await;
    let names = [
        "fastbuild_builds_ended",
        "fastbuild_images_made",
        "fastbuild_callback_tries",
        "fastbuild_base_image",
    ];
    let cancel = format!("/api/v1/builds/{task_id}/cancel");
    service.send(Method::POST, &cancel, "en").await;
    insta::assert_snapshot!(lines(&service, &names).await, @r#"
    fastbuild_base_image_profiles_total{how="known"} 0
    fastbuild_base_image_profiles_total{how="probed"} 0
    fastbuild_builds_ended_total{state="BUILD_ABORT",reason="Cancelled"} 1
    fastbuild_callback_tries_total{outcome="delivered"} 0
    fastbuild_callback_tries_total{outcome="gave_up"} 0
    fastbuild_callback_tries_total{outcome="retry"} 0
    fastbuild_images_made_total{how="built"} 0
    fastbuild_images_made_total{how="kept"} 0
    fastbuild_images_made_total{how="reused"} 0
    "#);
}

#[tokio::test]
async fn requests_are_counted_by_their_route_and_not_by_their_path() {
    let service = Service::configured().await;
    for path in [
        "/api/v1/builds/7",
        "/api/v1/builds/8",
        "/nowhere",
        "/nor/here",
    ] {
        service.get(path).await;
    }
    let odd = Method::from_bytes(b"BREW").unwrap();
    service.send(odd, "/nowhere", "en").await;
    service.get("/api/v1/builds").await;
    insta::assert_snapshot!(lines(&service, &["fastbuild_http_request_duration_seconds_count"]).await, @r#"
    fastbuild_http_request_duration_seconds_count{method="GET",route="/api/v1/builds",status="200"} 1
    fastbuild_http_request_duration_seconds_count{method="GET",route="/api/v1/builds/{id}",status="404"} 2
    fastbuild_http_request_duration_seconds_count{method="GET",route="none",status="404"} 2
    fastbuild_http_request_duration_seconds_count{method="other",route="none",status="404"} 1
    "#);
}

#[tokio::test]
async fn clients_of_streams_are_counted() {
    let service = Service::configured().await;
    let task_id = service.queue("10.0.0.9/base/a:1").await;
    let request = http::Request::get(format!("/api/v1/builds/{task_id}/events"));
    let stream = service
        .open(request.body(axum::body::Body::empty()).unwrap())
        .await;
    let names = ["fastbuild_stream_clients"];
    assert_eq!(lines(&service, &names).await, "fastbuild_stream_clients 1");
    drop(stream);
    assert_eq!(lines(&service, &names).await, "fastbuild_stream_clients 0");
}

//! Following a build.

use std::time::Duration;

use axum::body::Body;
use fastbuild_spec::{
    event::{Event, Progress},
    failure::{Failure, ReasonCode, Sentence},
    state::{BuildState, Step, StepStatus},
};
use fastbuild_store::{AttemptId, AttemptOutcome, SettingsRevisions};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use insta::assert_snapshot;
use serde_json::Value;
use tokio::time::timeout;

use crate::service::{Answer, Service};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_mins(2);

async fn follow(service: &Service, id: i64, after: &str, accept: &str) -> Answer {
    let request = Request::get(format!("/api/v1/builds/{id}/events"))
        .header("accept", accept)
        .header("last-event-id", after)
        .body(Body::empty())
        .unwrap();
    timeout(PATIENCE, service.ask(request)).await.unwrap()
}

async fn claimed(service: &Service) -> (i64, AttemptId) {
    let id = service.queue("10.0.0.9/a/b:1").await;
    let claimed = service
        .store
        .claim("worker", Duration::from_mins(10), service.now())
        .await
        .unwrap()
        .unwrap();
    (id, claimed.attempt)
}

fn log(text: &str) -> Event {
    Event::Progress {
        step: Step::Pull,
        progress: Progress::Log {
            text: text.to_owned(),
        },
    }
}

async fn fail(service: &Service, attempt: AttemptId) {
    let failure = Failure::new(ReasonCode::BaseImageNotFound, "没有。", "It is not there.");
    let end = AttemptOutcome::Failed(BuildState::PullFailed, failure);
    service
        .store
        .finish(
            attempt,
            &end,
            SettingsRevisions::default(),
            &|_| None,
            service.now(),
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn a_stream_tells_everything_and_ends_with_the_build() {
    let service = Service::configured().await;
    let (id, attempt) = claimed(&service).await;
    let (store, now) = (&service.store, service.now());
    store.step_started(attempt, Step::Pull, now).await.unwrap();
    let events = vec![
        log("one\n\"two\"\n"),
        Event::Warning {
            step: Some(Step::Pull),
            message: Sentence::new("小心", "mind"),
        },
    ];
    store.append_events(attempt, events, now).await.unwrap();
    store
        .step_finished(attempt, Step::Pull, StepStatus::Fail, now)
        .await
        .unwrap();
    fail(&service, attempt).await;

    let stream = follow(&service, id, "", "text/event-stream").await;
    assert_eq!(stream.header("content-type"), "text/event-stream");
    assert_snapshot!(stream.text);
    let rest = follow(&service, id, "7", "*/*").await;
    assert!(rest.text.starts_with("id: 8\n"), "{}", rest.text);
    let nothing = follow(&service, id, "8", "*/*").await;
    assert!(nothing.text.starts_with("event: end\n"), "{}", nothing.text);

    let lines = follow(&service, id, "", "application/x-ndjson").await;
    let names: Vec<String> = lines
        .text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|event| event["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names.join(" "),
        "state state step log warning step state result end"
    );
    // Compressed, it reads the same.
    store.archive_log(id).await.unwrap();
    let fresh = Service::on(store.clone());
    let again = follow(&fresh, id, "", "text/event-stream").await;
    assert_eq!(again.text, stream.text);
    let log = fresh
        .send(Method::GET, &format!("/api/v1/builds/{id}/log"), "en")
        .await;
    assert_eq!(log.text, "one\n\"two\"\n");
}

#[tokio::test]
async fn what_is_written_while_clients_follow_comes_once_and_in_order() {
    let service = Service::configured().await;
    let (id, attempt) = claimed(&service).await;
    let writing = async {
        for batch in 0..40 {
            let events = (0..25).map(|line| log(&format!("line {batch} {line}\n")));
            service
                .store
                .append_events(attempt, events.collect(), service.now())
                .await
                .unwrap();
        }
        fail(&service, attempt).await;
    };
    let following = futures_util::future::join_all((0..20).map(|number| {
        follow(
            &service,
            id,
            if number % 2 == 0 { "" } else { "100" },
            "*/*",
        )
    }));
    let ((), streams) = tokio::join!(writing, following);
    for (number, stream) in streams.iter().enumerate() {
        let ids: Vec<i64> = stream
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("id: ")?.parse().ok())
            .collect();
        let first = if number % 2 == 0 { 1 } else { 101 };
        // Queued, claimed, the lines, the end and its result.
        assert_eq!(ids, (first..=1004).collect::<Vec<_>>());
        assert!(stream.text.contains("event: end\n"));
    }
}

#[tokio::test]
async fn there_is_room_for_so_many_and_opening_starts_nothing() {
    let service = Service::with_streams(1).await;
    let id = service.queue("10.0.0.9/a/b:1").await;
    let ask = || {
        Request::get(format!("/api/v1/builds/{id}/events"))
            .header("accept-language", "en")
            .body(Body::empty())
            .unwrap()
    };
    let mut open = service.open(ask()).await;
    let first = timeout(PATIENCE, open.body_mut().frame()).await.unwrap();
    let first = first.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"id: 1\nevent: state\n"), "{first:?}");
    let refused = service.ask(ask()).await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, "5"),
        "{}",
        refused.text
    );
    drop(open);
    let mut again = service.open(ask()).await;
    assert_eq!(again.status(), 200);
    assert!(again.body_mut().frame().await.is_some());
    let build = service
        .send(Method::GET, &format!("/api/v1/builds/{id}"), "en")
        .await;
    assert_eq!(build.json()["state"], "QUEUED");
    let unknown = service
        .send(Method::GET, "/api/v1/builds/7/events", "en")
        .await;
    assert_eq!(unknown.status, 404);
}

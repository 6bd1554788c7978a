//! What a service goes on with after its restart: the queue, callbacks, and builds that an
//! orderly end gives back.

use std::time::Duration;

use fastbuild_testkit::{
    client::{set_callback_mode, wait_for_callbacks},
    request::Request,
};
use serde_json::json;

use crate::support::installation::{EngineKind, Installation, TIMEOUT};

#[tokio::test]
async fn queued_builds_and_undelivered_callbacks_survive() {
    let mut installation =
        Installation::configured_with(EngineKind::PlainEngine, &[("BUILDS__PER_ENGINE", "1")])
            .await;
    let base = installation.base(&installation.env.images.debian);
    set_callback_mode(
        &installation.env,
        &installation.token,
        &json!({"status": 500, "times": null}),
    )
    .await
    .unwrap();
    let mut tasks = Vec::new();
    for tag in ["1", "2", "3"] {
        let request =
            Request::new(&base, &installation.target(tag)).callback(&installation.callback_url());
        tasks.push(installation.submit(&request).await);
    }
    wait_for_callbacks(&installation.env, &installation.token, 1, TIMEOUT)
        .await
        .unwrap();
    installation.service.kill().unwrap();
    installation.service.restart_in_place().await.unwrap();
    for task_id in tasks {
        let task = installation
            .client()
            .wait_for_end(task_id, TIMEOUT)
            .await
            .unwrap();
        assert_eq!(task["detail_state"], "PUSH_SUCCESS", "{task:#}");
    }
    let failed = wait_for_callbacks(&installation.env, &installation.token, 3, TIMEOUT)
        .await
        .unwrap()
        .len();
    set_callback_mode(
        &installation.env,
        &installation.token,
        &json!({"status": 200}),
    )
    .await
    .unwrap();
    wait_for_callbacks(&installation.env, &installation.token, failed + 3, TIMEOUT)
        .await
        .unwrap();
    let history = installation
        .client()
        .get("config/query-callback-all")
        .await
        .unwrap();
    assert_eq!(
        history.data().unwrap().as_array().unwrap().len(),
        3,
        "{}",
        history.body
    );
}

#[tokio::test]
async fn an_orderly_end_gives_a_running_build_back() {
    let mut installation = Installation::configured(EngineKind::PlainEngine).await;
    let request = Request::new(
        &installation.base(&installation.env.images.debian),
        &installation.target("1"),
    )
    .python("Python-3.11.2.tgz");
    let task_id = installation.submit(&request).await;
    installation
        .client()
        .wait_for_task(task_id, TIMEOUT, |task| task["detail_state"] == "BUILDING")
        .await
        .unwrap();
    installation.service.stop().await.unwrap();
    assert!(
        installation.service.log().contains("requeued build"),
        "{}",
        installation.service.log()
    );
    installation.service.restart_in_place().await.unwrap();
    let task = installation
        .client()
        .wait_for_task(task_id, Duration::from_mins(1), |task| {
            task["detail_state"] == "BUILDING"
        })
        .await
        .unwrap();
    assert_eq!(task["task_id"], task_id);
}

#[tokio::test]
async fn a_second_signal_ends_the_grace_time_of_a_running_build() {
    let variables = [("BUILDS__GRACE_SECONDS", "3600")];
    let mut installation = Installation::configured_with(EngineKind::PlainEngine, &variables).await;
    let request = Request::new(
        &installation.base(&installation.env.images.debian),
        &installation.target("1"),
    )
    .python("Python-3.11.2.tgz");
    let task_id = installation.submit(&request).await;
    installation
        .client()
        .wait_for_task(task_id, TIMEOUT, |task| task["detail_state"] == "BUILDING")
        .await
        .unwrap();
    let told = std::process::Command::new("kill")
        .args(["-TERM", &installation.service.pid().to_string()])
        .status()
        .unwrap();
    assert!(told.success());
    let patience = Duration::from_mins(2);
    installation
        .service
        .wait_for_log("may go on for their grace time", patience)
        .await
        .unwrap();
    assert!(!installation.service.log().contains("requeued build"));
    installation.service.stop().await.unwrap();
    assert!(
        installation.service.log().contains("requeued build"),
        "{}",
        installation.service.log()
    );
}

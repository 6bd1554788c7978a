//! A service that is killed in the middle of anything goes on after its restart.

use std::time::Duration;

use fastbuild_testkit::{
    client::{set_callback_mode, wait_for_callbacks},
    request::Request,
};
use serde_json::{Value, json};

use crate::support::installation::{EngineKind, Installation, TIMEOUT};

/// Kills the service once the build's record fulfils a condition, restarts it, and waits for the
/// build's end.
async fn kill_when(
    installation: &mut Installation,
    request: &Request,
    condition: impl Fn(&Value) -> bool,
) -> Value {
    let task_id = installation.submit(request).await;
    installation
        .client()
        .wait_for_task(task_id, TIMEOUT, condition)
        .await
        .unwrap();
    installation.service.kill().unwrap();
    installation.service.restart_in_place().await.unwrap();
    installation
        .client()
        .wait_for_end(task_id, TIMEOUT)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_build_survives_a_kill_in_each_step() {
    let mut installation = Installation::configured(EngineKind::PlainEngine).await;
    let base = installation.base(&installation.env.images.debian);
    for state in [
        "STARTED",
        "PULL_SUCCESS",
        "CHECK_SUCCESS",
        "PREPARE_SUCCESS",
        "BUILDING",
        "BUILD_SUCCESS",
        "CHECK_IMAGE_SIZE_SUCCESS",
    ] {
        let tag = state.to_lowercase().replace('_', "-");
        let target = installation.target(&tag);
        let request = Request::new(&base, &target)
            .system("apt", &["less"])
            .callback(&format!(
                "{}/cb/{}-{tag}/done",
                installation.env.callback.url, installation.token
            ));
        let order: Vec<String> = states();
        let reached = move |task: &Value| {
            let at = |state: &str| order.iter().position(|one| one == state);
            at(task["state"].as_str().unwrap()) >= at(state)
        };
        let task = kill_when(&mut installation, &request, reached).await;
        assert_eq!(task["state"], "PUSH_SUCCESS", "killed at {state}: {task:#}");
        assert!(
            installation.registry_has(&target).await,
            "killed at {state}"
        );
        let token = format!("{}-{tag}", installation.token);
        let callbacks = wait_for_callbacks(&installation.env, &token, 1, TIMEOUT)
            .await
            .unwrap();
        assert!(
            callbacks[0].to_string().contains("PUSH_SUCCESS"),
            "killed at {state}: {callbacks:?}"
        );
        let steps = installation
            .client()
            .steps(task["task_id"].as_i64().unwrap())
            .await
            .unwrap();
        let told: Vec<&str> = steps
            .iter()
            .map(|step| step["status"].as_str().unwrap())
            .collect();
        assert_eq!(told, ["success"; 5], "killed at {state}: {steps:?}");
    }
    let left = installation
        .env
        .docker(&installation.env.engine_plain)
        .args([
            "ps",
            "--all",
            "--quiet",
            "--filter",
            "label=org.fastbuild.owner=fastbuild",
            "--filter",
            "status=exited",
        ])
        .output()
        .unwrap();
    assert!(
        left.stdout.is_empty(),
        "containers stay: {}",
        String::from_utf8_lossy(&left.stdout)
    );
}

/// The states of a build that succeeds, in order.
fn states() -> Vec<String> {
    [
        "QUEUED",
        "STARTED",
        "PULL_SUCCESS",
        "CHECK_SUCCESS",
        "PREPARE_SUCCESS",
        "BUILDING",
        "BUILD_SUCCESS",
        "CHECK_IMAGE_SIZE_SUCCESS",
        "PUSH_SUCCESS",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[tokio::test]
async fn a_build_that_is_lost_three_times_ends() {
    let mut installation = Installation::configured(EngineKind::PlainEngine).await;
    let request = Request::new(
        &installation.base(&installation.env.images.debian),
        &installation.target("1"),
    )
    .python("Python-3.11.2.tgz")
    .callback(&installation.callback_url());
    let task_id = installation.submit(&request).await;
    for _ in 0..3 {
        installation
            .client()
            .wait_for_task(task_id, TIMEOUT, |task| task["state"] == "BUILDING")
            .await
            .unwrap();
        installation.service.kill().unwrap();
        installation.service.restart_in_place().await.unwrap();
    }
    let task = installation
        .client()
        .wait_for_end(task_id, TIMEOUT)
        .await
        .unwrap();
    assert_eq!(
        (&task["state"], &task["reason"]),
        (&json!("BUILD_ABORT"), &json!("EngineLost")),
        "{task:#}"
    );
    let callbacks = wait_for_callbacks(&installation.env, &installation.token, 1, TIMEOUT)
        .await
        .unwrap();
    assert!(
        callbacks[0].to_string().contains("BUILD_ABORT"),
        "{callbacks:?}"
    );
}

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
        assert_eq!(task["state"], "PUSH_SUCCESS", "{task:#}");
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
        .wait_for_task(task_id, TIMEOUT, |task| task["state"] == "BUILDING")
        .await
        .unwrap();
    installation.service.stop().await.unwrap();
    assert!(
        installation.service.log().contains("given back"),
        "{}",
        installation.service.log()
    );
    installation.service.restart_in_place().await.unwrap();
    let task = installation
        .client()
        .wait_for_task(task_id, Duration::from_mins(1), |task| {
            task["state"] == "BUILDING"
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
        .wait_for_task(task_id, TIMEOUT, |task| task["state"] == "BUILDING")
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
    assert!(!installation.service.log().contains("given back"));
    installation.service.stop().await.unwrap();
    assert!(
        installation
            .service
            .log()
            .contains("given back to the queue"),
        "{}",
        installation.service.log()
    );
}

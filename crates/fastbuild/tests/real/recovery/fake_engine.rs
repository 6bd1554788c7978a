//! The fake engine stands for a real one: the service builds on it, and what it pushes lies in the
//! real registry.

use std::time::Duration;

use fastbuild_testkit::{
    env::TestEnv,
    fake_engine::{FakeEngine, Holdings},
};

use crate::support::{
    fake_engine::{endless, fields, request, start},
    installation::{Installation, TIMEOUT},
};

/// A site on such an engine.
async fn configured(engine: &FakeEngine) -> Installation {
    let installation = Installation::unconfigured(&[]).await;
    let answer = installation
        .client()
        .configure(fields(&installation, engine))
        .await;
    answer.unwrap().data().unwrap();
    installation
}

#[tokio::test]
async fn a_fake_engine_builds_and_pushes_for_real() {
    let engine = start(&TestEnv::load().unwrap(), Duration::from_millis(1)).await;
    let installation = configured(&engine).await;
    let target = installation.target("1");
    installation.build(&request(&installation, "1")).await;
    assert!(installation.registry_has(&target).await);
    assert_eq!(
        engine.holdings(),
        Holdings {
            images: vec![target],
            ..Holdings::default()
        }
    );
}

#[tokio::test]
async fn a_cancelled_build_stops_on_a_fake_engine() {
    let engine = endless(&TestEnv::load().unwrap()).await;
    let installation = configured(&engine).await;
    cancel_while_building(&installation, &engine).await;
}

#[tokio::test]
async fn an_image_that_is_finished_after_its_build_was_cancelled_does_not_stay() {
    let engine = endless(&TestEnv::load().unwrap()).await;
    let installation = configured(&engine).await;
    let task_id = cancel_while_building(&installation, &engine).await;
    engine.finish_stopped();
    assert_eq!(engine.holdings().images, [installation.target("1")]);
    wait_until_empty(&installation, &engine, task_id).await;
}

/// Cancels a build in the midst of its building, which then ends on the engine; its number.
async fn cancel_while_building(installation: &Installation, engine: &FakeEngine) -> i64 {
    let task_id = installation.submit(&request(installation, "1")).await;
    installation
        .client()
        .wait_for_task(task_id, TIMEOUT, |_| engine.holdings().building == 1)
        .await
        .unwrap();
    let path = format!("task/cancel-task-by-task-id?task_id={task_id}");
    installation
        .client()
        .post(&path)
        .await
        .unwrap()
        .data()
        .unwrap();
    let task = installation
        .client()
        .wait_for_end(task_id, TIMEOUT)
        .await
        .unwrap();
    assert_eq!(task["detail_state"], "BUILD_ABORT", "{task:#}");
    wait_until_empty(installation, engine, task_id).await;
    task_id
}

/// Waits until nothing lies on the engine and nothing runs there.
async fn wait_until_empty(installation: &Installation, engine: &FakeEngine, task_id: i64) {
    installation
        .client()
        .wait_for_task(task_id, TIMEOUT, |_| {
            engine.holdings() == Holdings::default()
        })
        .await
        .unwrap();
}

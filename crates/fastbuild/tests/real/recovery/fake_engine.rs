//! The scripted engine stands for a real one: the service builds on it, and what it pushes lies in the
//! real registry.

use std::time::Duration;

use fastbuild_testkit::{
    chaos::scripted::{Holdings, Script, ScriptedEngine},
    client::SiteFields,
    parts::Parts,
    request::Request,
};

use crate::site::{On, PATIENCE, Site};

/// Starts one whose steps take so long.
pub(crate) async fn start(parts: &Parts, step: Duration) -> ScriptedEngine {
    let script = Script::new(parts, step).unwrap();
    ScriptedEngine::start(script).await.unwrap()
}

/// Starts one on which no build ends by itself.
pub(crate) async fn endless(parts: &Parts) -> ScriptedEngine {
    start(parts, Duration::from_hours(1)).await
}

/// The fields that configure a site on it.
pub(crate) fn fields(site: &Site, engine: &ScriptedEngine) -> SiteFields {
    site.fields(On::PlainEngine)
        .with("docker_host", "127.0.0.1")
        .with("docker_port", engine.address.port().to_string())
}

/// A request for a target of a site, whose build has steps there.
pub(crate) fn request(site: &Site, tag: &str) -> Request {
    Request::new(&site.base(&site.parts.images.debian), &site.target(tag)).system("apt", &["less"])
}

/// A site on such an engine.
async fn configured(engine: &ScriptedEngine) -> Site {
    let site = Site::unconfigured(&[]).await;
    let answer = site.client().configure(fields(&site, engine)).await;
    answer.unwrap().data().unwrap();
    site
}

#[tokio::test]
async fn a_scripted_engine_builds_and_pushes_for_real() {
    let engine = start(&Parts::load().unwrap(), Duration::from_millis(1)).await;
    let site = configured(&engine).await;
    let target = site.target("1");
    site.build(&request(&site, "1")).await;
    assert!(site.registry_has(&target).await);
    assert_eq!(
        engine.holdings(),
        Holdings {
            images: vec![target],
            ..Holdings::default()
        }
    );
}

#[tokio::test]
async fn a_cancelled_build_stops_on_a_scripted_engine() {
    let engine = endless(&Parts::load().unwrap()).await;
    let site = configured(&engine).await;
    cancel_while_building(&site, &engine).await;
}

#[tokio::test]
async fn an_image_that_is_finished_after_its_build_was_cancelled_does_not_stay() {
    let engine = endless(&Parts::load().unwrap()).await;
    let site = configured(&engine).await;
    let task_id = cancel_while_building(&site, &engine).await;
    engine.finish_stopped();
    assert_eq!(engine.holdings().images, [site.target("1")]);
    wait_until_empty(&site, &engine, task_id).await;
}

/// Cancels a build in the midst of its building, which then ends on the engine; its number.
async fn cancel_while_building(site: &Site, engine: &ScriptedEngine) -> i64 {
    let task_id = site.submit(&request(site, "1")).await;
    site.client()
        .wait_for_task(task_id, PATIENCE, |_| engine.holdings().building == 1)
        .await
        .unwrap();
    let path = format!("task/cancel-task-by-task-id?task_id={task_id}");
    site.client().post(&path).await.unwrap().data().unwrap();
    let task = site.client().wait_for_end(task_id, PATIENCE).await.unwrap();
    assert_eq!(task["state"], "BUILD_ABORT", "{task:#}");
    wait_until_empty(site, engine, task_id).await;
    task_id
}

/// Waits until nothing lies on the engine and nothing runs there.
async fn wait_until_empty(site: &Site, engine: &ScriptedEngine, task_id: i64) {
    site.client()
        .wait_for_task(task_id, PATIENCE, |_| {
            engine.holdings() == Holdings::default()
        })
        .await
        .unwrap();
}

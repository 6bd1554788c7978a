//! The scripted engine stands for a real one: the service builds on it, and what it pushes lies in the
//! real registry.

use std::time::Duration;

use fastbuild_testkit::{
    chaos::scripted::{Holdings, Script, ScriptedEngine},
    request::Request,
};

use crate::site::{On, PATIENCE, Site};

async fn scripted(site: &Site, step: Duration) -> ScriptedEngine {
    let engine = ScriptedEngine::start(Script {
        step,
        registry_ca: std::fs::read(&site.parts.certificates.ca).unwrap(),
    })
    .await
    .unwrap();
    let fields = site
        .fields(On::PlainEngine)
        .with("docker_host", "127.0.0.1")
        .with("docker_port", engine.address.port().to_string());
    site.client()
        .configure(fields)
        .await
        .unwrap()
        .data()
        .unwrap();
    engine
}

#[tokio::test]
async fn a_scripted_engine_builds_and_pushes_for_real() {
    let site = Site::unconfigured(&[]).await;
    let engine = scripted(&site, Duration::from_millis(1)).await;
    let target = site.target("1");
    let request =
        Request::new(&site.base(&site.parts.images.debian), &target).system("apt", &["less"]);
    site.build(&request).await;
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
    let site = Site::unconfigured(&[]).await;
    let engine = scripted(&site, Duration::from_hours(1)).await;
    let target = site.target("1");
    let request =
        Request::new(&site.base(&site.parts.images.debian), &target).system("apt", &["less"]);
    let task_id = site.submit(&request).await;
    site.client()
        .wait_for_task(task_id, PATIENCE, |_| engine.holdings().building == 1)
        .await
        .unwrap();
    let path = format!("task/cancel-task-by-task-id?task_id={task_id}");
    site.client().post(&path).await.unwrap().data().unwrap();
    let task = site.client().wait_for_end(task_id, PATIENCE).await.unwrap();
    assert_eq!(task["state"], "BUILD_ABORT", "{task:#}");
    site.client()
        .wait_for_task(task_id, PATIENCE, |_| {
            engine.holdings() == Holdings::default()
        })
        .await
        .unwrap();
}

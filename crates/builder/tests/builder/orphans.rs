//! What attempts leave on an engine that nobody waits for any more.

use fastbuild_engine::BUILD_LABEL;
use serde_json::json;

use crate::support::{AT_ONCE, ENDLESS, Fixture};

#[tokio::test]
async fn an_image_that_is_finished_after_its_build_was_cancelled_is_removed() {
    let fixture = Fixture::start(ENDLESS).await;
    let id = fixture.submit(&fixture.document("1", &["less"])).await;
    fixture.until_building(1).await;
    fixture.builder.builds().cancel(id).await.unwrap();
    fixture.ended(id).await;
    fixture.until_engine_holds(&[]).await;
    fixture.engine.finish_stopped();
    assert_eq!(fixture.engine.holdings().images, [fixture.target("1")]);
    fixture.until_engine_holds(&[]).await;
}

#[tokio::test]
async fn containers_of_a_process_that_is_gone_are_removed_and_those_of_others_stay() {
    let mut fixture = Fixture::start(AT_ONCE).await;
    fixture.shut_down().await;
    let ours = format!(
        "{}/a-process-of-old/7/1",
        fixture.builder.store().installation()
    );
    let others = "another-installation/a-process/7/1".to_owned();
    for label in [&ours, &others] {
        create_container(&fixture, label).await;
    }
    assert_eq!(fixture.engine.holdings().containers.len(), 2);
    fixture.start_again().await;
    fixture.build("1").await;
    assert_eq!(fixture.engine.holdings().containers, [others]);
}

async fn create_container(fixture: &Fixture, label: &str) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/containers/create", fixture.engine.address);
    let body = json!({"Image": "base/debian:12", "Labels": {BUILD_LABEL: label}});
    let created = http.post(url).json(&body).send().await.unwrap();
    assert_eq!(created.status(), 201);
}

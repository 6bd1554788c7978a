//! One attempt, from the queue to its end.

use std::time::Duration;

use fastbuild_spec::{
    failure::ReasonCode,
    state::{BuildState, StepStatus},
};
use serde_json::json;

use crate::support::{AT_ONCE, ENDLESS, Fixture};

#[tokio::test]
async fn a_build_goes_through_five_steps_and_tells_the_digest_that_the_registry_has() {
    let fixture = Fixture::start(AT_ONCE).await;
    let build = fixture.build("1").await;
    assert_eq!(build.state, BuildState::PushSuccess, "{build:#?}");
    assert_eq!(build.attempt, 1);
    assert_eq!(fixture.steps(build.id).await, [StepStatus::Success; 5]);
    assert!(build.digest.is_some());
    assert_eq!(
        fixture.registry.digest_of(&fixture.target("1")),
        build.digest
    );
    let told = fixture.until_told("1", 1).await;
    let body = told[0].json.clone().unwrap();
    assert_eq!(
        (&body["taskId"], &body["state"], &body["digest"]),
        (
            &json!(build.id),
            &json!("PUSH_SUCCESS"),
            &json!(build.digest)
        )
    );
    fixture.until_engine_holds(&[fixture.target("1")]).await;
}

#[tokio::test]
async fn a_base_image_that_is_nowhere_fails_the_build_at_its_pull() {
    let fixture = Fixture::start(AT_ONCE).await;
    let mut document = fixture.document("1", &["less"]);
    document["base"] = json!(fixture.registry.image("base/no-such-image:9"));
    let id = fixture.submit(&document).await;
    let build = fixture.ended(id).await;
    assert_eq!(build.state, BuildState::PullFailed);
    assert_eq!(build.failure.unwrap().code, ReasonCode::BaseImageNotFound);
    let told = fixture.until_told("1", 1).await;
    assert_eq!(told[0].json.clone().unwrap()["reason"], "BaseImageNotFound");
}

#[tokio::test]
async fn a_cancelled_build_stops_and_leaves_nothing_on_the_engine() {
    let fixture = Fixture::start(ENDLESS).await;
    let id = fixture.submit(&fixture.document("1", &["less"])).await;
    fixture.until_building(1).await;
    fixture.builder.builds().cancel(id).await.unwrap();
    let build = fixture.ended(id).await;
    assert_eq!(build.state, BuildState::BuildAbort);
    assert_eq!(build.failure.unwrap().code, ReasonCode::Cancelled);
    fixture.until_engine_holds(&[]).await;
    assert_eq!(fixture.registry.digest_of(&fixture.target("1")), None);
}

#[tokio::test]
async fn a_build_that_waits_ends_at_once_when_it_is_cancelled() {
    let one_place = |options: &mut _| set_places(options, 1);
    let fixture = Fixture::start_with(ENDLESS, one_place).await;
    fixture.submit(&fixture.document("1", &["less"])).await;
    fixture.until_building(1).await;
    let waiting = fixture.submit(&fixture.document("2", &["less"])).await;
    fixture.builder.builds().cancel(waiting).await.unwrap();
    let build = fixture.row(waiting).await;
    assert_eq!((build.state, build.attempt), (BuildState::BuildAbort, 0));
}

#[tokio::test]
async fn a_build_over_its_time_is_stopped() {
    let one_second = |options: &mut fastbuild_builder::options::Options| {
        options.limits.build_time = Duration::from_secs(1);
    };
    let fixture = Fixture::start_with(ENDLESS, one_second).await;
    let build = fixture.build("1").await;
    assert_eq!(build.failure.unwrap().code, ReasonCode::TimedOut);
    fixture.until_engine_holds(&[]).await;
}

#[tokio::test]
async fn an_image_over_the_limit_is_not_pushed_and_leaves_the_engine() {
    let one_byte = |options: &mut fastbuild_builder::options::Options| {
        options.limits.image_bytes = 1;
    };
    let fixture = Fixture::start_with(AT_ONCE, one_byte).await;
    let build = fixture.build("1").await;
    assert_eq!(build.state, BuildState::CheckImageSizeFailed);
    assert_eq!(build.failure.unwrap().code, ReasonCode::ImageTooLarge);
    assert_eq!(fixture.engine.pushes(), []);
    fixture.until_engine_holds(&[]).await;
}

#[tokio::test]
async fn no_more_builds_run_than_the_engine_has_places() {
    let two_places = |options: &mut _| set_places(options, 2);
    let fixture = Fixture::start_with(ENDLESS, two_places).await;
    let mut ids = Vec::new();
    for tag in ["1", "2", "3"] {
        ids.push(fixture.submit(&fixture.document(tag, &["less"])).await);
    }
    fixture.until_building(2).await;
    assert_eq!(fixture.row(ids[2]).await.state, BuildState::Queued);
    fixture.engine.hurry();
    for id in ids {
        assert_eq!(fixture.ended(id).await.state, BuildState::PushSuccess);
    }
}

fn set_places(options: &mut fastbuild_builder::options::Options, places: u32) {
    options.limits.builds_per_engine = places;
}

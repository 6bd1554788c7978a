//! No build where an equal one made the image.

use std::time::Duration;

use fastbuild_builder::options::Options;
use fastbuild_spec::state::BuildState;
use jiff::SignedDuration;

use crate::support::{AT_ONCE, ENDLESS, Fixture};

fn for_an_hour(options: &mut Options) {
    options.builds.reuse = Duration::from_hours(1);
}

#[tokio::test]
async fn an_equal_build_gets_the_image_under_its_own_name() {
    let fixture = Fixture::start_with(AT_ONCE, for_an_hour).await;
    let first = fixture.build("1").await;
    let second = fixture.build("2").await;
    assert_eq!(second.state, BuildState::PushSuccess, "{second:#?}");
    assert_eq!(second.digest, first.digest);
    assert_eq!(
        fixture.registry.digest_of(&fixture.target("2")),
        first.digest
    );
    assert_eq!(fixture.engine.pushes().len(), 1);
    let told = fixture.until_told("2", 1).await;
    assert_eq!(told[0].json.clone().unwrap()["state"], "PUSH_SUCCESS");
}

#[tokio::test]
async fn equal_builds_at_the_same_time_are_built_once() {
    let fixture = Fixture::start_with(ENDLESS, for_an_hour).await;
    let mut ids = Vec::new();
    for tag in ["1", "2", "3"] {
        ids.push(fixture.submit(&fixture.document(tag, &["less"])).await);
    }
    fixture.until_building(1).await;
    for id in &ids {
        fixture
            .until(*id, "each has come to its build", |build| {
                build.state == BuildState::Building
            })
            .await;
    }
    assert_eq!(fixture.engine.holdings().building, 1);
    fixture.engine.hurry();
    for id in ids {
        assert_eq!(fixture.ended(id).await.state, BuildState::PushSuccess);
    }
    assert_eq!(fixture.engine.pushes().len(), 1);
}

#[tokio::test]
async fn another_request_is_built() {
    let fixture = Fixture::start_with(AT_ONCE, for_an_hour).await;
    fixture.build("1").await;
    let other = fixture.submit(&fixture.document("2", &["tree"])).await;
    assert_eq!(fixture.ended(other).await.state, BuildState::PushSuccess);
    assert_eq!(fixture.engine.pushes().len(), 2);
}

#[tokio::test]
async fn an_image_that_left_the_registry_is_built_again() {
    let fixture = Fixture::start_with(AT_ONCE, for_an_hour).await;
    fixture.build("1").await;
    fixture.registry.delete(&fixture.target("1"));
    let second = fixture.build("2").await;
    assert_eq!(second.state, BuildState::PushSuccess, "{second:#?}");
    assert_eq!(fixture.engine.pushes().len(), 2);
}

#[tokio::test]
async fn an_image_that_is_older_than_the_span_is_built_again() {
    let fixture = Fixture::start_with(AT_ONCE, for_an_hour).await;
    fixture.build("1").await;
    fixture.advance(SignedDuration::from_hours(2));
    fixture.build("2").await;
    assert_eq!(fixture.engine.pushes().len(), 2);
}

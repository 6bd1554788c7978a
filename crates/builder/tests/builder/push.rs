//! Pushes that the registry refuses.

use fastbuild_spec::{
    failure::ReasonCode,
    state::{BuildState, RetryFrom},
};

use crate::support::{AT_ONCE, Fixture};

#[tokio::test]
async fn a_registry_that_is_busy_is_pushed_to_again() {
    let fixture = Fixture::start(AT_ONCE).await;
    fixture.registry.refuse_manifests(2);
    let build = fixture.build("1").await;
    assert_eq!((build.state, build.attempt), (BuildState::PushSuccess, 1));
    let pushes = fixture.engine.pushes();
    let ended: Vec<bool> = pushes.iter().map(|push| push.ended.is_some()).collect();
    assert_eq!(ended, [false, false, true]);
}

#[tokio::test]
async fn an_image_that_was_not_pushed_stays_and_is_pushed_on_request() {
    let fixture = Fixture::start(AT_ONCE).await;
    // One more than there are retries.
    fixture.registry.refuse_manifests(3);
    let build = fixture.build("1").await;
    assert_eq!(build.state, BuildState::PushFailed);
    assert_eq!(build.failure.unwrap().code, ReasonCode::RegistryUnavailable);
    fixture.until_engine_holds(&[fixture.target("1")]).await;
    let made = build.image_id.unwrap();

    let builds = fixture.builder.builds();
    builds.retry(build.id, RetryFrom::Push).await.unwrap();
    let build = fixture.ended(build.id).await;
    assert_eq!(build.state, BuildState::PushSuccess, "{build:#?}");
    assert_eq!(build.image_id, Some(made));
    assert_eq!(
        fixture.registry.digest_of(&fixture.target("1")),
        build.digest
    );
    // Both ends were told.
    let told = fixture.until_told("1", 2).await;
    let states: Vec<_> = told
        .iter()
        .map(|one| one.json.clone().unwrap()["state"].clone())
        .collect();
    assert_eq!(states, ["PUSH_FAILED", "PUSH_SUCCESS"]);
}

//! Attempts that are lost: to the process, to the engine, to a shutdown.

use fastbuild_spec::{failure::ReasonCode, state::BuildState};
use fastbuild_testkit::tcp_proxy::NetworkFault;

use crate::support::{ENDLESS, Fixture};

#[tokio::test]
async fn a_build_whose_process_died_is_pushed_by_the_next_in_a_second_attempt() {
    let mut fixture = Fixture::start(ENDLESS).await;
    let id = fixture.submit(&fixture.document("1", &["less"])).await;
    fixture.until_building(1).await;
    fixture.crash().await;
    fixture.engine.hurry();
    fixture.start_again().await;
    let build = fixture.ended(id).await;
    assert_eq!((build.state, build.attempt), (BuildState::PushSuccess, 2));
    fixture.until_told("1", 1).await;
    fixture.until_engine_holds(&[fixture.target("1")]).await;
}

#[tokio::test]
async fn a_build_that_loses_its_process_three_times_ends() {
    let mut fixture = Fixture::start(ENDLESS).await;
    let id = fixture.submit(&fixture.document("1", &["less"])).await;
    for attempt in 1..=3 {
        fixture
            .until(id, "the build runs", |build| {
                build.state == BuildState::Building && build.attempt == attempt
            })
            .await;
        fixture.crash().await;
        fixture.start_again().await;
    }
    let build = fixture.ended(id).await;
    assert_eq!((build.state, build.attempt), (BuildState::BuildAbort, 3));
    assert_eq!(build.failure.unwrap().code, ReasonCode::EngineLost);
    fixture.until_told("1", 1).await;
}

#[tokio::test]
async fn a_shutdown_gives_builds_back_and_costs_them_no_attempt() {
    let mut fixture = Fixture::start(ENDLESS).await;
    let id = fixture.submit(&fixture.document("1", &["less"])).await;
    // As often as a crash may happen, and once more.
    for _ in 0..4 {
        fixture.until_building(1).await;
        fixture.shut_down().await;
        assert_eq!(fixture.row(id).await.state, BuildState::Queued);
        fixture.start_again().await;
    }
    fixture.engine.hurry();
    assert_eq!(fixture.ended(id).await.state, BuildState::PushSuccess);
}

#[tokio::test]
async fn a_build_whose_engine_breaks_off_is_tried_again_once_it_answers() {
    let fixture = Fixture::start(ENDLESS).await;
    let id = fixture.submit(&fixture.document("1", &["less"])).await;
    fixture.until_building(1).await;
    fixture.way_to_engine.set_fault(NetworkFault::Reset);
    fixture
        .until(id, "the build is back in the queue", |build| {
            build.state == BuildState::Queued
        })
        .await;
    fixture.engine.hurry();
    fixture.way_to_engine.set_fault(NetworkFault::None);
    let build = fixture.ended(id).await;
    assert_eq!((build.state, build.attempt), (BuildState::PushSuccess, 2));
    fixture.until_engine_holds(&[fixture.target("1")]).await;
}

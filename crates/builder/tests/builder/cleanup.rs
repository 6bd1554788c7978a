//! What leaves engines, disk and database once nobody used it for days.

use jiff::SignedDuration;

use crate::support::{AT_ONCE, ENDLESS, Fixture};

const DAYS: u32 = 7;

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

#[tokio::test]
async fn images_that_nobody_used_for_days_leave_the_engine_and_stay_in_the_registry() {
    let fixture = Fixture::start(AT_ONCE).await;
    let old = fixture.build("old").await;
    fixture.advance(days(5));
    fixture.build("new").await;
    fixture.advance(days(3));
    let removed = fixture.builder.cleanup().images(DAYS).await.unwrap();
    // The base was used three days ago.
    assert_eq!(removed, [fixture.target("old")]);
    assert_eq!(fixture.engine.holdings().images, [fixture.target("new")]);
    assert_eq!(
        fixture.registry.digest_of(&fixture.target("old")),
        old.digest
    );

    fixture.advance(days(8));
    let mut removed = fixture.builder.cleanup().images(DAYS).await.unwrap();
    removed.sort();
    let base = fixture.registry.image("base/debian:12");
    assert_eq!(removed, [base, fixture.target("new")]);
}

#[tokio::test]
async fn the_base_of_a_build_that_runs_stays() {
    let fixture = Fixture::start(ENDLESS).await;
    fixture.submit(&fixture.document("1", &["less"])).await;
    fixture.until_building(1).await;
    fixture.advance(days(30));
    let removed = fixture.builder.cleanup().images(0).await.unwrap();
    assert_eq!(removed, Vec::<String>::new());
}

#[tokio::test]
async fn files_and_callbacks_of_builds_that_ended_long_ago_are_removed_once() {
    let fixture = Fixture::start(AT_ONCE).await;
    let build = fixture.build("1").await;
    fixture.until_told("1", 1).await;
    fixture
        .until_delivery(build.id, "the callback is delivered", |one| {
            one.delivery.next_at.is_none()
        })
        .await;
    let folder = &fixture.builder.options().folders.task_dir;
    let folder = folder.join(&build.work_dir_name);
    assert!(folder.is_dir());
    let cleanup = fixture.builder.cleanup();
    assert_eq!(cleanup.builds(DAYS).await.unwrap(), 0);
    assert_eq!(cleanup.callbacks(DAYS).await.unwrap(), 0);
    fixture.advance(days(8));
    assert_eq!(cleanup.builds(DAYS).await.unwrap(), 1);
    assert_eq!(cleanup.callbacks(DAYS).await.unwrap(), 1);
    assert!(!folder.exists());
    assert_eq!(cleanup.builds(DAYS).await.unwrap(), 0);
    // Its record stays.
    assert_eq!(fixture.row(build.id).await.digest, build.digest);
}

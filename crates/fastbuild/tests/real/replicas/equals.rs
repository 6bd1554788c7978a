//! Equal builds on different replicas: one of them makes the image.

use fastbuild_testkit::request::Request;

use super::{Pair, database};
use crate::support::installation::{EngineKind, Installation, TIMEOUT};

/// One of some equal builds.
fn equal(installation: &Installation, tag: &str) -> Request {
    Request::new(
        &installation.base(&installation.env.images.debian),
        &installation.target(tag),
    )
}

#[tokio::test]
async fn a_build_waits_for_its_equal_on_another_replica_and_takes_its_image() {
    let reusing = [("BUILDS__REUSE_SECONDS", "3600")];
    let pair = Pair::with(&reusing, database()).await;
    pair.configure(pair.one.fields(EngineKind::PlainEngine))
        .await;
    let installation = &pair.one;
    let first = installation.build(&equal(installation, "1")).await;
    // Some other replica makes an image of the same plan.
    let taken = "INSERT INTO leases SELECT 'the plan ' || plan_key, 'another replica', \
                9e18::bigint FROM plans";
    pair.database.execute(taken).unwrap();
    let waiting = installation.submit(&equal(installation, "2")).await;
    let build = |steps: &[serde_json::Value]| {
        let runs = |step: &&serde_json::Value| step["action"] == "build";
        steps.iter().find(runs).map(|step| step["status"].clone())
    };
    installation
        .client()
        .wait_for_task(waiting, TIMEOUT, |task| task["detail_state"] == "BUILDING")
        .await
        .unwrap();
    // One that need not wait takes longer than a look at the plans.
    let other = equal(installation, "3").system("apt", &["less"]);
    installation
        .build(&other.system_mirror("local", "debian-12.list"))
        .await;
    let steps = installation.client().steps(waiting).await.unwrap();
    assert_ne!(build(&steps), Some("success".into()), "{steps:#?}");

    let release = "DELETE FROM leases WHERE holder = 'another replica'";
    pair.database.execute(release).unwrap();
    let task = installation
        .client()
        .wait_for_end(waiting, TIMEOUT)
        .await
        .unwrap();
    assert_eq!(task["detail_state"], "PUSH_SUCCESS", "{task:#}");
    assert_eq!(task["digest"], first["digest"]);
    assert!(installation.build_log(&task).await.contains("Not built: "));
    // Nobody holds a turn any more.
    let held = "SELECT count(*) FROM leases WHERE name LIKE 'the plan %'";
    pair.wait_for_row(held, |held| held == "0").await;
}

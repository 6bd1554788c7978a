//! Chaos in its short form; `cargo xtask chaos` is the long one. Two replicas, their database, real and
//! fake engines and the registry fail by the schedule of a seed, and every build must end as it
//! should; many clients follow one build; and builds are cancelled at any moment.

use std::time::Duration;

use fastbuild_testkit::chaos::{
    builds::{self, Plan},
    cancels, streams,
};

use crate::support::installation::TIMEOUT;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_build_ends_once_and_truthfully_whatever_fails() {
    let plan = Plan {
        binary: env!("CARGO_BIN_EXE_fastbuild").into(),
        seed: 4,
        builds: 24,
        faults: 12,
        fake_engines: 2,
    };
    let report = builds::run(plan, |line| println!("{line}")).await.unwrap();
    assert!(report.violations().is_empty(), "{report}");
}

#[tokio::test]
async fn every_client_gets_every_event_once_however_often_it_comes_back() {
    let plan = streams::Plan {
        binary: env!("CARGO_BIN_EXE_fastbuild").into(),
        seed: 4,
        clients: 200,
        lines: 400,
        lasts: Duration::from_secs(6),
        megabytes: 150.0,
    };
    let report = streams::run(plan).await.unwrap();
    assert!(report.violations().is_empty(), "{report}");
}

#[tokio::test]
async fn a_build_that_is_cancelled_at_any_moment_ends_and_leaves_its_engine_idle() {
    let plan = cancels::Plan {
        binary: env!("CARGO_BIN_EXE_fastbuild").into(),
        seed: 4,
        cancels: 12,
        at_a_time: 4,
        life: Duration::from_secs(6),
        // How fast it is, is measured elsewhere.
        within: TIMEOUT,
    };
    let report = cancels::run(plan).await.unwrap();
    assert!(report.violations().is_empty(), "{report}");
}

//! Chaos in its short form: two replicas, their database, real and scripted engines and the registry
//! fail by the schedule of a seed, and every build must end as it should. `cargo xtask chaos` is the
//! long form.

use fastbuild_testkit::chaos::run::{Plan, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_build_ends_once_and_truthfully_whatever_fails() {
    let plan = Plan {
        binary: env!("CARGO_BIN_EXE_fastbuild").into(),
        seed: 4,
        builds: 24,
        faults: 12,
        scripted: 2,
    };
    let report = run(plan, |line| println!("{line}")).await.unwrap();
    assert!(report.wrongs().is_empty(), "{report}");
}

//! The fake engine stands for a real one: the service builds on it, and what it pushes lies in the
//! real registry.

use std::time::Duration;

use fastbuild_testkit::{
    env::TestEnv,
    fake_engine::{FakeEngine, Holdings},
};

use crate::support::{
    fake_engine::{fields, request, start},
    installation::Installation,
};

/// A service on such an engine.
async fn configured(engine: &FakeEngine) -> Installation {
    let installation = Installation::unconfigured(&[]).await;
    let answer = installation
        .client()
        .configure(fields(&installation, engine))
        .await;
    answer.unwrap().data().unwrap();
    installation
}

#[tokio::test]
async fn a_fake_engine_builds_and_pushes_for_real() {
    let engine = start(&TestEnv::load().unwrap(), Duration::from_millis(1)).await;
    let installation = configured(&engine).await;
    let target = installation.target("1");
    installation.build(&request(&installation, "1")).await;
    assert!(installation.registry_has(&target).await);
    assert_eq!(
        engine.holdings(),
        Holdings {
            images: vec![target],
            ..Holdings::default()
        }
    );
}

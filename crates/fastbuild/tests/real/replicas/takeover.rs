//! A replica that is gone: the other one has its builds.

use std::time::Duration;

use fastbuild_testkit::{
    chaos::proxy::{Proxy, Weather},
    client::wait_for_callbacks,
    request::Request,
};

use super::{Pair, database};
use crate::{
    ends::attempts_of_a_success,
    leftovers::wait_for_nothing_beside,
    site::{On, PATIENCE},
};

#[tokio::test]
async fn a_build_whose_replica_is_killed_is_taken_over_and_pushed_once() {
    let mut pair = Pair::on(database()).await;
    let engine = pair.one.engine(On::PlainEngine).clone();
    let proxy = Proxy::start(format!("{}:{}", engine.host, engine.port))
        .await
        .unwrap();
    let port = proxy.address.port().to_string();
    let fields = pair.one.fields(On::PlainEngine);
    pair.configure(
        fields
            .with("docker_host", "127.0.0.1")
            .with("docker_port", port),
    )
    .await;

    // Every question takes so long that the build does not end before the kill.
    proxy.set(Weather::Slow(Duration::from_millis(300)));
    let target = pair.one.target("1");
    let base = pair.one.base(&pair.one.parts.images.debian);
    let request = Request::new(&base, &target)
        .system("apt", &["less"])
        .callback(&pair.one.callback_url());
    let build = pair.one.submit(&request).await;
    pair.one
        .client()
        .wait_for_task(build, PATIENCE, |task| {
            let state = task["state"].as_str().unwrap();
            ["BUILDING", "BUILD_SUCCESS", "CHECK_IMAGE_SIZE_SUCCESS"].contains(&state)
        })
        .await
        .unwrap();
    // Nor while it is found out who runs it.
    proxy.set(Weather::Held);
    let (runner, other) = pair.by_runner(build);
    runner.service.kill().unwrap();
    proxy.set(Weather::Fair);

    let task = other.client().wait_for_end(build, PATIENCE).await.unwrap();
    assert_eq!(task["state"], "PUSH_SUCCESS", "{task:#}");
    let events = other.client().events(build).await.unwrap();
    assert_eq!(attempts_of_a_success(&events, "taken over"), 2);
    assert!(other.registry_has(&target).await);
    let (parts, token) = (&pair.one.parts, &pair.one.token);
    let callbacks = wait_for_callbacks(parts, token, 1, PATIENCE).await.unwrap();
    for callback in &callbacks {
        assert!(callback.to_string().contains("PUSH_SUCCESS"), "{callback}");
    }
    wait_for_nothing_beside(&engine, &target, "taken over").await;
}

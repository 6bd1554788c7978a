//! A replica that is gone: the other one has its builds.

use std::time::Duration;

use fastbuild_testkit::{
    client::wait_for_callbacks,
    request::Request,
    tcp_proxy::{NetworkFault, TcpProxy},
};

use super::{Pair, database};
use crate::support::{
    events::attempts_of_a_success,
    installation::{EngineKind, TIMEOUT},
    leftovers::wait_for_nothing_beside,
};

#[tokio::test]
async fn a_build_whose_replica_is_killed_is_taken_over_and_pushed_once() {
    let mut pair = Pair::on(database()).await;
    let engine = pair.one.engine(EngineKind::PlainEngine).clone();
    let proxy = TcpProxy::start(format!("{}:{}", engine.host, engine.port))
        .await
        .unwrap();
    let port = proxy.address.port().to_string();
    let fields = pair.one.fields(EngineKind::PlainEngine);
    pair.configure(
        fields
            .with("docker_host", "127.0.0.1")
            .with("docker_port", port),
    )
    .await;

    // Every question takes so long that the build does not end before the kill.
    proxy.set_fault(NetworkFault::Delay(Duration::from_millis(300)));
    let target = pair.one.target("1");
    let base = pair.one.base(&pair.one.env.images.debian);
    let request = Request::new(&base, &target)
        .system("apt", &["less"])
        .callback(&pair.one.callback_url());
    let build = pair.one.submit(&request).await;
    pair.one
        .client()
        .wait_for_task(build, TIMEOUT, |task| {
            let state = task["detail_state"].as_str().unwrap();
            ["BUILDING", "BUILD_SUCCESS", "CHECK_IMAGE_SIZE_SUCCESS"].contains(&state)
        })
        .await
        .unwrap();
    // Nor while it is found out who runs it.
    proxy.set_fault(NetworkFault::Stall);
    let (runner, other) = pair.by_runner(build);
    runner.service.kill().unwrap();
    proxy.set_fault(NetworkFault::None);

    let task = other.client().wait_for_end(build, TIMEOUT).await.unwrap();
    assert_eq!(task["detail_state"], "PUSH_SUCCESS", "{task:#}");
    let events = other.client().events(build).await.unwrap();
    assert_eq!(attempts_of_a_success(&events, "taken over"), 2);
    assert!(other.registry_has(&target).await);
    let (env, token) = (&pair.one.env, &pair.one.token);
    let callbacks = wait_for_callbacks(env, token, 1, TIMEOUT).await.unwrap();
    for callback in &callbacks {
        assert!(callback.to_string().contains("PUSH_SUCCESS"), "{callback}");
    }
    wait_for_nothing_beside(&engine, &target, "taken over").await;
}

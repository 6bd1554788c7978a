//! How images get into the registry: packed by the build or by the push, and in spite of a registry that
//! breaks off.

use fastbuild_testkit::{
    container,
    request::Request,
    tcp_proxy::{NetworkFault, TcpProxy},
    wait::{eventually, when},
};

use crate::support::installation::{EngineKind, Installation, TIMEOUT};

/// Bytes that an engine sends before its connection is reset: more than questions take, less than a layer.
const UPLOADED: usize = 64 * 1024;

#[tokio::test]
async fn an_engine_with_containerds_store_packs_while_it_builds() {
    for compression in ["gzip", "zstd"] {
        let installation = Installation::configured_with(
            EngineKind::ContainerdStore,
            &[("BUILDS__COMPRESSION", compression)],
        )
        .await;
        let target = installation.target("1");
        let request = Request::new(&installation.base(&installation.env.images.debian), &target)
            .system("apt", &["less"])
            .system_mirror("local", "debian-12.list");
        let task = installation.build(&request).await;
        let folder = task["work_dir_name"].as_str().unwrap();
        let log = installation
            .client()
            .task_file(folder, "prepare.log")
            .await
            .unwrap();
        assert!(
            log.contains("containerd's image store")
                && log.contains(&format!("packed with {compression}")),
            "{log}"
        );
        // An engine of the older kind pulls and runs it.
        let engine = &installation.env.engine_plain;
        container::pull(&installation.env, engine, &target).unwrap();
        let output =
            container::run_once(&installation.env, engine, &target, &["less", "--version"])
                .unwrap();
        assert!(output.contains("less "), "{output}");
        let removed = installation
            .env
            .docker(engine)
            .args(["image", "rm", "--force", &target])
            .output()
            .unwrap();
        assert!(removed.status.success());
    }
}

#[tokio::test]
async fn a_registry_that_breaks_off_is_pushed_to_again_on_docker_s_store() {
    pushed_again(EngineKind::PlainEngine).await;
}

#[tokio::test]
async fn a_registry_that_breaks_off_is_pushed_to_again_on_containerd_s_store() {
    pushed_again(EngineKind::ContainerdStore).await;
}

async fn pushed_again(on: EngineKind) {
    let seconds = "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]";
    let installation = Installation::unconfigured(&[("BUILDS__PUSH_RETRY_SECONDS", seconds)]).await;
    let proxy = TcpProxy::start(format!("127.0.0.1:{}", installation.env.registry.port))
        .await
        .unwrap();
    let registry = format!("127.0.0.1:{}", proxy.port());
    let fields = installation
        .fields(on)
        .with("harbor_registry", registry.clone())
        .with(
            "harbor_registry_dns",
            installation.env.registry.registry.clone(),
        );
    installation
        .client()
        .configure(fields)
        .await
        .unwrap()
        .data()
        .unwrap();
    let path = format!("test/{}:1", installation.token);
    let request = Request::new(
        &installation.base(&installation.env.images.debian),
        &format!("{registry}/{path}"),
    )
    // Something that the registry has not: an engine may have it take the rest from where it lies.
    .system("apt", &["file"])
    .system_mirror("local", "debian-12.list")
    // And never had: a layer that an earlier run made, the registry knows under another name.
    .afresh();
    proxy.set_fault(NetworkFault::ResetAfter(UPLOADED));
    let answer = installation.client().submit(request.body()).await.unwrap();
    let task_id = answer.data().unwrap()["task_id"].as_i64().unwrap();
    let pushing = installation
        .client()
        .wait_for_task(task_id, TIMEOUT, |task| {
            task["detail_state"] == "CHECK_IMAGE_SIZE_SUCCESS"
                || task["detail_state"].as_str().unwrap().starts_with("PUSH")
        })
        .await
        .unwrap();
    let folder = pushing["work_dir_name"].as_str().unwrap();
    eventually("the push is retried", TIMEOUT, || async {
        let log = installation.client().task_file(folder, "push.log").await;
        let task = installation.client().task(task_id).await?;
        let ended = task["detail_state"].as_str().unwrap().starts_with("PUSH_");
        assert!(!ended, "the push was not retried: {task:#}");
        Ok(when(
            log.is_ok_and(|log| log.contains("The push is tried again")),
            task,
        ))
    })
    .await
    .unwrap();
    proxy.set_fault(NetworkFault::None);
    let task = installation
        .client()
        .wait_for_end(task_id, TIMEOUT)
        .await
        .unwrap();
    assert_eq!(task["detail_state"], "PUSH_SUCCESS", "{task:#}");
    assert!(
        installation
            .registry_has(&installation.env.image(&path))
            .await
    );
}

//! How images get into the registry: packed by the build or by the push, and in spite of a registry that
//! breaks off.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use fastbuild_testkit::{container, request::Request};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::site::{On, PATIENCE, Site};

#[tokio::test]
async fn an_engine_with_containerds_store_packs_while_it_builds() {
    for compression in ["gzip", "zstd"] {
        let site =
            Site::configured_with(On::ContainerdStore, &[("BUILDS__COMPRESSION", compression)])
                .await;
        let target = site.target("1");
        let request = Request::new(&site.base(&site.parts.images.debian), &target)
            .system("apt", &["less"])
            .system_mirror("local", "debian-12.list");
        let task = site.build(&request).await;
        let folder = task["work_dir_name"].as_str().unwrap();
        let log = site
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
        let engine = &site.parts.engine_plain;
        container::pull(&site.parts, engine, &target).unwrap();
        let output =
            container::run_once(&site.parts, engine, &target, &["less", "--version"]).unwrap();
        assert!(output.contains("less "), "{output}");
        let removed = site
            .parts
            .docker(engine)
            .args(["image", "rm", "--force", &target])
            .output()
            .unwrap();
        assert!(removed.status.success());
    }
}

#[tokio::test]
async fn a_registry_that_breaks_off_is_pushed_to_again_on_docker_s_store() {
    pushed_again(On::PlainEngine).await;
}

#[tokio::test]
async fn a_registry_that_breaks_off_is_pushed_to_again_on_containerd_s_store() {
    pushed_again(On::ContainerdStore).await;
}

async fn pushed_again(on: On) {
    let seconds = "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]";
    let site = Site::unconfigured(&[("BUILDS__PUSH_RETRY_SECONDS", seconds)]).await;
    let cutter = Cutter::open(site.parts.registry.port).await;
    let registry = format!("127.0.0.1:{}", cutter.port);
    let fields = site
        .fields(on)
        .with("harbor_registry", registry.clone())
        .with("harbor_registry_dns", site.parts.registry.registry.clone());
    site.client()
        .configure(fields)
        .await
        .unwrap()
        .data()
        .unwrap();
    let path = format!("test/{}:1", site.token);
    let request = Request::new(
        &site.base(&site.parts.images.debian),
        &format!("{registry}/{path}"),
    )
    // Something that the registry has not: an engine may have it take the rest from where it lies.
    .system("apt", &["file"])
    .system_mirror("local", "debian-12.list")
    // And never had: a layer that an earlier run made, the registry knows under another name.
    .afresh();
    cutter.cuts.store(true, Ordering::Relaxed);
    let answer = site.client().submit(request.body()).await.unwrap();
    let task_id = answer.data().unwrap()["task_id"].as_i64().unwrap();
    let pushing = site
        .client()
        .wait_for_task(task_id, PATIENCE, |task| {
            task["state"] == "CHECK_IMAGE_SIZE_SUCCESS"
                || task["state"].as_str().unwrap().starts_with("PUSH")
        })
        .await
        .unwrap();
    let folder = pushing["work_dir_name"].as_str().unwrap();
    let until = Instant::now() + PATIENCE;
    loop {
        let log = site.client().task_file(folder, "push.log").await;
        if log.is_ok_and(|log| log.contains("is pushed again")) {
            break;
        }
        let task = site.client().task(task_id).await.unwrap();
        assert!(
            Instant::now() < until && !task["state"].as_str().unwrap().starts_with("PUSH_"),
            "the push was not tried again: {task:#}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    cutter.cuts.store(false, Ordering::Relaxed);
    let task = site.client().wait_for_end(task_id, PATIENCE).await.unwrap();
    assert_eq!(task["state"], "PUSH_SUCCESS", "{task:#}");
    assert!(site.registry_has(&site.parts.image(&path)).await);
}

/// A TCP relay to the registry that can be told to cut every connection in the middle of an upload.
struct Cutter {
    port: u16,
    cuts: Arc<AtomicBool>,
    _relay: tokio_util::task::AbortOnDropHandle<()>,
}

/// Bytes that go to the registry before a connection is cut: more than questions take, less than a layer.
const UPLOADED: usize = 64 * 1024;

impl Cutter {
    async fn open(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cuts = Arc::new(AtomicBool::new(false));
        let cutting = Arc::clone(&cuts);
        let relay = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((inner, _)) = listener.accept().await {
                connections.spawn(relay(inner, to, Arc::clone(&cutting)));
            }
        });
        Self {
            port,
            cuts,
            _relay: tokio_util::task::AbortOnDropHandle::new(relay),
        }
    }
}

async fn relay(inner: TcpStream, to: u16, cuts: Arc<AtomicBool>) {
    let Ok(outer) = TcpStream::connect(("127.0.0.1", to)).await else {
        return;
    };
    let (mut from_engine, mut to_engine) = inner.into_split();
    let (mut from_registry, mut to_registry) = outer.into_split();
    let up = async {
        let mut buffer = vec![0; 16 * 1024];
        let mut sent = 0;
        while let Ok(count @ 1..) = from_engine.read(&mut buffer).await {
            sent += count;
            if sent > UPLOADED && cuts.load(Ordering::Relaxed) {
                break;
            }
            if to_registry.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = up => {}
        _ = tokio::io::copy(&mut from_registry, &mut to_engine) => {}
    }
}

//! What cleaning takes and what it leaves, with the clock moved on by days.

use std::{sync::Arc, time::Duration};

use fastbuild_builder::{
    Builder,
    clock::{Clock as _, ManualClock, SystemClock},
    options::{
        BuildOptions, CallbackOptions, CleaningOptions, DiskMarks, Folders, Limits, Options,
    },
};
use fastbuild_spec::request::WireKey;
use fastbuild_store::{Seal, Store};
use fastbuild_testkit::{container, request::Request};
use jiff::SignedDuration;

use crate::support::installation::{EngineKind, Installation, TIMEOUT};

/// A builder on the database and folders of a service that has ended, with a clock that is ahead.
async fn later(installation: &Installation, days: i64) -> Builder {
    later_with(installation, days, None).await
}

async fn later_with(
    installation: &Installation,
    days: i64,
    disk_marks: Option<DiskMarks>,
) -> Builder {
    let base = installation.directory.path();
    let seal = Seal::load_or_create(&base.join("seal.key")).unwrap();
    let url = format!("sqlite://{}", base.join("fastbuild.db").display());
    let store = Store::open(&url, seal).await.unwrap();
    let clock = ManualClock::new(SystemClock.now());
    clock.advance(SignedDuration::from_hours(24 * days));
    let options = Options {
        folders: Folders {
            source_dir: installation.env.base_dir.join("source"),
            tools_dir: installation.env.base_dir.join("tools"),
            task_dir: base.join("task"),
        },
        limits: Limits {
            lease: Duration::from_mins(1),
            grace: Duration::ZERO,
            builds_per_engine: 1,
            build_time: Duration::from_mins(9),
            silence: Duration::from_mins(9),
            push_time: Duration::from_mins(1),
            longest: fastbuild_spec::limits::BuildLimits {
                total: 3600,
                silence: 600,
                push: 600,
            },
            preflight: Duration::from_secs(9),
            engine_return: Duration::from_secs(9),
            image_bytes: 50_000_000_000,
            log_bytes: 1_000_000,
            upload_bytes: 1,
        },
        builds: BuildOptions::default(),
        callbacks: CallbackOptions {
            timeout: Duration::from_secs(9),
            retry_after: vec![],
            signing_secret: None,
        },
        cleaning: CleaningOptions {
            image_reserve_days: 7,
            task_retention_days: 7,
            callback_retention_days: 7,
            build_cache_bytes: 1 << 60,
            interval: Duration::from_hours(24),
            disk_marks,
        },
        base_images: vec![],
        wire_key: WireKey::new("c7e71f37dda040fd", "0000000000000000").unwrap(),
        sources: fastbuild_spec::requirements::Sources::default(),
        worker: "later".to_owned(),
    };
    Builder::new(store, options, Arc::new(clock)).unwrap()
}

#[tokio::test]
async fn unused_images_leave_the_engine_and_old_logs_the_disk() {
    let on = EngineKind::PlainEngine;
    let mut installation = Installation::configured(on).await;
    let (base, target) = (installation.own_base(on), installation.target("1"));
    let task = installation.build(&Request::new(&base, &target)).await;
    let task_id = task["task_id"].as_i64().unwrap();
    let recent = installation
        .client()
        .post("system/auto_clean_image?reserve_days=7")
        .await
        .unwrap();
    assert_eq!(recent.data().unwrap(), &serde_json::json!([]));
    assert!(!installation.build_log(&task).await.is_empty());
    let folder = std::path::PathBuf::from(task["task_work_dir"].as_str().unwrap());
    assert!(folder.join("build.log").exists());
    installation.service.stop().await.unwrap();

    // Long unused, but a queued build names the base and a container was made from the target.
    let builder = later(&installation, 8).await;
    let queued = builder
        .builds()
        .submit(Request::new(&base, &installation.target("2")).body())
        .await
        .unwrap();
    let (env, engine) = (installation.env.clone(), installation.engine(on).clone());
    let docker = |arguments: &[&str]| {
        let output = env.docker(&engine).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let container = docker(&["create", &target]);
    let none = builder.cleanup().images(7).await;
    builder.builds().cancel(queued.build.id).await.unwrap();
    docker(&["rm", &container]);
    assert_eq!(none.unwrap(), Vec::<String>::new());
    assert!(installation.engine_has(on, &base) && installation.engine_has(on, &target));

    // Not yet, then at once.
    assert_eq!(
        builder.cleanup().images(9).await.unwrap(),
        Vec::<String>::new()
    );
    let mut removed = builder.cleanup().images(7).await.unwrap();
    removed.sort_unstable();
    let mut expected = vec![base.clone(), target.clone()];
    expected.sort_unstable();
    assert_eq!(removed, expected);
    assert!(!installation.engine_has(on, &base) && !installation.engine_has(on, &target));
    assert!(installation.registry_has(&base).await && installation.registry_has(&target).await);
    assert_eq!(
        builder.cleanup().images(0).await.unwrap(),
        Vec::<String>::new()
    );

    assert_eq!(builder.cleanup().builds(9).await.unwrap(), 0);
    assert!(folder.exists());
    assert_eq!(builder.cleanup().builds(7).await.unwrap(), 1);
    assert!(!folder.exists());
    // Each build once: the one that was cancelled in the queue ended too late, by the same clock.
    assert_eq!(builder.cleanup().builds(7).await.unwrap(), 0);
    let never_ran = builder
        .options()
        .folders
        .task_dir
        .join(&queued.build.work_dir_name);
    assert!(never_ran.exists());
    builder.store().close().await.unwrap();
    let builder = later(&installation, 20).await;
    assert_eq!(builder.cleanup().builds(7).await.unwrap(), 1);
    assert!(!never_ran.exists());
    builder.store().close().await.unwrap();

    // The service shows what is left, and what went, and can build upon it again.
    installation.service.restart_in_place().await.unwrap();
    for image in [&base, &target] {
        assert!(installation.life(image).await.unwrap()["delete_time"].is_string());
    }
    assert_eq!(
        installation.client().task(task_id).await.unwrap()["state"],
        "PUSH_SUCCESS"
    );
    assert_eq!(installation.client().steps(task_id).await.unwrap().len(), 5);
    assert_eq!(installation.build_log(&task).await, "");
    let dockerfile = task["work_dir_name"].as_str().unwrap();
    let dockerfile = installation
        .client()
        .task_file(dockerfile, "Dockerfile")
        .await
        .unwrap();
    assert!(dockerfile.contains("FROM"), "{dockerfile}");
    installation
        .build(&Request::new(&target, &installation.target("3")))
        .await;
    for image in [&target, &installation.target("3")] {
        container::inspect(&env, &engine, image, "{{.Id}}").unwrap();
        docker(&["image", "rm", image]);
    }
}

#[tokio::test]
async fn the_build_cache_is_kept_below_a_limit() {
    let on = EngineKind::PlainEngine;
    let mut installation = Installation::configured(on).await;
    let request = Request::new(
        &installation.base(&installation.env.images.python),
        &installation.target("1"),
    );
    installation.build(&request.pip(&["six=1.16.0"])).await;
    installation.service.stop().await.unwrap();
    let builder = later(&installation, 0).await;
    assert_eq!(builder.cleanup().build_cache(1 << 60).await.unwrap(), 0);
    let freed = builder.cleanup().build_cache(1).await.unwrap();
    assert!(freed > 0);
    builder.store().close().await.unwrap();
}

#[tokio::test]
async fn a_configured_service_cleans_when_it_starts_and_not_again_before_a_day() {
    let mut installation = Installation::configured(EngineKind::PlainEngine).await;
    installation.service.stop().await.unwrap();
    let builder = later(&installation, 0).await;
    assert_eq!(builder.store().last_cleanup().await.unwrap(), None);
    builder.store().close().await.unwrap();

    let done = "cleaned builds=0";
    installation.service.restart_in_place().await.unwrap();
    installation
        .service
        .wait_for_log(done, TIMEOUT)
        .await
        .unwrap();
    installation.service.restart_in_place().await.unwrap();
    installation.client().get("progress/status").await.unwrap();
    installation.service.stop().await.unwrap();
    let log = installation.service.log();
    assert_eq!(log.matches(done).count(), 1, "{log}");
    let builder = later(&installation, 0).await;
    assert!(builder.store().last_cleanup().await.unwrap().is_some());
    builder.store().close().await.unwrap();
}

#[tokio::test]
async fn above_a_mark_what_is_unused_leaves_an_engine_and_what_is_used_stays() {
    // Not the engine of the other tests here: all of its build cache goes.
    let on = EngineKind::TlsEngine;
    let mut installation = Installation::configured(on).await;
    let (base, used, unused) = (
        installation.own_base(on),
        installation.target("used"),
        installation.target("unused"),
    );
    for target in [&used, &unused] {
        installation.build(&Request::new(&base, target)).await;
    }
    installation.service.stop().await.unwrap();
    // An image that others put on the engine is none of ours.
    let (env, engine) = (installation.env.clone(), installation.engine(on).clone());
    let docker = |arguments: &[&str]| {
        let output = env.docker(&engine).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let foreign = installation.target("foreign");
    docker(&["image", "tag", &base, &foreign]);
    let container = docker(&["create", &used]);

    let disk = async |builder: &Builder| {
        let engines = builder.store().engines().await.unwrap();
        engines[0].disk.unwrap()
    };
    let roomy = DiskMarks {
        high: u64::MAX,
        low: 0,
    };
    let builder = later_with(&installation, 0, Some(roomy)).await;
    let nothing = builder.cleanup().disk("default").await.unwrap();
    assert_eq!(nothing, fastbuild_builder::Freed::default());
    let measured = disk(&builder).await;
    assert!(measured.used_bytes > measured.cache_bytes, "{measured:?}");
    builder.store().close().await.unwrap();

    // A queued build names the base, a container was made from one image.
    let narrow = DiskMarks { high: 1, low: 0 };
    let builder = later_with(&installation, 0, Some(narrow)).await;
    let queued = builder
        .builds()
        .submit(Request::new(&base, &installation.target("queued")).body())
        .await
        .unwrap();
    let freed = builder.cleanup().disk("default").await.unwrap();
    assert_eq!(freed.images, std::slice::from_ref(&unused));
    for stays in [&base, &used, &foreign] {
        assert!(installation.engine_has(on, stays), "{stays}");
    }
    assert!(!installation.engine_has(on, &unused));
    assert!(installation.registry_has(&unused).await);

    builder.builds().cancel(queued.build.id).await.unwrap();
    docker(&["rm", &container]);
    let mut freed = builder.cleanup().disk("default").await.unwrap().images;
    freed.sort_unstable();
    let mut expected = vec![base, used];
    expected.sort_unstable();
    assert_eq!(freed, expected);
    assert!(installation.engine_has(on, &foreign));
    docker(&["image", "rm", &foreign]);
    builder.store().close().await.unwrap();
}

//! What goes wrong gives its code and sentence, and leaves nothing half done.

use fastbuild_testkit::{client::wait_for_callbacks, request::Request};
use serde_json::{Value, json};

use crate::{
    gate::Gate,
    site::{On, PATIENCE, Site},
};

/// Runs a build that must fail with a code; checks that people are told and nothing stays.
async fn fails_with(site: &Site, request: &Request, state: &str, code: &str) -> Value {
    let task = site.run(request).await;
    assert_eq!(
        task["state"],
        state,
        "{task:#}\n{}",
        site.build_log(&task).await
    );
    assert_eq!(task["reason"], code, "{task:#}");
    let message = task["message"].as_str().unwrap();
    assert!(message.chars().count() > 10, "{message}");
    let target = task["target_image_name"].as_str().unwrap();
    assert!(!site.registry_has(target).await, "{target} was pushed");
    for engine in [&site.parts.engine_plain, &site.parts.engine_tls] {
        let found = site
            .parts
            .docker(engine)
            .args(["image", "inspect", target])
            .output()
            .unwrap();
        assert!(!found.status.success(), "{target} stays on {}", engine.name);
    }
    task
}

#[tokio::test]
async fn an_unknown_base_image() {
    let site = Site::configured(On::PlainEngine).await;
    let request = Request::new(&site.base("base/no-such-image:9"), &site.target("1"))
        .callback(&site.callback_url());
    let task = fails_with(&site, &request, "PULL_FAILED", "BaseImageNotFound").await;
    assert!(
        task["message"].as_str().unwrap().contains("no-such-image"),
        "{task}"
    );
    let callbacks = wait_for_callbacks(&site.parts, &site.token, 1, PATIENCE)
        .await
        .unwrap();
    assert!(
        callbacks[0].to_string().contains("PULL_FAILED"),
        "{}",
        callbacks[0]
    );
    assert!(
        callbacks[0].to_string().contains("BaseImageNotFound"),
        "{}",
        callbacks[0]
    );
}

#[tokio::test]
async fn unknown_packages_of_every_kind() {
    let site = Site::configured(On::PlainEngine).await;
    let debian = site.base(&site.parts.images.debian);
    let python = site.base(&site.parts.images.python);
    let centos = site.base(&site.parts.images.centos);
    let cases = [
        (
            Request::new(&debian, &site.target("apt")).system("apt", &["no-such-package-fb"]),
            "no-such-package-fb",
        ),
        (
            Request::new(&centos, &site.target("yum")).system("yum", &["no-such-package-fb"]),
            "no-such-package-fb",
        ),
        (
            Request::new(&python, &site.target("pip")).pip(&["no-such-package-fb-7f3a"]),
            "no-such-package-fb-7f3a",
        ),
        (
            Request::new(&python, &site.target("version")).pip(&["six=99.0"]),
            "six",
        ),
        (
            Request::new(&debian, &site.target("conda"))
                .conda("Miniconda3-fixture-Linux-x86_64.sh", &["no-such-thing"]),
            "no-such-thing",
        ),
    ];
    for (request, culprit) in cases {
        let task = fails_with(&site, &request, "BUILD_FAILED", "PackageNotFound").await;
        assert!(
            task["message"].as_str().unwrap().contains(culprit),
            "{task}"
        );
    }
}

#[tokio::test]
async fn what_can_be_refused_before_queueing_is() {
    let site = Site::configured(On::PlainEngine).await;
    let debian = site.base(&site.parts.images.debian);
    let centos = site.base(&site.parts.images.centos);
    let request = |tag: &str| Request::new(&debian, &site.target(tag));
    let cases = [
        (
            request("a").system_mirror("local", "ubuntu-18.04.list"),
            "ubuntu-18.04.list",
        ),
        (
            Request::new(&centos, &site.target("b")).system_mirror("ali", "Centos-8.repo"),
            "Centos-8.repo",
        ),
        (
            request("c").system_mirror("local", "no-such.list"),
            "no-such.list",
        ),
        (request("d").python("Python-9.9.9.tgz"), "Python-9.9.9.tgz"),
        (
            request("e").system("apt", &["curl; touch /pwned"]),
            "software_list[0].name",
        ),
        (
            request("f").pip(&["--index-url=http://x"]),
            "software_list[0].name",
        ),
        (
            request("g").system("apt", &["$(id)"]),
            "software_list[0].name",
        ),
        (request("h").system_mirror("local", "../x"), "file_name"),
        (
            request("i").system("apt", &["git\nRUN id"]),
            "software_list[0].name",
        ),
    ];
    for (request, named) in cases {
        let answer = site.client().submit(request.body()).await.unwrap();
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (200, &json!(-1)),
            "{}",
            answer.body
        );
        assert!(
            answer.message().contains(named),
            "{named}: {}",
            answer.message()
        );
    }
    let tasks = site
        .client()
        .get("task/list-task?page=1&page_size=10")
        .await
        .unwrap();
    assert_eq!(
        tasks.data().unwrap()["page"]["total"],
        0,
        "something was queued"
    );
}

#[tokio::test]
async fn an_image_over_the_limit_is_not_pushed() {
    let site =
        Site::configured_with(On::PlainEngine, &[("BUILDS__IMAGE_SIZE_LIMIT", "1000")]).await;
    let request = Request::new(&site.base(&site.parts.images.debian), &site.target("1"));
    fails_with(&site, &request, "CHECK_IMAGE_SIZE_FAILED", "ImageTooLarge").await;
}

#[tokio::test]
async fn a_cancelled_build_is_stopped_whether_it_runs_or_waits() {
    let site = Site::configured_with(On::PlainEngine, &[("BUILDS__PER_ENGINE", "1")]).await;
    let base = site.base(&site.parts.images.debian);
    let running = Request::new(&base, &site.target("running"))
        .python("Python-3.11.2.tgz")
        .system("apt", &["less"])
        .callback(&site.callback_url());
    let waiting = Request::new(&base, &site.target("waiting"));
    let (running, waiting) = (site.submit(&running).await, site.submit(&waiting).await);
    site.client()
        .wait_for_task(running, PATIENCE, |task| task["state"] == "BUILDING")
        .await
        .unwrap();
    for task_id in [waiting, running] {
        let cancel = format!("task/cancel-task-by-task-id?task_id={task_id}");
        site.client().post(&cancel).await.unwrap().data().unwrap();
        let task = site.client().wait_for_end(task_id, PATIENCE).await.unwrap();
        assert_eq!(
            (&task["state"], &task["reason"]),
            (&json!("BUILD_ABORT"), &json!("Cancelled")),
            "{task:#}"
        );
        let again = site.client().post(&cancel).await.unwrap();
        assert_eq!(again.body["code"], -1, "{}", again.body);
    }
    let callbacks = wait_for_callbacks(&site.parts, &site.token, 1, PATIENCE)
        .await
        .unwrap();
    assert!(
        callbacks[0].to_string().contains("Cancelled"),
        "{}",
        callbacks[0]
    );
}

#[tokio::test]
async fn a_build_over_its_time_is_stopped() {
    let site = Site::configured_with(On::PlainEngine, &[("BUILDS__TOTAL_SECONDS", "8")]).await;
    let request = Request::new(&site.base(&site.parts.images.debian), &site.target("1"))
        .python("Python-3.11.2.tgz");
    fails_with(&site, &request, "BUILD_FAILED", "TimedOut").await;
}

#[tokio::test]
async fn the_registry_or_the_engine_goes_away_after_the_configuration() {
    // A stand-in address that a test can close: the real parts serve other tests at the same time.
    let site = Site::unconfigured(&[("BUILDS__ENGINE_RETURN_SECONDS", "1")]).await;
    let gate = Gate::open(site.parts.engine_plain.port).await;
    let fields = site
        .fields(On::PlainEngine)
        .with("docker_port", gate.port.to_string());
    site.client()
        .configure(fields)
        .await
        .unwrap()
        .data()
        .unwrap();
    gate.close().await;
    let request = Request::new(&site.base(&site.parts.images.debian), &site.target("1"));
    fails_with(&site, &request, "PULL_FAILED", "EngineUnreachable").await;
    let answer = site
        .client()
        .post(&format!(
            "task/check-image?image_name={}",
            site.base(&site.parts.images.debian)
        ))
        .await
        .unwrap();
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (500, &json!("EngineUnreachable")),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_registry_that_is_not_there_fails_the_push() {
    let site = Site::configured(On::PlainEngine).await;
    // Not the configured registry, and nothing listens there.
    let request = Request::new(
        &site.base(&site.parts.images.debian),
        &format!("127.0.0.1:1/test/{}:1", site.token),
    );
    let task = site.run(&request).await;
    assert_eq!(task["state"], "PUSH_FAILED", "{task:#}");
    assert_eq!(task["reason"], "RegistryUnavailable", "{task:#}");
}

//! What goes wrong gives its code and sentence, and leaves nothing half done.

use fastbuild_testkit::{client::wait_for_callbacks, request::Request, tcp_proxy::TcpProxy};
use serde_json::{Value, json};

use crate::support::installation::{EngineKind, Installation, TIMEOUT};

/// Runs a build that must fail with a code; checks that people are told and nothing stays.
async fn fails_with(
    installation: &Installation,
    request: &Request,
    state: &str,
    code: &str,
) -> Value {
    let task = installation.run(request).await;
    assert_eq!(
        task["detail_state"],
        state,
        "{task:#}\n{}",
        installation.build_log(&task).await
    );
    assert_eq!(task["reason"], code, "{task:#}");
    let message = task["message"].as_str().unwrap();
    assert!(message.chars().count() > 10, "{message}");
    let target = task["target_image_name"].as_str().unwrap();
    assert!(
        !installation.registry_has(target).await,
        "{target} was pushed"
    );
    for engine in [&installation.env.engine_plain, &installation.env.engine_tls] {
        let found = installation
            .env
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
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let request = Request::new(
        &installation.base("base/no-such-image:9"),
        &installation.target("1"),
    )
    .callback(&installation.callback_url());
    let task = fails_with(&installation, &request, "PULL_FAILED", "BaseImageNotFound").await;
    assert!(
        task["message"].as_str().unwrap().contains("no-such-image"),
        "{task}"
    );
    let callbacks = wait_for_callbacks(&installation.env, &installation.token, 1, TIMEOUT)
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
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let debian = installation.base(&installation.env.images.debian);
    let python = installation.base(&installation.env.images.python);
    let centos = installation.base(&installation.env.images.centos);
    let cases = [
        (
            Request::new(&debian, &installation.target("apt"))
                .system("apt", &["no-such-package-fb"]),
            "no-such-package-fb",
        ),
        (
            Request::new(&centos, &installation.target("yum"))
                .system("yum", &["no-such-package-fb"]),
            "no-such-package-fb",
        ),
        (
            Request::new(&python, &installation.target("pip")).pip(&["no-such-package-fb-7f3a"]),
            "no-such-package-fb-7f3a",
        ),
        (
            Request::new(&python, &installation.target("version")).pip(&["six=99.0"]),
            "six",
        ),
        (
            Request::new(&debian, &installation.target("conda"))
                .conda("Miniconda3-fixture-Linux-x86_64.sh", &["no-such-thing"]),
            "no-such-thing",
        ),
    ];
    for (request, culprit) in cases {
        let task = fails_with(&installation, &request, "BUILD_FAILED", "PackageNotFound").await;
        assert!(
            task["message"].as_str().unwrap().contains(culprit),
            "{task}"
        );
    }
}

#[tokio::test]
async fn what_can_be_refused_before_queueing_is() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let debian = installation.base(&installation.env.images.debian);
    let centos = installation.base(&installation.env.images.centos);
    let request = |tag: &str| Request::new(&debian, &installation.target(tag));
    let cases = [
        (
            request("a").system_mirror("local", "ubuntu-18.04.list"),
            "ubuntu-18.04.list",
        ),
        (
            Request::new(&centos, &installation.target("b")).system_mirror("ali", "Centos-8.repo"),
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
        let answer = installation.client().submit(request.body()).await.unwrap();
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
    let tasks = installation
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
    let installation = Installation::configured_with(
        EngineKind::PlainEngine,
        &[("BUILDS__IMAGE_SIZE_LIMIT", "1000")],
    )
    .await;
    let request = Request::new(
        &installation.base(&installation.env.images.debian),
        &installation.target("1"),
    );
    fails_with(
        &installation,
        &request,
        "CHECK_IMAGE_SIZE_FAILED",
        "ImageTooLarge",
    )
    .await;
}

#[tokio::test]
async fn a_cancelled_build_is_stopped_whether_it_runs_or_waits() {
    let installation =
        Installation::configured_with(EngineKind::PlainEngine, &[("BUILDS__PER_ENGINE", "1")])
            .await;
    let base = installation.base(&installation.env.images.debian);
    let running = Request::new(&base, &installation.target("running"))
        .python("Python-3.11.2.tgz")
        .system("apt", &["less"])
        .callback(&installation.callback_url());
    let waiting = Request::new(&base, &installation.target("waiting"));
    let (running, waiting) = (
        installation.submit(&running).await,
        installation.submit(&waiting).await,
    );
    installation
        .client()
        .wait_for_task(running, TIMEOUT, |task| task["detail_state"] == "BUILDING")
        .await
        .unwrap();
    for task_id in [waiting, running] {
        let cancel = format!("task/cancel-task-by-task-id?task_id={task_id}");
        installation
            .client()
            .post(&cancel)
            .await
            .unwrap()
            .data()
            .unwrap();
        let task = installation
            .client()
            .wait_for_end(task_id, TIMEOUT)
            .await
            .unwrap();
        assert_eq!(
            (&task["detail_state"], &task["reason"]),
            (&json!("BUILD_ABORT"), &json!("Cancelled")),
            "{task:#}"
        );
        let again = installation.client().post(&cancel).await.unwrap();
        assert_eq!(again.body["code"], -1, "{}", again.body);
    }
    let callbacks = wait_for_callbacks(&installation.env, &installation.token, 1, TIMEOUT)
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
    let installation =
        Installation::configured_with(EngineKind::PlainEngine, &[("BUILDS__TOTAL_SECONDS", "8")])
            .await;
    let request = Request::new(
        &installation.base(&installation.env.images.debian),
        &installation.target("1"),
    )
    .python("Python-3.11.2.tgz");
    fails_with(&installation, &request, "BUILD_FAILED", "TimedOut").await;
}

#[tokio::test]
async fn the_registry_or_the_engine_goes_away_after_the_configuration() {
    // A stand-in address that a test can close: the real parts serve other tests at the same time.
    let installation = Installation::unconfigured(&[("BUILDS__ENGINE_RETURN_SECONDS", "1")]).await;
    let proxy = TcpProxy::start(format!("127.0.0.1:{}", installation.env.engine_plain.port))
        .await
        .unwrap();
    let fields = installation
        .fields(EngineKind::PlainEngine)
        .with("docker_port", proxy.port().to_string());
    installation
        .client()
        .configure(fields)
        .await
        .unwrap()
        .data()
        .unwrap();
    proxy.close().await;
    let request = Request::new(
        &installation.base(&installation.env.images.debian),
        &installation.target("1"),
    );
    fails_with(&installation, &request, "PULL_FAILED", "EngineUnreachable").await;
    let answer = installation
        .client()
        .post(&format!(
            "task/check-image?image_name={}",
            installation.base(&installation.env.images.debian)
        ))
        .await
        .unwrap();
    assert_eq!(
        (answer.status, &answer.body["code"], &answer.body["reason"]),
        (200, &json!(-1), &json!("EngineUnreachable")),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_registry_that_is_not_there_fails_the_push() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    // Not the configured registry, and nothing listens there.
    let request = Request::new(
        &installation.base(&installation.env.images.debian),
        &format!("127.0.0.1:1/test/{}:1", installation.token),
    );
    let task = installation.run(&request).await;
    assert_eq!(task["detail_state"], "PUSH_FAILED", "{task:#}");
    assert_eq!(task["reason"], "RegistryUnavailable", "{task:#}");
}

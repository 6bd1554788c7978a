//! Starting with nothing, and configuring a running service: all or none, proven first.

use std::process::Output;

use fastbuild_testkit::{env::TestEnv, request::Request, service::ServiceOptions};
use serde_json::{Value, json};

use crate::support::installation::{EngineKind, Installation, options};

fn run(options: &ServiceOptions, arguments: &[&str]) -> Output {
    options.command(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn missing_folders_are_named_with_their_purpose() {
    let env = TestEnv::load().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(&env, &directory);
    options.variables.clear();
    let output = run(&options, &["serve"]);
    assert!(!output.status.success());
    let text = stderr(&output);
    for (key, folder) in [
        ("source_dir", "source"),
        ("tools_dir", "tools"),
        ("task_dir", "task"),
    ] {
        let path = directory.path().join(folder);
        assert!(
            text.contains(&format!("{key}: {}", path.display())),
            "{text}"
        );
    }
    assert!(text.contains("fastbuild init"), "{text}");

    assert!(run(&options, &["init"]).status.success());
    assert!(directory.path().join("tools/pip/pip3").is_dir());
    assert!(directory.path().join("source/apt").is_dir());
}

#[test]
fn config_check_names_every_mistake_at_once() {
    let env = TestEnv::load().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let good = options(&env, &directory);
    assert!(run(&good, &["config", "check"]).status.success());
    let bad = good
        .variable("LISTEN__PORT", "eighty")
        .variable("AES__KEY", "short")
        .variable("BUILDS__PER_ENGINE", "0")
        .variable("BUILDZ", "1");
    let output = run(&bad, &["config", "check"]);
    assert!(!output.status.success());
    let text = stderr(&output);
    for key in ["listen.port", "aes", "builds.per_engine", "buildz"] {
        assert!(text.contains(key), "{key} is not named in {text}");
    }
}

#[test]
fn a_variable_can_name_the_configuration_file() {
    let env = TestEnv::load().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("site.toml");
    std::fs::write(&file, "[builds]\nper_engine = 0\n").unwrap();
    let output = options(&env, &directory)
        .variable("CONFIG", file.display().to_string())
        .command(&["config", "check"])
        .output()
        .unwrap();
    let text = stderr(&output);
    assert!(
        text.contains("builds.per_engine") && text.contains("1 mistake"),
        "{text}"
    );
}

#[tokio::test]
async fn a_second_process_on_one_base_dir_is_refused() {
    let installation = Installation::unconfigured(&[]).await;
    let output = options(&installation.env, &installation.directory)
        .variable("LISTEN__PORT", "0")
        .command(&["serve"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = stderr(&output);
    assert!(text.contains("another FastBuild runs on"), "{text}");
}

#[tokio::test]
async fn it_starts_with_nothing_and_says_what_it_waits_for() {
    let installation = Installation::unconfigured(&[]).await;
    assert!(
        installation.service.log().contains("config-fastbuild"),
        "{}",
        installation.service.log()
    );
    let host = installation
        .client()
        .get("config/query-host")
        .await
        .unwrap();
    assert_eq!(host.data().unwrap()["host_ip"], "127.0.0.1");
    let request = Request::new("r.example/base:1", "r.example/target:1");
    for answer in [
        installation.client().submit(request.body()).await.unwrap(),
        installation
            .client()
            .post("task/check-image?image_name=r.example/base:1")
            .await
            .unwrap(),
        installation
            .client()
            .post("task/pull-image?image_name=r.example/base:1")
            .await
            .unwrap(),
    ] {
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (200, &json!(-1)),
            "{}",
            answer.body
        );
        assert!(answer.message().contains("Harbor"), "{}", answer.message());
        assert!(
            answer.message().contains("Docker server"),
            "{}",
            answer.message()
        );
    }
}

async fn rows(installation: &Installation) -> [usize; 3] {
    let mut counts = [0; 3];
    for (count, name) in counts.iter_mut().zip(["host", "harbor", "docker-server"]) {
        let answer = installation
            .client()
            .get(&format!("config/query-{name}-all"))
            .await
            .unwrap();
        *count = answer.data().unwrap().as_array().map_or(0, Vec::len);
    }
    counts
}

#[tokio::test]
async fn one_call_configures_a_plain_and_a_tls_engine() {
    let installation = Installation::unconfigured(&[]).await;
    assert_eq!(rows(&installation).await, [1, 0, 0]);
    for (number, on) in [EngineKind::PlainEngine, EngineKind::TlsEngine]
        .into_iter()
        .enumerate()
    {
        let answer = installation
            .client()
            .configure(installation.fields(on))
            .await
            .unwrap();
        answer.data().unwrap();
        assert_eq!(
            rows(&installation).await,
            [number + 2, number + 1, number + 1]
        );
    }
    let server = installation
        .client()
        .get("config/query-docker-server")
        .await
        .unwrap();
    assert_eq!(
        server.data().unwrap()["port"],
        json!(installation.env.engine_tls.port)
    );
    let image = installation.base(&installation.env.images.debian);
    let checked = installation
        .client()
        .post(&format!("task/check-image?image_name={image}"))
        .await
        .unwrap();
    let profile = checked.data().unwrap();
    assert_eq!(profile["package_manager"]["name"], "apt");
    assert_eq!(profile["kernel"]["name"], "Linux");
}

#[tokio::test]
async fn a_set_that_cannot_be_proven_leaves_nothing() {
    let installation = Installation::unconfigured(&[]).await;
    let before = rows(&installation).await;
    let certificates = &installation.env.certificates;
    let read = |path| Some(std::fs::read(path).unwrap());
    let tls = || installation.fields(EngineKind::TlsEngine);
    let plain = || installation.fields(EngineKind::PlainEngine);
    let without_tls = {
        let mut fields = tls();
        fields.tls_archive = None;
        fields
    };
    let with_archive = |archive| {
        let mut fields = tls();
        fields.tls_archive = archive;
        fields
    };
    let cases = [
        (
            "wrong password",
            plain().with("harbor_password", "wrong"),
            "RegistryLoginFailed",
        ),
        (
            "registry down",
            plain().with("harbor_registry", "127.0.0.1:1"),
            "RegistryUnavailable",
        ),
        (
            "engine down",
            plain().with("docker_port", "1"),
            "EngineUnreachable",
        ),
        (
            "wrong CA",
            with_archive(read(&certificates.wrong_ca_tar)),
            "EngineTlsFailed",
        ),
        (
            "expired client",
            with_archive(read(&certificates.expired_client_tar)),
            "EngineTlsFailed",
        ),
        ("no TLS to a TLS engine", without_tls, "EngineTlsFailed"),
    ];
    for (name, fields, code) in cases {
        let answer = installation.client().configure(fields).await.unwrap();
        assert_eq!(answer.status, 500, "{name}: {}", answer.body);
        assert_eq!(answer.body["code"], code, "{name}: {}", answer.body);
        assert_eq!(answer.body["message"], answer.body["msg"], "{name}");
        assert!(
            !answer.message().contains("wrong CA") && answer.message().len() > 20,
            "{name}: {}",
            answer.message()
        );
        assert!(
            !answer
                .body
                .to_string()
                .contains(&installation.env.registry.user.password),
            "{name}"
        );
        assert_eq!(rows(&installation).await, before, "{name} stored something");
    }
}

#[tokio::test]
async fn every_bad_field_is_named_in_one_answer() {
    let installation = Installation::unconfigured(&[]).await;
    let mut fields = installation
        .fields(EngineKind::PlainEngine)
        .with("fastbuild_host", "not a host")
        .with("fastbuild_port", "70000")
        .with("docker_host", "http://x")
        .with("harbor_username", "fast\tbuild")
        .with("harbor_registry", "a/b");
    fields.tls_archive = Some(b"no archive".to_vec());
    let answer = installation.client().configure(fields).await.unwrap();
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (200, &json!(-1)),
        "{}",
        answer.body
    );
    for field in [
        "fastbuild_host",
        "fastbuild_port",
        "docker_host",
        "harbor_username",
        "harbor_registry",
        "docker_tls_tar_file",
    ] {
        assert!(
            answer.message().contains(field),
            "{field}: {}",
            answer.message()
        );
    }
}

#[tokio::test]
async fn a_callback_can_be_repeated() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let none = installation
        .client()
        .post("config/test-callback")
        .await
        .unwrap();
    assert_eq!(none.body["code"], -1, "{}", none.body);
    let request = Request::new(
        &installation.base(&installation.env.images.debian),
        &installation.target("1"),
    )
    .callback(&installation.callback_url());
    let task = installation.build(&request).await;
    let first = fastbuild_testkit::client::wait_for_callbacks(
        &installation.env,
        &installation.token,
        1,
        crate::support::installation::TIMEOUT,
    )
    .await
    .unwrap();
    installation
        .client()
        .post("config/test-callback")
        .await
        .unwrap()
        .data()
        .unwrap();
    let both = fastbuild_testkit::client::wait_for_callbacks(
        &installation.env,
        &installation.token,
        2,
        crate::support::installation::TIMEOUT,
    )
    .await
    .unwrap();
    assert_eq!(both[0]["body"], both[1]["body"]);
    let body = callback_body(&first[0]);
    assert_eq!(body["imageName"], task["target_image_name"]);
    assert_eq!(body["taskId"], task["task_id"]);
    assert_eq!(body["state"], "PUSH_SUCCESS");
    let headers = first[0]["headers"].to_string().to_lowercase();
    assert!(
        headers.contains("x-biztype") && headers.contains("dros"),
        "{headers}"
    );
}

/// The body of a received callback, whether the receiver kept it as text or as JSON.
fn callback_body(received: &Value) -> Value {
    match &received["body"] {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        other => other.clone(),
    }
}

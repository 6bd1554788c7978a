//! Images of every kind a form can ask for, built, pushed, pulled on the other engine and used.

use fastbuild_testkit::{container, request::Request};

use crate::support::installation::{EngineKind, Installation, TIMEOUT};

/// Pulls an image on the engine that did not build it, runs a command there, removes it again.
fn use_elsewhere(installation: &Installation, image: &str, command: &[&str]) -> String {
    let engine = &installation.env.engine_plain;
    container::pull(&installation.env, engine, image).unwrap();
    let output = container::run_once(&installation.env, engine, image, command);
    let removed = installation
        .env
        .docker(engine)
        .args(["image", "rm", "--force", image])
        .output()
        .unwrap();
    assert!(removed.status.success());
    output.unwrap()
}

#[tokio::test]
async fn apt_and_pip_on_plain_debian() {
    let installation = Installation::configured(EngineKind::TlsEngine).await;
    let target = installation.target("1");
    let request = Request::new(&installation.base(&installation.env.images.debian), &target)
        .system("apt", &["git"])
        .system_mirror("local", "debian-12.list")
        .pip(&["six=1.16.0"])
        .pip_mirror("local", "pip.conf");
    let task = installation.build(&request).await;
    assert!(task["digest"].as_str().unwrap().starts_with("sha256:"));
    let output = use_elsewhere(
        &installation,
        &target,
        &[
            "sh",
            "-c",
            "git --version && python3 -c 'import six; print(six.__version__)' && ls /var/lib/apt/lists | wc -l",
        ],
    );
    assert!(output.contains("git version"), "{output}");
    assert!(output.contains("1.16.0"), "{output}");
}

#[tokio::test]
async fn a_python_base_takes_pip_packages() {
    let installation = Installation::configured(EngineKind::TlsEngine).await;
    let target = installation.target("1");
    let request = Request::new(&installation.base(&installation.env.images.python), &target)
        .pip(&["six=1.16.0"]);
    installation.build(&request).await;
    let output = use_elsewhere(
        &installation,
        &target,
        &["python3", "-c", "import six; print(six.__version__)"],
    );
    assert_eq!(output.trim(), "1.16.0");
}

#[tokio::test]
async fn yum_packages_on_centos() {
    let installation = Installation::configured(EngineKind::TlsEngine).await;
    let target = installation.target("1");
    let request = Request::new(&installation.base(&installation.env.images.centos), &target)
        .system("yum", &["hello-fastbuild=1.0"])
        .system_mirror("local", "Centos-7.repo");
    installation.build(&request).await;
    let output = use_elsewhere(
        &installation,
        &target,
        &["sh", "-c", "rpm -q hello-fastbuild && hello-fastbuild"],
    );
    assert!(output.starts_with("hello-fastbuild-1.0"), "{output}");
}

#[tokio::test]
async fn a_prebuilt_python_is_unpacked_and_has_pip() {
    let installation = Installation::configured(EngineKind::TlsEngine).await;
    let target = installation.target("1");
    let request = Request::new(&installation.base(&installation.env.images.debian), &target)
        .python("cpython-3.11.2-fixture-x86_64-linux-install_only.tar.gz")
        .pip(&["six=1.16.0"]);
    installation.build(&request).await;
    let output = use_elsewhere(
        &installation,
        &target,
        &[
            "sh",
            "-c",
            "command -v python && python --version && pip --version && python -c 'import six'",
        ],
    );
    assert!(output.starts_with("/usr/local/dros/python/"), "{output}");
    assert!(output.contains("Python 3.11.2"), "{output}");
}

#[tokio::test]
async fn a_python_is_compiled_from_source() {
    let installation = Installation::configured(EngineKind::TlsEngine).await;
    let target = installation.target("1");
    let request = Request::new(&installation.base(&installation.env.images.debian), &target)
        .python("Python-3.11.2.tgz")
        .get_pip()
        .pip(&["six=1.16.0"]);
    installation.build(&request).await;
    let output = use_elsewhere(
        &installation,
        &target,
        &[
            "sh",
            "-c",
            "command -v python && python -c 'import ssl, ctypes, sqlite3, bz2, lzma, six, sys; print(sys.version)' && ! command -v gcc",
        ],
    );
    assert!(output.starts_with("/usr/local/dros/python/"), "{output}");
    assert!(output.contains("3.11.2"), "{output}");
}

#[tokio::test]
async fn conda_packages_go_into_the_environment_default() {
    let installation = Installation::configured(EngineKind::TlsEngine).await;
    let target = installation.target("1");
    let request = Request::new(&installation.base(&installation.env.images.debian), &target)
        .conda("Miniconda3-fixture-Linux-x86_64.sh", &["scipy=1.9.3"]);
    installation.build(&request).await;
    let output = use_elsewhere(
        &installation,
        &target,
        &[
            "sh",
            "-c",
            "conda --version && conda list -n default && ls /usr/local/dros/conda",
        ],
    );
    assert!(output.contains("conda 23.1.0"), "{output}");
    assert!(output.contains("scipy"), "{output}");
}

#[tokio::test]
async fn the_base_images_user_entrypoint_and_command_hold() {
    let installation = Installation::configured(EngineKind::TlsEngine).await;
    let target = installation.target("1");
    let base = installation.base(&installation.env.images.app);
    installation
        .build(&Request::new(&base, &target).system("apt", &["less"]))
        .await;
    let format =
        "{{.Config.User}} {{json .Config.Entrypoint}} {{json .Config.Cmd}} {{.Config.WorkingDir}}";
    let engine = &installation.env.engine_tls;
    let before = container::inspect(&installation.env, engine, &base, format).unwrap();
    let after = container::inspect(&installation.env, engine, &target, format).unwrap();
    assert!(before.starts_with("app "), "{before}");
    assert_eq!(after, before);
    let output = use_elsewhere(&installation, &target, &["less", "--version"]);
    assert!(output.contains("less "), "{output}");
}

#[tokio::test]
async fn a_private_base_is_pulled_under_both_registry_names() {
    let installation = Installation::configured(EngineKind::TlsEngine).await;
    let name = &installation.env.images.private_debian;
    for (tag, base) in [
        ("address", installation.env.image(name)),
        ("dns", installation.env.image_dns(name)),
    ] {
        let removed = installation
            .env
            .docker(&installation.env.engine_tls)
            .args(["image", "rm", "--force", &base])
            .output()
            .unwrap();
        assert!(removed.status.success());
        let task = installation
            .build(&Request::new(&base, &installation.target(tag)))
            .await;
        assert_eq!(task["base_image_name"], base);
    }
}

#[tokio::test]
async fn a_target_may_have_a_port_and_no_tag() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let target = format!(
        "{}/test/{}",
        installation.env.registry.registry, installation.token
    );
    let task = installation
        .build(&Request::new(
            &installation.base(&installation.env.images.debian),
            &target,
        ))
        .await;
    assert_eq!(task["target_image_name"], format!("{target}:latest"));
    assert!(installation.registry_has(&format!("{target}:latest")).await);
}

#[tokio::test]
async fn a_name_is_given_once_and_while_it_is_being_built_not_again() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let request = Request::new(
        &installation.base(&installation.env.images.debian),
        &installation.target("1"),
    );
    let (one, two) = tokio::join!(
        installation.client().submit(request.body()),
        installation.client().submit(request.body())
    );
    let answers = [one.unwrap(), two.unwrap()];
    let taken: Vec<_> = answers
        .iter()
        .filter(|answer| answer.body["code"] == 0)
        .collect();
    assert_eq!(taken.len(), 1, "{answers:?}");
    let task_id = taken[0].body["data"]["task_id"].as_i64().unwrap();
    let task = installation
        .client()
        .wait_for_end(task_id, TIMEOUT)
        .await
        .unwrap();
    assert_eq!(task["detail_state"], "PUSH_SUCCESS", "{task}");
    let refused = installation.client().submit(request.body()).await.unwrap();
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (200, &serde_json::json!(-1))
    );
    assert!(
        refused.message().contains("已被使用"),
        "{}",
        refused.message()
    );
}

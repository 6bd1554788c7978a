//! SSH and JupyterLab in images: they start with the container, take the password and no other, and
//! leave what the base image does alone.

use fastbuild_testkit::{
    container::{Container, inspect, pull, run_once},
    request::Request,
};

use crate::support::installation::{EngineKind, Installation};

const PASSWORD: &str = "Alkaid123456";
const OTHER: &str = "Another 'quoted' $(pass)";

#[tokio::test]
async fn ssh_takes_its_password_and_host_keys_are_made_at_first_start() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let target = installation.target("1");
    installation
        .build(
            &Request::new(&installation.base(&installation.env.images.debian), &target).ssh(OTHER),
        )
        .await;
    let engine = &installation.env.engine_plain;

    let keys = run_once(&installation.env, engine, &target, &["sh", "-c", "true"]);
    assert!(keys.is_ok(), "{keys:?}");
    let baked = installation
        .env
        .docker(engine)
        .args([
            "run",
            "--rm",
            "--entrypoint",
            "sh",
            &target,
            "-c",
            "ls /etc/ssh/ssh_host_*",
        ])
        .output()
        .unwrap();
    assert!(
        !baked.status.success(),
        "host keys are baked in: {}",
        String::from_utf8_lossy(&baked.stdout)
    );

    let one = Container::start(&installation.env, engine, &target, &[]).unwrap();
    let two = Container::start(&installation.env, engine, &target, &[]).unwrap();
    assert_eq!(one.ssh(OTHER, "id -un").await.unwrap().trim(), "root");
    let refused = one.ssh("wrong", "true").await.unwrap_err();
    assert!(
        format!("{refused:#}").contains("Permission denied"),
        "{refused:#}"
    );
    two.ssh(OTHER, "true").await.unwrap();
    let key = "cat /etc/ssh/ssh_host_ed25519_key.pub";
    assert_ne!(
        one.exec(&["sh", "-c", key]).unwrap(),
        two.exec(&["sh", "-c", key]).unwrap()
    );
    assert!(
        inspect(
            &installation.env,
            engine,
            &target,
            "{{json .Config.ExposedPorts}}"
        )
        .unwrap()
        .contains("22/tcp")
    );
}

#[tokio::test]
async fn a_changed_password_is_the_one_in_force() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let base = installation.base(&installation.env.images.debian);
    for (tag, password) in [("1", PASSWORD), ("2", OTHER)] {
        let target = installation.target(tag);
        installation
            .build(&Request::new(&base, &target).ssh(password))
            .await;
        let running = Container::start(
            &installation.env,
            &installation.env.engine_plain,
            &target,
            &[],
        )
        .unwrap();
        running.ssh(password, "true").await.unwrap();
    }
}

#[tokio::test]
async fn jupyter_lab_takes_its_password() {
    let installation = Installation::configured(EngineKind::TlsEngine).await;
    let target = installation.target("1");
    installation
        .build(
            &Request::new(&installation.base(&installation.env.images.python), &target)
                .jupyter_lab(PASSWORD),
        )
        .await;
    let engine = &installation.env.engine_plain;
    pull(&installation.env, engine, &target).unwrap();
    let running = Container::start(&installation.env, engine, &target, &[]).unwrap();
    assert!(running.jupyter_login(PASSWORD).await.unwrap());
    assert!(!running.jupyter_login("wrong").await.unwrap());
}

#[tokio::test]
async fn services_run_beside_the_base_images_own_entrypoint_and_user() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let target = installation.target("1");
    let base = installation.base(&installation.env.images.app);
    installation
        .build(&Request::new(&base, &target).ssh(PASSWORD))
        .await;
    let engine = &installation.env.engine_plain;
    assert_eq!(
        inspect(&installation.env, engine, &target, "{{.Config.User}}").unwrap(),
        "app"
    );

    let running = Container::start(&installation.env, engine, &target, &[]).unwrap();
    running.ssh(PASSWORD, "true").await.unwrap();
    let plain = Container::start(&installation.env, engine, &base, &[]).unwrap();
    // What the base image's entrypoint says.
    let expected = plain.says("app").await.unwrap();
    assert_eq!(running.says("app").await.unwrap(), expected);
    assert_eq!(running.exec(&["id", "-un"]).unwrap().trim(), "app");
}

//! No build where none is needed.

use fastbuild_testkit::{
    client::wait_for_callbacks, request::Request, token_registry::TokenRegistry,
};
use serde_json::{Value, json};

use crate::support::{
    installation::{EngineKind, Installation, TIMEOUT},
    v1,
};

async fn reusing(on: EngineKind) -> Installation {
    Installation::configured_with(on, &[("BUILDS__REUSE_SECONDS", "3600")]).await
}

fn request(installation: &Installation, tag: &str) -> Request {
    Request::new(
        &installation.base(&installation.env.images.debian),
        &installation.target(tag),
    )
    .system("apt", &["less"])
    .system_mirror("local", "debian-12.list")
    .callback(&installation.callback_url())
}

/// Builds by a body of the protocol.
async fn build(installation: &Installation, body: &Value) -> Value {
    let answer = installation.client().submit(body).await.unwrap();
    let task_id = answer.data().unwrap()["task_id"].as_i64().unwrap();
    let task = installation
        .client()
        .wait_for_end(task_id, TIMEOUT)
        .await
        .unwrap();
    assert_eq!(task["detail_state"], "PUSH_SUCCESS", "{task:#}");
    task
}

async fn was_built(installation: &Installation, task: &Value) -> bool {
    !installation.build_log(task).await.contains("Not built: ")
}

/// How a build came by its image, and why, as its record tells.
async fn record(installation: &Installation, task: &Value) -> [Value; 2] {
    let path = format!("/api/v1/builds/{}", task["task_id"]);
    let made = &v1::get(installation, &path).await.json()["made"];
    [made["how"].clone(), made["because"].clone()]
}

#[tokio::test]
async fn an_equal_request_gets_the_image_under_its_own_name() {
    for on in [EngineKind::TlsEngine, EngineKind::ContainerdStore] {
        let installation = reusing(on).await;
        let first = installation.build(&request(&installation, "1")).await;
        assert!(was_built(&installation, &first).await);
        assert_eq!(record(&installation, &first).await, ["built", "none_equal"]);
        // Another tag, and another repository of the registry.
        let elsewhere = installation
            .env
            .image(&format!("other/{}:2", installation.token));
        for target in [installation.target("2"), elsewhere] {
            let mut body = request(&installation, "2").body().clone();
            body["task_data"]["target_image_name"] = json!(target);
            let task = build(&installation, &body).await;
            let log = installation.build_log(&task).await;
            assert!(!was_built(&installation, &task).await, "{log}");
            assert_eq!(task["digest"], first["digest"]);
            assert_eq!(
                record(&installation, &task).await,
                [json!("reused"), Value::Null]
            );
            assert!(installation.registry_has(&target).await);
        }
        wait_for_callbacks(&installation.env, &installation.token, 3, TIMEOUT)
            .await
            .unwrap();

        // What differs, and what must be new, is built.
        let other = request(&installation, "3").system("apt", &["file"]);
        let task = installation.build(&other).await;
        assert!(was_built(&installation, &task).await);
        let task = installation
            .build(&request(&installation, "4").afresh())
            .await;
        assert!(was_built(&installation, &task).await);
        assert_eq!(record(&installation, &task).await, ["built", "no_cache"]);
    }
}

#[tokio::test]
async fn equal_requests_at_the_same_time_are_built_once() {
    let installation = reusing(EngineKind::PlainEngine).await;
    let tags = ["1", "2", "3", "4"];
    let mut tasks = Vec::new();
    for tag in tags {
        tasks.push(installation.submit(&request(&installation, tag)).await);
    }
    let mut built = 0;
    for task_id in tasks {
        let task = installation
            .client()
            .wait_for_end(task_id, TIMEOUT)
            .await
            .unwrap();
        assert_eq!(task["detail_state"], "PUSH_SUCCESS", "{task:#}");
        built += usize::from(was_built(&installation, &task).await);
    }
    assert_eq!(built, 1);
    // Not earlier: this registry cannot be asked for a manifest while it writes it under one more name.
    for tag in tags {
        assert!(installation.registry_has(&installation.target(tag)).await);
    }
    wait_for_callbacks(&installation.env, &installation.token, 4, TIMEOUT)
        .await
        .unwrap();
}

/// As Harbor in a closed network often is: no TLS, and a token for everything.
#[tokio::test]
async fn a_registry_with_tokens_and_without_tls_gives_names_as_well() {
    let registry = TokenRegistry::start().await.unwrap();
    let installation = Installation::unconfigured(&[("BUILDS__REUSE_SECONDS", "3600")]).await;
    for on in [EngineKind::PlainEngine, EngineKind::ContainerdStore] {
        let base = registry
            .bring(
                &installation.env,
                installation.engine(on),
                &installation.env.images.debian,
            )
            .await
            .unwrap();
        let fields = installation
            .fields(on)
            .with("harbor_registry", &registry.address)
            .with("harbor_registry_dns", &registry.address)
            .with("harbor_username", &registry.user.username)
            .with("harbor_password", &registry.user.password);
        let answer = installation.client().configure(fields).await.unwrap();
        answer.data().unwrap();
        let request = |name: &str| {
            Request::new(&base, &format!("{}/{name}", registry.address))
                .system("apt", &["less"])
                .system_mirror("local", "debian-12.list")
                .body()
                .clone()
        };
        let engine = &installation.engine(on).name;
        let first = build(&installation, &request(&format!("made/{engine}:1"))).await;
        assert_eq!(record(&installation, &first).await, ["built", "none_equal"]);
        for name in ["made/again:1", "elsewhere/again:1"] {
            let task = build(&installation, &request(&format!("{name}-{engine}"))).await;
            let log = installation.build_log(&task).await;
            assert_eq!(
                record(&installation, &task).await,
                [json!("reused"), Value::Null],
                "{log}"
            );
            assert_eq!(task["digest"], first["digest"]);
        }
    }
}

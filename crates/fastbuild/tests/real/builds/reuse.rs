//! No build where none is needed.

use fastbuild_testkit::{
    client::wait_for_callbacks, request::Request, token_registry::TokenRegistry,
};
use serde_json::{Value, json};

use crate::{
    site::{On, PATIENCE, Site},
    v1,
};

async fn reusing(on: On) -> Site {
    Site::configured_with(on, &[("BUILDS__REUSE_SECONDS", "3600")]).await
}

fn request(site: &Site, tag: &str) -> Request {
    Request::new(&site.base(&site.parts.images.debian), &site.target(tag))
        .system("apt", &["less"])
        .system_mirror("local", "debian-12.list")
        .callback(&site.callback_url())
}

/// Builds by a body of the protocol.
async fn build(site: &Site, body: &Value) -> Value {
    let answer = site.client().submit(body).await.unwrap();
    let task_id = answer.data().unwrap()["task_id"].as_i64().unwrap();
    let task = site.client().wait_for_end(task_id, PATIENCE).await.unwrap();
    assert_eq!(task["state"], "PUSH_SUCCESS", "{task:#}");
    task
}

async fn was_built(site: &Site, task: &Value) -> bool {
    !site.build_log(task).await.contains("Not built: ")
}

/// How a build came by its image, and why, as its record tells.
async fn record(site: &Site, task: &Value) -> [Value; 2] {
    let path = format!("/api/v1/builds/{}", task["task_id"]);
    let made = &v1::get(site, &path).await.json()["made"];
    [made["how"].clone(), made["because"].clone()]
}

#[tokio::test]
async fn an_equal_request_gets_the_image_under_its_own_name() {
    for on in [On::TlsEngine, On::ContainerdStore] {
        let site = reusing(on).await;
        let first = site.build(&request(&site, "1")).await;
        assert!(was_built(&site, &first).await);
        assert_eq!(record(&site, &first).await, ["built", "none_equal"]);
        // Another tag, and another repository of the registry.
        let elsewhere = site.parts.image(&format!("other/{}:2", site.token));
        for target in [site.target("2"), elsewhere] {
            let mut body = request(&site, "2").body().clone();
            body["task_data"]["target_image_name"] = json!(target);
            let task = build(&site, &body).await;
            let log = site.build_log(&task).await;
            assert!(!was_built(&site, &task).await, "{log}");
            assert_eq!(task["digest"], first["digest"]);
            assert_eq!(record(&site, &task).await, [json!("reused"), Value::Null]);
            assert!(site.registry_has(&target).await);
        }
        wait_for_callbacks(&site.parts, &site.token, 3, PATIENCE)
            .await
            .unwrap();

        // What differs, and what must be new, is built.
        let other = request(&site, "3").system("apt", &["file"]);
        let task = site.build(&other).await;
        assert!(was_built(&site, &task).await);
        let task = site.build(&request(&site, "4").afresh()).await;
        assert!(was_built(&site, &task).await);
        assert_eq!(record(&site, &task).await, ["built", "no_cache"]);
    }
}

#[tokio::test]
async fn equal_requests_at_the_same_time_are_built_once() {
    let site = reusing(On::PlainEngine).await;
    let tags = ["1", "2", "3", "4"];
    let mut tasks = Vec::new();
    for tag in tags {
        tasks.push(site.submit(&request(&site, tag)).await);
    }
    let mut built = 0;
    for task_id in tasks {
        let task = site.client().wait_for_end(task_id, PATIENCE).await.unwrap();
        assert_eq!(task["state"], "PUSH_SUCCESS", "{task:#}");
        built += usize::from(was_built(&site, &task).await);
    }
    assert_eq!(built, 1);
    // Not earlier: this registry cannot be asked for a manifest while it writes it under one more name.
    for tag in tags {
        assert!(site.registry_has(&site.target(tag)).await);
    }
    wait_for_callbacks(&site.parts, &site.token, 4, PATIENCE)
        .await
        .unwrap();
}

/// As Harbor in a closed network often is: no TLS, and a token for everything.
#[tokio::test]
async fn a_registry_with_tokens_and_without_tls_gives_names_as_well() {
    let registry = TokenRegistry::start().await.unwrap();
    let site = Site::unconfigured(&[("BUILDS__REUSE_SECONDS", "3600")]).await;
    for on in [On::PlainEngine, On::ContainerdStore] {
        let base = registry
            .bring(&site.parts, site.engine(on), &site.parts.images.debian)
            .await
            .unwrap();
        let fields = site
            .fields(on)
            .with("harbor_registry", &registry.address)
            .with("harbor_registry_dns", &registry.address)
            .with("harbor_username", &registry.user.username)
            .with("harbor_password", &registry.user.password);
        let answer = site.client().configure(fields).await.unwrap();
        answer.data().unwrap();
        let request = |name: &str| {
            Request::new(&base, &format!("{}/{name}", registry.address))
                .system("apt", &["less"])
                .system_mirror("local", "debian-12.list")
                .body()
                .clone()
        };
        let engine = &site.engine(on).name;
        let first = build(&site, &request(&format!("made/{engine}:1"))).await;
        assert_eq!(record(&site, &first).await, ["built", "none_equal"]);
        for name in ["made/again:1", "elsewhere/again:1"] {
            let task = build(&site, &request(&format!("{name}-{engine}"))).await;
            let log = site.build_log(&task).await;
            assert_eq!(
                record(&site, &task).await,
                [json!("reused"), Value::Null],
                "{log}"
            );
            assert_eq!(task["digest"], first["digest"]);
        }
    }
}

//! Version 1 of the API, and what monitoring asks, against the real service.

use fastbuild_testkit::{
    client::{set_callback_mode, wait_for_callbacks},
    tcp_proxy::TcpProxy,
    wait::{eventually, when},
};
use serde_json::json;

use crate::support::{
    installation::{EngineKind, Installation, TIMEOUT},
    v1::{
        build, dependencies, dependency, ended, get, number, post, wait_for_number,
        wait_for_readiness,
    },
};

#[tokio::test]
async fn what_builds_did_is_told_in_numbers_and_of_each() {
    let variables = [("BUILDS__REUSE_SECONDS", "3600")];
    let installation = Installation::configured_with(EngineKind::PlainEngine, &variables).await;
    let document = |tag: &str, package: &str| {
        json!({
            "base": installation.base(&installation.env.images.debian),
            "target": installation.target(tag),
            "owner": "team a",
            "priority": 3,
            "limits": {"total_seconds": 3000},
            "system": {"manager": "apt", "packages": [package]},
            "mirrors": {"system": "local/debian-12.list"},
            "callback_url": installation.callback_url(),
        })
    };
    let first = build(&installation, &document("1", "less")).await;
    assert_eq!(first["state"], "PUSH_SUCCESS", "{first:#}");
    assert_eq!(
        json!([
            first["owner"],
            first["priority"],
            first["attempt"],
            first["limits"]["total_seconds"]
        ]),
        json!(["team a", 3, 1, 3000])
    );
    assert_eq!(
        json!([
            first["made"]["how"],
            first["made"]["by_build"],
            first["queue"]
        ]),
        json!(["built", null, null])
    );
    let second = build(&installation, &document("2", "less")).await;
    assert_eq!(
        json!([second["made"]["how"], second["made"]["by_build"]]),
        json!(["reused", first["id"]]),
        "{second:#}"
    );
    let third = build(&installation, &document("3", "no-such-package-fb")).await;
    assert_eq!(third["failure"]["code"], "PackageNotFound", "{third:#}");

    wait_for_callbacks(&installation.env, &installation.token, 3, TIMEOUT)
        .await
        .unwrap();
    wait_for_number(
        &installation,
        &["fastbuild_callback_tries_total", "delivered"],
        3,
    )
    .await;
    let ended = "fastbuild_builds_ended_total";
    assert_eq!(
        number(&installation, &[ended, "PUSH_SUCCESS", "reason=\"\""]).await,
        2
    );
    assert_eq!(
        number(&installation, &[ended, "BUILD_FAILED", "PackageNotFound"]).await,
        1
    );
    assert_eq!(number(&installation, &[ended]).await, 3);
    assert_eq!(
        number(&installation, &["fastbuild_build_duration_seconds_count"]).await,
        3
    );
    assert_eq!(
        number(&installation, &["fastbuild_queue_wait_seconds_count"]).await,
        3
    );
    assert_eq!(
        number(&installation, &["fastbuild_images_made_total", "\"built\""]).await,
        1
    );
    assert_eq!(
        number(&installation, &["fastbuild_images_made_total", "reused"]).await,
        1
    );
    let steps = "fastbuild_step_duration_seconds_count";
    for (step, status, count) in [
        ("pull", "success", 3),
        ("build", "success", 2),
        ("build", "fail", 1),
        ("push", "success", 2),
    ] {
        let labels = [format!("step=\"{step}\""), format!("status=\"{status}\"")];
        let counted = number(&installation, &[steps, &labels[0], &labels[1]]).await;
        assert_eq!(counted, count, "{labels:?}");
    }
    // Looked into once; after that it is known.
    let profiles = "fastbuild_base_image_profiles_total";
    assert_eq!(number(&installation, &[profiles, "probed"]).await, 1);
    assert!(number(&installation, &[profiles, "known"]).await >= 2);
    assert_eq!(number(&installation, &["fastbuild_queue_depth"]).await, 0);
    assert_eq!(
        number(
            &installation,
            &[
                "http_request_duration_seconds_count",
                "POST",
                "\"/api/v1/builds\"",
                "202"
            ]
        )
        .await,
        3
    );

    wait_for_number(&installation, &["fastbuild_engine_up", "\"default\""], 1).await;

    let of_owner = get(&installation, "/api/v1/builds?owner=team%20a")
        .await
        .json();
    assert_eq!(of_owner["builds"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_failed_push_is_tried_again_alone() {
    let variables = [
        ("BUILDS__PUSH_RETRY_SECONDS", "[]"),
        ("BUILDS__ENGINE_RETURN_SECONDS", "1"),
    ];
    let installation = Installation::unconfigured(&variables).await;
    let proxy = TcpProxy::start(format!("127.0.0.1:{}", installation.env.registry.port))
        .await
        .unwrap();
    let port = proxy.port();
    let registry = format!("127.0.0.1:{port}");
    let fields = installation
        .fields(EngineKind::PlainEngine)
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
    let target = format!("{registry}/test/{}:1", installation.token);
    // The base image is known and on the engine before the registry is gone.
    let warm = json!({"base": installation.base(&installation.env.images.debian), "target": format!("{target}-warm")});
    assert_eq!(build(&installation, &warm).await["state"], "PUSH_SUCCESS");
    proxy.close().await;
    let document = json!({
        "base": installation.base(&installation.env.images.debian),
        "target": target,
        "env": {"TOKEN": installation.token},
        "no_cache": true,
        "callback_url": installation.callback_url(),
    });
    let failed = build(&installation, &document).await;
    assert_eq!(
        json!([failed["state"], failed["failure"]["code"]]),
        json!(["PUSH_FAILED", "RegistryUnavailable"]),
        "{failed:#}"
    );
    let id = failed["id"].as_i64().unwrap();
    let path = format!("/api/v1/builds/{id}/retry");

    let proxy = TcpProxy::start_on(
        ("127.0.0.1", port),
        format!("127.0.0.1:{}", installation.env.registry.port),
    )
    .await
    .unwrap();
    let again = post(&installation, &path, &json!({"from": "push"})).await;
    assert_eq!(again.status, 202, "{}", again.text);
    let pushed = ended(&installation, id).await;
    assert_eq!(pushed["state"], "PUSH_SUCCESS", "{pushed:#}");
    assert_eq!(pushed["image"]["id"], failed["image"]["id"]);
    assert_eq!(
        number(&installation, &["fastbuild_images_made_total", "kept"]).await,
        1
    );
    assert!(
        installation
            .registry_has(
                &installation
                    .env
                    .image(&format!("test/{}:1", installation.token))
            )
            .await
    );
    proxy.close().await;

    // What is pushed is not pushed again; its callback is made again.
    let refused = post(&installation, &path, &json!({"from": "push"})).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (409, &json!("WrongState"))
    );
    wait_for_callbacks(&installation.env, &installation.token, 2, TIMEOUT)
        .await
        .unwrap();
    let told = post(&installation, &path, &json!({"from": "callback"})).await;
    assert_eq!(told.status, 202, "{}", told.text);
    wait_for_callbacks(&installation.env, &installation.token, 3, TIMEOUT)
        .await
        .unwrap();
    let wrong = post(&installation, &path, &json!({"from": "middle"})).await;
    assert_eq!(
        (wrong.status, &wrong.json()["errors"][0]["pointer"]),
        (422, &json!("/from"))
    );
}

#[tokio::test]
async fn a_build_that_failed_is_begun_again_from_its_start() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let document = json!({
        "base": installation.base(&format!("test/{}-late:1", installation.token)),
        "target": installation.target("1"),
        "callback_url": installation.callback_url(),
    });
    set_callback_mode(
        &installation.env,
        &installation.token,
        &json!({"status": 200}),
    )
    .await
    .unwrap();
    let failed = build(&installation, &document).await;
    assert_eq!(failed["state"], "PULL_FAILED", "{failed:#}");
    // Now there is such an image.
    let late = json!({
        "base": installation.base(&installation.env.images.debian),
        "target": installation.base(&format!("test/{}-late:1", installation.token)),
    });
    assert_eq!(build(&installation, &late).await["state"], "PUSH_SUCCESS");
    let id = failed["id"].as_i64().unwrap();
    let again = post(
        &installation,
        &format!("/api/v1/builds/{id}/retry"),
        &json!({"from": "start"}),
    )
    .await;
    assert_eq!(again.status, 202, "{}", again.text);
    let build = ended(&installation, id).await;
    assert_eq!(
        json!([build["state"], build["attempt"]]),
        json!(["PUSH_SUCCESS", 2]),
        "{build:#}"
    );
}

#[tokio::test]
async fn it_is_ready_once_it_is_configured_and_while_engine_and_registry_answer() {
    let installation = Installation::unconfigured(&[]).await;
    let reply = get(&installation, "/readyz").await;
    assert_eq!(reply.status, 503);
    assert_eq!(
        dependencies(&reply),
        [
            "database: good",
            "disk: good",
            "open_files: good",
            "host: good",
            "engine: not_configured",
            "registry: not_configured",
            "callbacks: good"
        ]
    );
    assert_eq!(get(&installation, "/healthz").await.status, 200);

    let engine = TcpProxy::start(format!("127.0.0.1:{}", installation.env.engine_plain.port))
        .await
        .unwrap();
    let registry = TcpProxy::start(format!("127.0.0.1:{}", installation.env.registry.port))
        .await
        .unwrap();
    let fields = installation
        .fields(EngineKind::PlainEngine)
        .with("docker_port", engine.port().to_string())
        .with("harbor_registry", format!("127.0.0.1:{}", registry.port()));
    installation
        .client()
        .configure(fields)
        .await
        .unwrap()
        .data()
        .unwrap();
    let reply = wait_for_readiness(&installation, 200).await;
    assert!(
        dependencies(&reply).iter().all(|one| one.ends_with("good")),
        "{}",
        reply.text
    );

    let address = format!("127.0.0.1:{}", registry.port());
    registry.close().await;
    let reply = wait_for_readiness(&installation, 503).await;
    let found = dependencies(&reply);
    assert!(found.contains(&"engine: good".to_owned()), "{found:?}");
    let body = reply.json();
    let registry = dependency(&body, "registry");
    assert_eq!(
        (&registry["state"], &registry["code"]),
        (&json!("bad"), &json!("RegistryUnavailable"))
    );
    assert!(
        registry["detail"].as_str().unwrap().contains(&address),
        "{body:#}"
    );

    engine.close().await;
    let reply = eventually("the engine is bad", TIMEOUT, || async {
        let reply = get(&installation, "/readyz").await;
        Ok(when(
            dependencies(&reply).contains(&"engine: bad".to_owned()),
            reply,
        ))
    })
    .await
    .unwrap();
    assert_eq!(reply.status, 503);
    let body = reply.json();
    assert_eq!(dependency(&body, "registry")["state"], "not_seen");
    assert_eq!(dependency(&body, "engine")["code"], "EngineUnreachable");
    // What the process can still do is its own affair.
    assert_eq!(get(&installation, "/healthz").await.status, 200);
    assert_eq!(number(&installation, &["fastbuild_database_up"]).await, 1);
}

#[tokio::test]
async fn the_version_is_told() {
    let installation = Installation::unconfigured(&[]).await;
    let version = get(&installation, "/version").await.json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        version["rustc"].as_str().unwrap().starts_with("rustc 1."),
        "{version}"
    );
    let commit = &version["commit"];
    assert!(
        commit.is_null() || commit.as_str().unwrap().len() >= 12,
        "{version}"
    );
    assert_eq!(
        number(
            &installation,
            &["fastbuild_build_info", env!("CARGO_PKG_VERSION")]
        )
        .await,
        1
    );
}

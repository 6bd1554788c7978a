//! Images, settings and callbacks in version 1, against the real service.

use fastbuild_testkit::{
    client::{set_callback_mode, wait_for_callbacks},
    tcp_proxy::TcpProxy,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    installation::{EngineKind, Installation, TIMEOUT},
    v1::{ask, build, dependency, get, post, wait_for_number},
};

#[tokio::test]
async fn images_are_profiled_pulled_listed_and_removed() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let base = installation.base(&installation.env.images.python);
    let profiled = post(
        &installation,
        "/api/v1/images:profile",
        &json!({"image": base}),
    )
    .await;
    assert_eq!(profiled.status, 200, "{}", profiled.text);
    let body = profiled.json();
    assert_eq!(body["profile"]["os"]["id"], "debian", "{body:#}");
    assert!(
        !body["profile"]["pythons"].as_array().unwrap().is_empty(),
        "{body:#}"
    );
    let again = post(
        &installation,
        "/api/v1/images:profile",
        &json!({"image": base}),
    )
    .await;
    assert_eq!(again.json()["was_known"], true);
    let pulled = post(
        &installation,
        "/api/v1/images:pull",
        &json!({"image": base}),
    )
    .await;
    assert_eq!(
        json!([
            pulled.status,
            pulled.json()["was_present"],
            pulled.json()["image_id"]
        ]),
        json!([200, true, body["profile"]["image_id"]])
    );
    let missing = installation.base("base/no-such-image:9");
    for path in ["/api/v1/images:profile", "/api/v1/images:pull"] {
        let refused = post(&installation, path, &json!({"image": missing})).await;
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (422, &json!("BaseImageNotFound")),
            "{}",
            refused.text
        );
    }

    let target = installation.target("1");
    let document =
        json!({"base": installation.base(&installation.env.images.debian), "target": target});
    assert_eq!(
        build(&installation, &document).await["state"],
        "PUSH_SUCCESS"
    );
    let listed = get(&installation, "/api/v1/images?kind=built").await.json();
    assert_eq!(
        json!([listed["images"][0]["image"], listed["images"][1]]),
        json!([target, null])
    );
    let path = format!("/api/v1/images/{}", listed["images"][0]["id"]);
    let removed = ask(&installation, Method::DELETE, &path, None).await;
    assert_eq!(
        (removed.status, &removed.json()["image"]),
        (200, &json!(target)),
        "{}",
        removed.text
    );
    let gone = ask(&installation, Method::DELETE, &path, None).await;
    assert_eq!(gone.status, 404);
    assert!(installation.registry_has(&target).await);
    let inspected = installation
        .env
        .docker(&installation.env.engine_plain)
        .args(["image", "inspect", &target])
        .output()
        .unwrap();
    assert!(!inspected.status.success());
}

#[tokio::test]
async fn settings_are_proved_and_rolled_back() {
    let installation = Installation::configured(EngineKind::TlsEngine).await;
    let proved = post(&installation, "/api/v1/settings:prove", &json!({}))
        .await
        .json();
    assert_eq!(proved["ready"], true, "{proved:#}");
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
    let proved = post(&installation, "/api/v1/settings:prove", &json!({}))
        .await
        .json();
    let engine = dependency(&proved, "engine");
    assert_eq!(
        json!([proved["ready"], engine["code"]]),
        json!([false, "EngineUnreachable"]),
        "{proved:#}"
    );
    let path = "/api/v1/settings/docker-server";
    let revisions = get(&installation, &format!("{path}/history")).await.json();
    let (second, first) = (
        revisions["revisions"][0]["revision"].as_i64().unwrap(),
        revisions["revisions"][1]["revision"].as_i64().unwrap(),
    );
    // What does not answer is not put in force again, what does is, with its keys.
    let rollback = format!("{path}/rollback");
    let refused = post(&installation, &rollback, &json!({"revision": second})).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (502, &json!("EngineUnreachable"))
    );
    let done = post(&installation, &rollback, &json!({"revision": first})).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(
        done.json()["settings"],
        revisions["revisions"][1]["settings"]
    );
    let in_force = get(&installation, "/api/v1/settings").await.json();
    assert_eq!(in_force["docker_server"], done.json());
    assert_eq!(in_force["docker_server"]["settings"]["tls"], true);
    let text = in_force.to_string();
    assert!(
        !text.contains(&installation.env.registry.user.password),
        "{text}"
    );
    assert!(!text.contains("PRIVATE KEY"), "{text}");
    let document = json!({"base": installation.base(&installation.env.images.debian), "target": installation.target("1")});
    assert_eq!(
        build(&installation, &document).await["state"],
        "PUSH_SUCCESS"
    );
}

#[tokio::test]
async fn callbacks_are_looked_at_and_sent_again() {
    let retries = [("CALLBACK__RETRY_SECONDS", "[]")];
    let installation = Installation::configured_with(EngineKind::PlainEngine, &retries).await;
    let refusing = json!({"status": 500, "times": null});
    set_callback_mode(&installation.env, &installation.token, &refusing)
        .await
        .unwrap();
    let document = json!({
        "base": installation.base("base/no-such-image:9"),
        "target": installation.target("1"),
        "callback_url": installation.callback_url(),
    });
    let failed = build(&installation, &document).await;
    wait_for_number(&installation, &["callback_tries_total", "gave_up"], 1).await;
    let path = format!("/api/v1/callbacks?build={}&status=gave_up", failed["id"]);
    let listed = get(&installation, &path).await.json();
    let callback = &listed["callbacks"][0];
    assert_eq!(
        json!([
            callback["tries"],
            callback["body"]["state"],
            listed["next_cursor"]
        ]),
        json!([1, "PULL_FAILED", null]),
        "{listed:#}"
    );
    let path = format!("/api/v1/callbacks/{}", callback["id"]);
    assert_eq!(
        get(&installation, &path).await.json()["attempts"][0]["status"],
        500
    );

    let accepting = json!({"status": 200});
    set_callback_mode(&installation.env, &installation.token, &accepting)
        .await
        .unwrap();
    let since = json!({"since": failed["created_at"]});
    let again = post(&installation, "/api/v1/callbacks:redeliver-failed", &since).await;
    assert_eq!(
        (again.status, again.json()),
        (202, json!({"callbacks": [callback["id"]]}))
    );
    wait_for_number(&installation, &["callback_tries_total", "delivered"], 1).await;
    let one = ask(
        &installation,
        Method::POST,
        &format!("{path}/redeliver"),
        None,
    )
    .await;
    assert_eq!(one.status, 202, "{}", one.text);
    wait_for_number(&installation, &["callback_tries_total", "delivered"], 2).await;
    let tested = post(&installation, "/api/v1/callbacks:test", &json!({}))
        .await
        .json();
    assert_eq!(
        json!([tested["status"], tested["error"], tested["url"]]),
        json!([200, Value::Null, installation.callback_url()])
    );
    wait_for_callbacks(&installation.env, &installation.token, 4, TIMEOUT)
        .await
        .unwrap();
    let missing = ask(
        &installation,
        Method::POST,
        "/api/v1/callbacks/999/redeliver",
        None,
    )
    .await;
    assert_eq!(missing.status, 404);
}

//! Version 1 of the API, and what monitoring asks, against the real service.

use std::time::{Duration, Instant};

use fastbuild_testkit::client::{set_callback_mode, wait_for_callbacks};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    gate::Gate,
    raw::{Http, Reply, send},
    site::{On, PATIENCE, Site},
};

/// Asks a service in English.
pub(crate) async fn ask(site: &Site, method: Method, path: &str, body: Option<&Value>) -> Reply {
    let http = Http::new(&site.client().url);
    let mut request = http
        .request_url(method, &format!("{}{path}", http.url))
        .header("accept-language", "en");
    if let Some(body) = body {
        request = request.json(body);
    }
    send(request).await
}

pub(crate) async fn get(site: &Site, path: &str) -> Reply {
    ask(site, Method::GET, path, None).await
}

pub(crate) async fn post(site: &Site, path: &str, body: &Value) -> Reply {
    ask(site, Method::POST, path, Some(body)).await
}

/// Submits a document and waits for the build's end.
pub(crate) async fn build(site: &Site, document: &Value) -> Value {
    let taken = post(site, "/api/v1/builds", document).await;
    assert_eq!(taken.status, 202, "{}", taken.text);
    let id = taken.json()["id"].as_i64().unwrap();
    ended(site, id).await
}

async fn ended(site: &Site, id: i64) -> Value {
    site.client().wait_for_end(id, PATIENCE).await.unwrap();
    get(site, &format!("/api/v1/builds/{id}")).await.json()
}

/// The numbers of all series whose names and labels hold every one of some parts, added up.
pub(crate) async fn number(site: &Site, parts: &[&str]) -> u64 {
    let text = get(site, "/metrics").await.text;
    text.lines()
        .filter(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

/// Waits until the series are a number.
pub(crate) async fn wait_for_number(site: &Site, parts: &[&str], wanted: u64) {
    let until = Instant::now() + Duration::from_mins(2);
    loop {
        let now = number(site, parts).await;
        if now == wanted {
            return;
        }
        assert!(Instant::now() < until, "{parts:?} is {now}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_builds_did_is_told_in_numbers_and_of_each() {
    let variables = [("BUILDS__REUSE_SECONDS", "3600")];
    let site = Site::configured_with(On::PlainEngine, &variables).await;
    let document = |tag: &str, package: &str| {
        json!({
            "base": site.base(&site.parts.images.debian),
            "target": site.target(tag),
            "owner": "team a",
            "priority": 3,
            "limits": {"total_seconds": 3000},
            "system": {"manager": "apt", "packages": [package]},
            "mirrors": {"system": "local/debian-12.list"},
            "callback_url": site.callback_url(),
        })
    };
    let first = build(&site, &document("1", "less")).await;
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
    let second = build(&site, &document("2", "less")).await;
    assert_eq!(
        json!([second["made"]["how"], second["made"]["by_build"]]),
        json!(["reused", first["id"]]),
        "{second:#}"
    );
    let third = build(&site, &document("3", "no-such-package-fb")).await;
    assert_eq!(third["failure"]["code"], "PackageNotFound", "{third:#}");

    wait_for_callbacks(&site.parts, &site.token, 3, PATIENCE)
        .await
        .unwrap();
    wait_for_number(&site, &["fastbuild_callback_tries_total", "delivered"], 3).await;
    let ended = "fastbuild_builds_ended_total";
    assert_eq!(
        number(&site, &[ended, "PUSH_SUCCESS", "reason=\"\""]).await,
        2
    );
    assert_eq!(
        number(&site, &[ended, "BUILD_FAILED", "PackageNotFound"]).await,
        1
    );
    assert_eq!(number(&site, &[ended]).await, 3);
    assert_eq!(
        number(&site, &["fastbuild_build_duration_seconds_count"]).await,
        3
    );
    assert_eq!(
        number(&site, &["fastbuild_queue_wait_seconds_count"]).await,
        3
    );
    assert_eq!(
        number(&site, &["fastbuild_images_made_total", "\"built\""]).await,
        1
    );
    assert_eq!(
        number(&site, &["fastbuild_images_made_total", "reused"]).await,
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
        let counted = number(&site, &[steps, &labels[0], &labels[1]]).await;
        assert_eq!(counted, count, "{labels:?}");
    }
    // Looked into once; after that it is known.
    let profiles = "fastbuild_base_image_profiles_total";
    assert_eq!(number(&site, &[profiles, "probed"]).await, 1);
    assert!(number(&site, &[profiles, "known"]).await >= 2);
    assert_eq!(number(&site, &["fastbuild_queue_depth"]).await, 0);
    assert_eq!(
        number(
            &site,
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

    wait_for_number(&site, &["fastbuild_engine_up", "\"default\""], 1).await;

    let of_owner = get(&site, "/api/v1/builds?owner=team%20a").await.json();
    assert_eq!(of_owner["builds"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_failed_push_is_tried_again_alone() {
    let site = Site::unconfigured(&[("BUILDS__PUSH_RETRY_SECONDS", "[]")]).await;
    let gate = Gate::open(site.parts.registry.port).await;
    let port = gate.port;
    let registry = format!("127.0.0.1:{port}");
    let fields = site
        .fields(On::PlainEngine)
        .with("harbor_registry", registry.clone())
        .with("harbor_registry_dns", site.parts.registry.registry.clone());
    site.client()
        .configure(fields)
        .await
        .unwrap()
        .data()
        .unwrap();
    let target = format!("{registry}/test/{}:1", site.token);
    // The base image is known and on the engine before the registry is gone.
    let warm =
        json!({"base": site.base(&site.parts.images.debian), "target": format!("{target}-warm")});
    assert_eq!(build(&site, &warm).await["state"], "PUSH_SUCCESS");
    gate.close().await;
    let document = json!({
        "base": site.base(&site.parts.images.debian),
        "target": target,
        "env": {"TOKEN": site.token},
        "no_cache": true,
        "callback_url": site.callback_url(),
    });
    let failed = build(&site, &document).await;
    assert_eq!(
        json!([failed["state"], failed["failure"]["code"]]),
        json!(["PUSH_FAILED", "RegistryUnavailable"]),
        "{failed:#}"
    );
    let id = failed["id"].as_i64().unwrap();
    let path = format!("/api/v1/builds/{id}/retry");

    let gate = Gate::open_on(port, site.parts.registry.port).await;
    let again = post(&site, &path, &json!({"from": "push"})).await;
    assert_eq!(again.status, 202, "{}", again.text);
    let pushed = ended(&site, id).await;
    assert_eq!(pushed["state"], "PUSH_SUCCESS", "{pushed:#}");
    assert_eq!(pushed["image"]["id"], failed["image"]["id"]);
    assert_eq!(
        number(&site, &["fastbuild_images_made_total", "kept"]).await,
        1
    );
    assert!(
        site.registry_has(&site.parts.image(&format!("test/{}:1", site.token)))
            .await
    );
    gate.close().await;

    // What is pushed is not pushed again; its callback is made again.
    let refused = post(&site, &path, &json!({"from": "push"})).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (409, &json!("WrongState"))
    );
    wait_for_callbacks(&site.parts, &site.token, 2, PATIENCE)
        .await
        .unwrap();
    let told = post(&site, &path, &json!({"from": "callback"})).await;
    assert_eq!(told.status, 202, "{}", told.text);
    wait_for_callbacks(&site.parts, &site.token, 3, PATIENCE)
        .await
        .unwrap();
    let wrong = post(&site, &path, &json!({"from": "middle"})).await;
    assert_eq!(
        (wrong.status, &wrong.json()["errors"][0]["pointer"]),
        (422, &json!("/from"))
    );
}

#[tokio::test]
async fn a_build_that_failed_is_begun_again_from_its_start() {
    let site = Site::configured(On::PlainEngine).await;
    let document = json!({
        "base": site.base(&format!("test/{}-late:1", site.token)),
        "target": site.target("1"),
        "callback_url": site.callback_url(),
    });
    set_callback_mode(&site.parts, &site.token, &json!({"status": 200}))
        .await
        .unwrap();
    let failed = build(&site, &document).await;
    assert_eq!(failed["state"], "PULL_FAILED", "{failed:#}");
    // Now there is such an image.
    let late = json!({
        "base": site.base(&site.parts.images.debian),
        "target": site.base(&format!("test/{}-late:1", site.token)),
    });
    assert_eq!(build(&site, &late).await["state"], "PUSH_SUCCESS");
    let id = failed["id"].as_i64().unwrap();
    let again = post(
        &site,
        &format!("/api/v1/builds/{id}/retry"),
        &json!({"from": "start"}),
    )
    .await;
    assert_eq!(again.status, 202, "{}", again.text);
    let build = ended(&site, id).await;
    assert_eq!(
        json!([build["state"], build["attempt"]]),
        json!(["PUSH_SUCCESS", 2]),
        "{build:#}"
    );
}

/// `kind: state` of the dependencies.
pub(crate) fn dependencies(reply: &Reply) -> Vec<String> {
    let body = reply.json();
    let dependencies = body["dependencies"].as_array().unwrap();
    dependencies
        .iter()
        .map(|one| {
            format!(
                "{}: {}",
                one["kind"].as_str().unwrap(),
                one["state"].as_str().unwrap()
            )
        })
        .collect()
}

/// Asks whether the service is ready until the answer has a status.
pub(crate) async fn wait_for_readiness(site: &Site, status: u16) -> Reply {
    let until = Instant::now() + Duration::from_mins(2);
    loop {
        let reply = get(site, "/readyz").await;
        if reply.status == status {
            return reply;
        }
        assert!(Instant::now() < until, "{} {}", reply.status, reply.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn it_is_ready_once_it_is_configured_and_while_engine_and_registry_answer() {
    let site = Site::unconfigured(&[]).await;
    let reply = get(&site, "/readyz").await;
    assert_eq!(reply.status, 503);
    assert_eq!(
        dependencies(&reply),
        [
            "database: good",
            "host: good",
            "engine: not_configured",
            "registry: not_configured",
            "callbacks: good"
        ]
    );
    assert_eq!(get(&site, "/healthz").await.status, 200);

    let engine = Gate::open(site.parts.engine_plain.port).await;
    let registry = Gate::open(site.parts.registry.port).await;
    let fields = site
        .fields(On::PlainEngine)
        .with("docker_port", engine.port.to_string())
        .with("harbor_registry", format!("127.0.0.1:{}", registry.port));
    site.client()
        .configure(fields)
        .await
        .unwrap()
        .data()
        .unwrap();
    let reply = wait_for_readiness(&site, 200).await;
    assert!(
        dependencies(&reply).iter().all(|one| one.ends_with("good")),
        "{}",
        reply.text
    );

    let address = format!("127.0.0.1:{}", registry.port);
    registry.close().await;
    let reply = wait_for_readiness(&site, 503).await;
    assert_eq!(
        dependencies(&reply)[2..4],
        ["engine: good", "registry: bad"]
    );
    let body = reply.json();
    assert_eq!(body["dependencies"][3]["code"], "RegistryUnavailable");
    assert!(
        body["dependencies"][3]["detail"]
            .as_str()
            .unwrap()
            .contains(&address),
        "{body:#}"
    );

    engine.close().await;
    let until = Instant::now() + Duration::from_mins(2);
    let reply = loop {
        let reply = get(&site, "/readyz").await;
        if dependencies(&reply)[2] == "engine: bad" {
            break reply;
        }
        assert!(Instant::now() < until, "{}", reply.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(
        (reply.status, dependencies(&reply)[3].as_str()),
        (503, "registry: not_seen")
    );
    assert_eq!(reply.json()["dependencies"][2]["code"], "EngineUnreachable");
    // What the process can still do is its own affair.
    assert_eq!(get(&site, "/healthz").await.status, 200);
    assert_eq!(number(&site, &["fastbuild_database_up"]).await, 1);
}

#[tokio::test]
async fn the_version_is_told() {
    let site = Site::unconfigured(&[]).await;
    let version = get(&site, "/version").await.json();
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
        number(&site, &["fastbuild_build_info", env!("CARGO_PKG_VERSION")]).await,
        1
    );
}

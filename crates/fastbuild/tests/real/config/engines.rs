//! Any number of engines: builds find a place on them, and an engine that goes away gives its
//! builds to another.

use std::time::Duration;

use fastbuild_testkit::{
    client::Answer,
    engines::engine_document,
    env::EnginePart,
    request::Request,
    tcp_proxy::{NetworkFault, TcpProxy},
    wait::{eventually, when},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::installation::{EngineKind, Installation, TIMEOUT};

impl Installation {
    async fn v1(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.client().v1(method, path, body.as_ref()).await.unwrap()
    }

    async fn add_engine(&self, document: Value) -> Value {
        let added = self.v1(Method::POST, "engines", Some(document)).await;
        assert_eq!(added.status, 201, "{}", added.body);
        added.body
    }

    async fn engine_named(&self, name: &str) -> Value {
        let path = format!("engines/{name}");
        let found = self.v1(Method::GET, &path, None).await;
        assert_eq!(found.status, 200, "{}", found.body);
        found.body
    }

    /// Calls a verb of an engine that must succeed.
    async fn engine_verb(&self, name: &str, verb: &str) -> Value {
        let path = format!("engines/{name}/{verb}");
        let done = self.v1(Method::POST, &path, None).await;
        assert_eq!(done.status, 200, "{}", done.body);
        done.body
    }

    /// Waits until an engine is as described.
    async fn wait_for_engine(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(format!("{name} is {what}"), TIMEOUT, || async {
            let engine = self.engine_named(name).await;
            Ok(when(is(&engine), engine))
        })
        .await
        .unwrap()
    }

    /// A build as version 1 tells it.
    async fn told(&self, build: i64) -> Value {
        self.v1(Method::GET, &format!("builds/{build}"), None)
            .await
            .body
    }

    /// Waits until a build is as described, which it must be before it ends.
    async fn wait_for_build(&self, build: i64, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(format!("the build is {what}"), TIMEOUT, || async {
            let told = self.told(build).await;
            let fits = is(&told);
            assert!(fits || told["ended"] == false, "not {what}: {told:#}");
            Ok(when(fits, told))
        })
        .await
        .unwrap()
    }

    /// Waits until a build has ended well.
    async fn pushed(&self, build: i64) -> Value {
        let told = self
            .wait_for_build(build, "pushed", |told| told["ended"] == true)
            .await;
        assert_eq!(told["state"], "PUSH_SUCCESS", "{told:#}");
        told
    }

    /// Containers and images that were made on an engine for one of these builds, by their labels.
    fn left_on(&self, engine: &EnginePart, builds: &[i64]) -> Vec<String> {
        let docker = |arguments: &[&str]| {
            let output = self.env.docker(engine).args(arguments).output().unwrap();
            // Other tests remove what they made in between.
            String::from_utf8(output.stdout).unwrap()
        };
        let label = "org.fastbuild.build";
        let of_these = |line: &&str| {
            let mut fields = line
                .split_whitespace()
                .last()
                .unwrap_or_default()
                .split('/');
            let build = fields.nth(2).and_then(|part| part.parse().ok());
            build.is_some_and(|build| builds.contains(&build))
        };
        let filter = format!("label={label}");
        let containers = format!("container {{{{.ID}}}} {{{{.Label {label:?}}}}}");
        let containers = docker(&["ps", "--all", "--filter", &filter, "--format", &containers]);
        let images = docker(&[
            "image",
            "ls",
            "--all",
            "--quiet",
            "--no-trunc",
            "--filter",
            &filter,
        ]);
        let mut inspect = vec!["image", "inspect", "--format"];
        let format = format!("image {{{{.RepoTags}}}} {{{{index .Config.Labels {label:?}}}}}");
        inspect.push(&format);
        inspect.extend(images.lines());
        let images = docker(&inspect);
        let lines = containers.lines().chain(images.lines());
        lines.filter(of_these).map(str::to_owned).collect()
    }

    /// Waits until nothing that was made for these builds is on an engine.
    async fn wait_until_clean(&self, engine: &EnginePart, builds: &[i64]) {
        eventually(format!("{} is clean", engine.name), TIMEOUT, || async {
            let left = self.left_on(engine, builds);
            Ok(when(left.is_empty(), left))
        })
        .await
        .unwrap();
    }

    fn small(&self, tag: &str) -> Request {
        Request::new(&self.base(&self.env.images.debian), &self.target(tag))
    }
}

#[tokio::test]
async fn builds_go_to_their_home_then_to_the_engine_with_room_and_none_to_one_that_drains() {
    let installation =
        Installation::configured_with(EngineKind::PlainEngine, &[("BUILDS__PER_ENGINE", "1")])
            .await;
    let document = engine_document("other", &installation.env.engine_tls, 1).unwrap();
    let added = installation.add_engine(document).await;
    assert_eq!(
        (&added["tls"], &added["running"]),
        (&json!(true), &json!(0))
    );
    assert!(!added.to_string().contains("-----BEGIN"), "{added}");

    // One takes the home of its base image; the next finds that full.
    // Another test may have compiled it on this engine; taken from there it would not be long.
    let long = installation
        .small("long")
        .python("Python-3.11.2.tgz")
        .afresh();
    let long = installation.submit(&long).await;
    let building = installation
        .wait_for_build(long, "building", |told| told["state"] == "BUILDING")
        .await;
    let home = building["engine"].as_str().unwrap().to_owned();
    let away = if home == "default" {
        "other"
    } else {
        "default"
    };
    let next = installation.submit(&installation.small("next")).await;
    assert_eq!(installation.pushed(next).await["engine"], away);
    assert_eq!(installation.engine_named(&home).await["running"], 1);

    // With the other draining, one waits for the home.
    assert_eq!(
        installation.engine_verb(away, "drain").await["draining"],
        true
    );
    let waiting = installation.submit(&installation.small("waiting")).await;
    let removal = installation
        .v1(Method::DELETE, &format!("engines/{home}"), None)
        .await;
    assert_eq!(removal.status, 409, "{}", removal.body);
    installation
        .v1(Method::POST, &format!("builds/{long}/cancel"), None)
        .await;
    assert_eq!(installation.pushed(waiting).await["engine"], home.as_str());
    assert_eq!(
        installation.engine_verb(away, "undrain").await["draining"],
        false
    );
    let again = installation.submit(&installation.small("again")).await;
    assert_eq!(installation.pushed(again).await["engine"], home.as_str());
}

/// Cuts an engine off in the midst of its builds.
async fn breaks_off(fault: NetworkFault) {
    let installation = Installation::configured(EngineKind::TlsEngine).await;
    let engine = installation.env.engine_plain.clone();
    let proxy = TcpProxy::start(format!("{}:{}", engine.host, engine.port))
        .await
        .unwrap();
    let mut document = engine_document("near", &engine, 4).unwrap();
    document["port"] = json!(proxy.address.port());
    installation.add_engine(document).await;
    installation
        .wait_for_engine("near", "up", |engine| engine["health"]["state"] == "up")
        .await;

    // Every question takes so long that no build ends before the cut.
    proxy.set_fault(NetworkFault::Delay(Duration::from_millis(300)));
    installation.engine_verb("default", "drain").await;
    let one = installation.submit(&installation.small("one")).await;
    let two = installation.submit(&installation.small("two")).await;
    installation
        .wait_for_build(two, "begun", |told| told["attempt"] == 1)
        .await;
    installation
        .wait_for_build(one, "building or further", |told| {
            let state = told["state"].as_str().unwrap();
            ["BUILDING", "BUILD_SUCCESS", "CHECK_IMAGE_SIZE_SUCCESS"].contains(&state)
        })
        .await;
    installation.engine_verb("default", "undrain").await;
    for build in [one, two] {
        let told = installation.told(build).await;
        assert_eq!(
            (&told["engine"], &told["ended"]),
            (&json!("near"), &json!(false))
        );
    }
    proxy.set_fault(fault);

    for build in [one, two] {
        let told = installation.pushed(build).await;
        assert_eq!(
            (&told["engine"], &told["attempt"]),
            (&json!("default"), &json!(2)),
            "{told:#}"
        );
    }
    let down = installation
        .wait_for_engine("near", "down", |engine| engine["health"]["state"] == "down")
        .await;
    let failure = &down["health"]["failure"];
    assert!(
        failure["detail"].as_str().unwrap().contains("127.0.0.1"),
        "{down:#}"
    );

    // It returns by itself, and what was left there goes.
    proxy.set_fault(NetworkFault::None);
    installation
        .wait_for_engine("near", "up", |engine| engine["health"]["state"] == "up")
        .await;
    installation.engine_verb("default", "drain").await;
    let three = installation.submit(&installation.small("three")).await;
    assert_eq!(installation.pushed(three).await["engine"], "near");
    installation.wait_until_clean(&engine, &[one, two]).await;
    assert_eq!(installation.left_on(&engine, &[three]).len(), 1);
}

#[tokio::test]
async fn an_engine_that_breaks_off_gives_its_builds_to_another_and_returns() {
    breaks_off(NetworkFault::Reset).await;
}

#[tokio::test]
async fn an_engine_that_falls_silent_gives_its_builds_to_another_and_returns() {
    breaks_off(NetworkFault::Stall).await;
}

#[tokio::test]
async fn an_engine_is_proven_before_it_is_added_and_whenever_somebody_asks() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let (plain, tls) = (&installation.env.engine_plain, &installation.env.engine_tls);
    let refused = async |document: Value, status: u16, code: &str, said: &str| {
        let answer = installation
            .v1(Method::POST, "engines", Some(document))
            .await;
        assert_eq!(
            (answer.status, answer.body["code"].as_str().unwrap()),
            (status, code),
            "{}",
            answer.body
        );
        assert!(answer.body.to_string().contains(said), "{}", answer.body);
        assert!(
            !answer.body.to_string().contains("-----BEGIN "),
            "{}",
            answer.body
        );
    };
    let document = engine_document("b", tls, 2).unwrap();
    let with = |pointer: &str, value: Value| {
        let mut document = document.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        document
    };
    refused(
        with("/port", json!(1)),
        502,
        "EngineUnreachable",
        "127.0.0.1:1",
    )
    .await;
    // A certificate of the right kind that did not sign the engine's.
    let other = document["tls"]["cert"].clone();
    refused(with("/tls/ca", other), 502, "EngineTlsFailed", "CA").await;
    refused(with("/tls", Value::Null), 502, "EngineTlsFailed", "TLS").await;
    refused(
        with("/name", json!("default")),
        422,
        "SpecInvalid",
        "config-fastbuild",
    )
    .await;
    refused(with("/name", json!("B")), 422, "SpecInvalid", "/name").await;
    let mut taken = engine_document("b", plain, 2).unwrap();
    refused(taken.clone(), 409, "WrongState", "default").await;
    assert_eq!(
        installation.v1(Method::GET, "engines/b", None).await.status,
        404
    );

    let proxy = TcpProxy::start(format!("{}:{}", tls.host, tls.port))
        .await
        .unwrap();
    installation
        .add_engine(with("/port", json!(proxy.address.port())))
        .await;
    refused(document.clone(), 409, "WrongState", "named b").await;
    taken["name"] = json!("c");
    refused(taken, 409, "WrongState", "default").await;
    for name in ["b", "default"] {
        let proven = installation.engine_verb(name, "prove").await;
        assert!(proven["engine"]["version"].is_string(), "{proven:#}");
        assert_eq!(proven["registry"], installation.env.registry.registry);
        assert!(proven["answered_in_ms"].is_u64() && proven["logged_in_in_ms"].is_u64());
    }
    proxy.set_fault(NetworkFault::Reset);
    let answer = installation.v1(Method::POST, "engines/b/prove", None).await;
    assert_eq!(answer.status, 502, "{}", answer.body);

    // A change of its place is proven, a change of its size is not.
    let patch = json!({"capacity": 3, "labels": {"rack": "a7"}});
    let changed = installation
        .v1(Method::PATCH, "engines/b", Some(patch))
        .await;
    assert_eq!(
        (changed.status, &changed.body["capacity"]),
        (200, &json!(3))
    );
    let patch = json!({"port": 1});
    let changed = installation
        .v1(Method::PATCH, "engines/b", Some(patch))
        .await;
    assert_eq!(changed.status, 502, "{}", changed.body);
    let patch = json!({"port": tls.port});
    let changed = installation
        .v1(Method::PATCH, "engines/b", Some(patch))
        .await;
    assert_eq!(
        (changed.status, &changed.body["port"]),
        (200, &json!(tls.port))
    );
    assert_eq!(changed.body["tls"], true);
    installation.engine_verb("b", "prove").await;

    // Of the default one the size changes here, and the rest with config-fastbuild.
    let patch = json!({"port": tls.port, "capacity": 2});
    let changed = installation
        .v1(Method::PATCH, "engines/default", Some(patch))
        .await;
    assert_eq!(changed.status, 422, "{}", changed.body);
    assert!(changed.body.to_string().contains("config-fastbuild"));
    let patch = json!({"capacity": 2});
    let changed = installation
        .v1(Method::PATCH, "engines/default", Some(patch))
        .await;
    assert_eq!(
        (changed.status, &changed.body["capacity"]),
        (200, &json!(2))
    );

    assert_eq!(
        installation
            .v1(Method::DELETE, "engines/b", None)
            .await
            .status,
        204
    );
    assert_eq!(
        installation
            .v1(Method::DELETE, "engines/b", None)
            .await
            .status,
        404
    );
    let removal = installation
        .v1(Method::DELETE, "engines/default", None)
        .await;
    assert_eq!(removal.status, 409, "{}", removal.body);
    let list = installation.v1(Method::GET, "engines", None).await;
    assert_eq!(
        list.body["engines"].as_array().unwrap().len(),
        1,
        "{}",
        list.body
    );
    let history = installation
        .v1(Method::GET, "engines/b/history", None)
        .await;
    let history = history.body["revisions"].as_array().cloned().unwrap();
    let seen: Vec<&Value> = history.iter().map(|row| &row["capacity"]).collect();
    assert_eq!(seen, [&json!(3), &json!(3), &json!(2)]);
}

#[tokio::test]
async fn the_only_engine_is_waited_for_in_the_queue() {
    let installation =
        Installation::unconfigured(&[("BUILDS__ENGINE_RETURN_SECONDS", "3600")]).await;
    let engine = installation.env.engine_plain.clone();
    let proxy = TcpProxy::start(format!("{}:{}", engine.host, engine.port))
        .await
        .unwrap();
    let fields = installation
        .fields(EngineKind::PlainEngine)
        .with("docker_port", proxy.address.port().to_string());
    let configured = installation.client().configure(fields).await.unwrap();
    configured.data().unwrap();
    let is = |state: &'static str| move |engine: &Value| engine["health"]["state"] == state;
    installation
        .wait_for_engine("default", "up", is("up"))
        .await;
    proxy.set_fault(NetworkFault::Reset);
    installation
        .wait_for_engine("default", "down", is("down"))
        .await;
    let build = installation.submit(&installation.small("1")).await;
    assert_eq!(installation.told(build).await["state"], "QUEUED");
    proxy.set_fault(NetworkFault::None);
    let told = installation.pushed(build).await;
    assert_eq!(
        (&told["engine"], &told["attempt"]),
        (&json!("default"), &json!(1)),
        "{told:#}"
    );
}

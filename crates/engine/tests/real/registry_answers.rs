//! What both engines really print for what registries answer: replays `golden/registry_answers.json`, whose meaning the
//! unit test `registry_answers_have_the_expected_code_and_text_on_both_engines` checks. Run with `UPDATE_GOLDEN=1` to write
//! down what the engines print now; review the difference.

use std::{collections::BTreeMap, net::Ipv4Addr, path::Path, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE};
use fastbuild_engine::{
    EngineError, ProgressSender, RegistryClient, RegistryProblem, verify_registry,
};
use fastbuild_spec::{failure::ReasonCode, settings::RegistrySettings};
use fastbuild_testkit::{
    env::{EnginePart, TestEnv},
    scripted_registry::{Answer, Listen, Operation, Rule, ScriptedRegistry},
};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::Digest as _;

use crate::common::{engine, env, image, of, unique};

/// The most that an engine repeats an upload for before it gives up, with room for a busy machine.
const ENGINE_GIVES_UP: Duration = Duration::from_mins(8);
/// Calls under way at a time.
const MAX_CONCURRENT: usize = 24;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Golden {
    name: String,
    call: Call,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
    listen: Listen,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
    engines: BTreeMap<String, Expected>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Expected {
    words: String,
    code: ReasonCode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Call {
    Login,
    Pull,
    Push,
}

/// One engine, spoken to without the crate under test.
struct RawEngine<'a> {
    env: &'a TestEnv,
    part: &'a EnginePart,
    http: reqwest::Client,
}

impl RawEngine<'_> {
    async fn post(
        &self,
        path: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Result<(), String> {
        let url = format!("http://{}:{}/v1.41{path}", self.part.host, self.part.port);
        let mut request = self.http.post(url).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await.unwrap();
        let ok = answer.status().is_success();
        let text = answer.text().await.unwrap();
        let message = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find_map(|line| {
                let error = line.pointer("/errorDetail/message").or(line.get("message"));
                Some(error?.as_str()?.to_owned())
            });
        match message {
            Some(message) => Err(message),
            None if ok => Ok(()),
            None => Err(text),
        }
    }

    fn account(&self, registry: &str) -> serde_json::Value {
        let login = &self.env.registry.user;
        json!({"username": login.username, "password": login.password, "serveraddress": registry})
    }

    fn auth(&self, registry: &str) -> (&'static str, String) {
        let account = self.account(registry).to_string();
        ("x-registry-auth", BASE64_URL_SAFE.encode(account))
    }

    async fn login(&self, registry: &str) -> Result<(), String> {
        let json = ("content-type", "application/json".to_owned());
        let body = self.account(registry).to_string().into_bytes();
        self.post("/auth", &[json], body).await
    }

    async fn pull(&self, registry: &str, repository: &str) -> Result<(), String> {
        let path = format!("/images/create?fromImage={registry}/{repository}&tag=1");
        self.post(&path, &[self.auth(registry)], vec![]).await
    }

    /// Pushes an image with a layer that no registry has.
    async fn push(&self, registry: &str, repository: &str) -> Result<(), String> {
        let mut layer = tar::Builder::new(Vec::new());
        let content = unique("layer");
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        layer
            .append_data(&mut header, "file", content.as_bytes())
            .unwrap();
        let name = format!("{registry}/{repository}");
        let import = format!("/images/create?fromSrc=-&repo={name}&tag=1");
        let tar = ("content-type", "application/x-tar".to_owned());
        self.post(&import, &[tar], layer.into_inner().unwrap())
            .await
            .unwrap();
        let push = format!("/images/{name}/push?tag=1");
        let pushed = self.post(&push, &[self.auth(registry)], vec![]).await;
        let url = format!(
            "http://{}:{}/v1.41/images/{name}:1",
            self.part.host, self.part.port
        );
        self.http.delete(url).send().await.unwrap();
        pushed
    }
}

/// An engine's words without what differs from run to run.
fn normal(words: &str, registry: &str) -> String {
    let words = words.trim().replace(registry, "REGISTRY");
    let mut text = String::new();
    for (index, word) in words.split_inclusive(' ').enumerate() {
        let previous = index > 0 && text.ends_with("current time ");
        if previous {
            text.push_str("NOW ");
        } else {
            text.push_str(word);
        }
    }
    for lead in ["sha256:", "sha256%3A"] {
        let parts: Vec<_> = text.split(lead).map(str::to_owned).collect();
        let mut parts = parts.into_iter();
        let first = parts.next().unwrap_or_default();
        text = parts.fold(first, |text, part| {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            format!("{text}{lead}DIGEST{rest}")
        });
    }
    text
}

fn engines(env: &TestEnv) -> [(&'static str, &EnginePart); 2] {
    [
        ("20.10", &env.engine_plain),
        ("28.5", env.engine_store().unwrap()),
    ]
}

/// An address of this machine that engines do not take for loopback.
fn bridge(env: &TestEnv) -> Ipv4Addr {
    format!("{}.1", env.engine_plain.network).parse().unwrap()
}

#[tokio::test]
async fn registry_answers_are_printed_as_recorded() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/error/golden/registry_answers.json");
    let cases: Vec<Golden> =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let env = &env();
    let http = reqwest::Client::builder()
        .timeout(ENGINE_GIVES_UP)
        .no_proxy()
        .build()
        .unwrap();
    let http = &http;
    let present = unique("golden/present");
    let present = present.as_str();
    let upstream = ScriptedRegistry::start(env, bridge(env), Listen::PlainLoopback)
        .await
        .unwrap();
    let (_, any) = engines(env)[0];
    let raw = RawEngine {
        env,
        part: any,
        http: http.clone(),
    };
    raw.push(&upstream.address, present).await.unwrap();

    let run = async |case: &Golden, version: &str| {
        let (_, part) = engines(env)
            .into_iter()
            .find(|(name, _)| *name == version)
            .unwrap();
        let raw = RawEngine {
            env,
            part,
            http: http.clone(),
        };
        let registry = ScriptedRegistry::start(env, bridge(env), case.listen)
            .await
            .unwrap();
        if let (Some(operation), Some(answer)) = (case.operation, &case.answer) {
            registry.script(vec![Rule {
                operation,
                path_end: String::new(),
                answer: answer.clone(),
            }]);
        }
        let address = &registry.address;
        let result = match case.call {
            Call::Login => raw.login(address).await,
            Call::Pull => raw.pull(address, present).await,
            Call::Push => raw.push(address, &unique("golden/push")).await,
        };
        let words = result.expect_err(&case.name);
        assert!(
            case.operation.is_none() || registry.answered() > 0,
            "{} {version}: the script was not asked: {words}",
            case.name
        );
        normal(&words, address).replace(present, "golden/present")
    };
    let jobs: Vec<_> = cases
        .iter()
        .flat_map(|case| case.engines.keys().map(move |version| (case, version)))
        .collect();
    let found: Vec<_> = stream::iter(jobs)
        .map(async |(case, version)| (case.name.clone(), version.clone(), run(case, version).await))
        .buffered(MAX_CONCURRENT)
        .collect()
        .await;

    let mut now = cases.clone();
    for (name, version, words) in found {
        let case = now.iter_mut().find(|case| case.name == name).unwrap();
        let words = without_push_name(&words);
        case.engines.get_mut(&version).unwrap().words = words;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, serde_json::to_string_pretty(&now).unwrap() + "\n").unwrap();
    }
    for (was, is) in cases.iter().zip(&now) {
        assert_eq!(was, is, "{}", was.name);
    }
}

/// Pushed repositories have a name of their own each.
fn without_push_name(words: &str) -> String {
    let mut parts = words.split("golden/push-");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        format!("{text}golden/push{rest}")
    })
}

fn account(env: &TestEnv, registry: &ScriptedRegistry) -> RegistrySettings {
    RegistrySettings {
        username: env.registry.user.username.clone(),
        password: env.registry.user.password.clone().into(),
        registry: registry.address.clone(),
        registry_dns: None,
    }
}

fn rule(operation: Operation, status: u16, headers: &[(&str, &str)], body: &str) -> Rule {
    Rule {
        operation,
        path_end: String::new(),
        answer: Answer {
            status,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: body.to_owned(),
        },
    }
}

#[tokio::test]
async fn rate_limited_pull_is_transient_and_the_registry_says_for_how_long() {
    let env = env();
    for (_, part) in engines(&env) {
        let engine = engine(&of(part));
        let registry = ScriptedRegistry::start(&env, bridge(&env), Listen::PlainLoopback)
            .await
            .unwrap();
        let account = account(&env, &registry);
        registry.script(vec![rule(
            Operation::PullManifest,
            429,
            &[("retry-after", "7")],
            r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#,
        )]);
        let wanted = image(&format!("{}/base/debian:12", registry.address));
        let error = engine
            .pull(&wanted, Some(&account), &ProgressSender::discarding())
            .await
            .unwrap_err();
        assert_eq!(error.code(), ReasonCode::RateLimited, "{error}");
        assert!(error.is_transient(), "{error}");
        let insecure = engine.ping().await.unwrap().insecure_registries;
        let client = RegistryClient::new(None).unwrap();
        assert_eq!(
            client.retry_after(&account, &wanted, &insecure).await,
            Some(Duration::from_secs(7))
        );
        registry.script(vec![]);
        assert_eq!(client.retry_after(&account, &wanted, &insecure).await, None);
    }
}

#[tokio::test]
async fn web_page_and_plain_http_are_told_from_a_registry() {
    let env = env();
    let insecure = engine(&of(&env.engine_plain))
        .ping()
        .await
        .unwrap()
        .insecure_registries;
    let problem =
        async |registry: &ScriptedRegistry| match verify_registry(&registry.address, &insecure)
            .await
        {
            Ok(()) => None,
            Err(EngineError::RegistryUnavailable { problem, .. }) => Some(problem),
            Err(other) => panic!("{other}"),
        };
    let registry = ScriptedRegistry::start(&env, bridge(&env), Listen::PlainLoopback)
        .await
        .unwrap();
    assert_eq!(problem(&registry).await, None);
    for (status, headers, body) in [
        (
            200,
            [("content-type", "text/html")],
            "<html>It works</html>",
        ),
        (200, [("content-type", "text/plain")], "hello"),
        (302, [("location", "/login")], ""),
        (404, [("content-type", "text/html")], "<html>404</html>"),
    ] {
        registry.script(vec![rule(Operation::VersionCheck, status, &headers, body)]);
        assert_eq!(
            problem(&registry).await,
            Some(RegistryProblem::NotARegistry),
            "{status} {body}"
        );
    }
    for (status, body) in [(200, "{}"), (200, ""), (503, "down"), (429, "")] {
        registry.script(vec![rule(Operation::VersionCheck, status, &[], body)]);
        assert_eq!(problem(&registry).await, None, "{status} {body}");
    }
    let plain = ScriptedRegistry::start(&env, bridge(&env), Listen::Plain)
        .await
        .unwrap();
    assert_eq!(problem(&plain).await, Some(RegistryProblem::PlainHttp));
    // Trust in the certificate is the engine's to judge.
    let untrusted = ScriptedRegistry::start(&env, bridge(&env), Listen::UntrustedTls)
        .await
        .unwrap();
    assert_eq!(problem(&untrusted).await, None);
}

/// Scripts one manifest and its blobs, under the tag `1` and its digest.
fn manifest(media_type: &str, body: &[u8], blobs: &[&[u8]]) -> Vec<Rule> {
    let digest = |bytes: &[u8]| format!("sha256:{}", hex(&sha2::Sha256::digest(bytes)));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let own = digest(body);
    let headers = [
        ("content-type", media_type),
        ("docker-content-digest", &own),
    ];
    let mut rules: Vec<_> = ["/manifests/1".to_owned(), format!("/manifests/{own}")]
        .into_iter()
        .map(|path_end| Rule {
            path_end,
            ..rule(Operation::PullManifest, 200, &headers, &text(body))
        })
        .collect();
    rules.extend(blobs.iter().map(|blob| Rule {
        path_end: digest(blob),
        ..rule(Operation::PullBlob, 200, &[], &text(blob))
    }));
    rules
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[tokio::test]
async fn image_of_another_platform_or_format_is_unsupported_on_both_engines() {
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
    const INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    let env = env();
    let digest = |bytes: &[u8]| format!("sha256:{}", hex(&sha2::Sha256::digest(bytes)));
    // An uncompressed tar of one empty file is text, too.
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    layer
        .append_data(&mut header, unique("file"), std::io::empty())
        .unwrap();
    let layer = layer.into_inner().unwrap();
    let configuration = json!({
        "architecture": "arm64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        "history": [{"created": "2024-01-01T00:00:00Z"}],
    })
    .to_string();
    let single = |media_type: &str, config_type: &str, config: &str, layer_type: &str| {
        json!({
            "schemaVersion": 2, "mediaType": media_type,
            "config": {"mediaType": config_type, "size": config.len(), "digest": digest(config.as_bytes())},
            "layers": [{"mediaType": layer_type, "size": layer.len(), "digest": digest(&layer)}],
        })
        .to_string()
    };
    let arm64 = single(
        DOCKER,
        "application/vnd.docker.container.image.v1+json",
        &configuration,
        "application/vnd.docker.image.rootfs.diff.tar",
    );
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [{
            "mediaType": DOCKER, "size": arm64.len(), "digest": digest(arm64.as_bytes()),
            "platform": {"architecture": "arm64", "os": "linux"},
        }],
    })
    .to_string();
    let chart_config = r#"{"name":"chart","version":"1.0.0","apiVersion":"v2"}"#;
    let chart = single(
        OCI,
        "application/vnd.cncf.helm.config.v1+json",
        chart_config,
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    );
    let schema_1 = json!({
        "schemaVersion": 1, "name": "golden/x", "tag": "1", "architecture": "amd64",
        "fsLayers": [{"blobSum": digest(&layer)}], "history": [{"v1Compatibility": "{}"}], "signatures": [],
    })
    .to_string();
    let blobs: [&[u8]; 3] = [configuration.as_bytes(), &layer, chart_config.as_bytes()];
    for (what, media_type, body, says) in [
        ("arm64", DOCKER, &arm64, "arm64"),
        ("index", INDEX, &index, "amd64"),
        ("chart", OCI, &chart, "format"),
        (
            "schema1",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            &schema_1,
            "format",
        ),
    ] {
        for (version, part) in engines(&env) {
            let engine = engine(&of(part));
            let registry = ScriptedRegistry::start(&env, bridge(&env), Listen::PlainLoopback)
                .await
                .unwrap();
            registry.script(manifest(media_type, body.as_bytes(), &blobs));
            let name = image(&format!("{}/golden/{what}:1", registry.address));
            let account = account(&env, &registry);
            let error = engine
                .pull(&name, Some(&account), &ProgressSender::discarding())
                .await
                .unwrap_err();
            let failure = error.failure();
            assert_eq!(
                failure.code,
                ReasonCode::BaseImageUnsupported,
                "{what} {version}: {error}"
            );
            assert!(
                failure.message.en.contains(says),
                "{what} {version}: {failure:?}"
            );
            engine.remove_image(&name.to_string()).await.unwrap();
        }
    }
}

//! The service under test, and how it is asked.

use std::{fmt::Write as _, path::Path, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use fastbuild_builder::{
    Builder,
    clock::ManualClock,
    options::{BuildOptions, CallbackOptions, CleaningOptions, Folders, Limits, Options},
};
use fastbuild_server::{AppState, ServerOptions, router};
use fastbuild_spec::{
    request::WireKey,
    settings::{DockerServerSettings, HostSettings, RegistrySettings},
};
use fastbuild_store::{NewSettings, Seal, Store};
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// A service on a database of its own.
pub(crate) struct Service {
    router: Router,
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
    base: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The sentence for a person.
    pub(crate) fn msg(&self) -> String {
        self.json()["msg"]
            .as_str()
            .unwrap_or_else(|| panic!("{}", self.text))
            .to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Status and body, as snapshots show them.
    pub(crate) fn shown(&self) -> String {
        format!(
            "{} {}",
            self.status,
            serde_json::to_string_pretty(&self.json()).unwrap()
        )
    }
}

impl Service {
    /// A service nobody has configured.
    pub(crate) async fn start() -> Self {
        Self::start_with(&ServerOptions::default()).await
    }

    pub(crate) async fn start_with(server: &ServerOptions) -> Self {
        let base = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", base.path().join("fastbuild.db").display());
        let store = Store::open(&url, Seal::from_key(&[7; 32]).unwrap())
            .await
            .unwrap();
        Self::made(store, base, server, None)
    }

    /// Another service on a store, as a replica is one.
    pub(crate) fn on(store: Store) -> Self {
        let base = tempfile::tempdir().unwrap();
        Self::made(store, base, &ServerOptions::default(), None)
    }

    /// A configured service with room for so many event streams.
    pub(crate) async fn with_streams(most: usize) -> Self {
        let service = Self::configured().await;
        let server = ServerOptions::default();
        Self::made(service.store, service.base, &server, Some(most))
    }

    fn made(store: Store, base: TempDir, server: &ServerOptions, streams: Option<usize>) -> Self {
        let clock = Arc::new(ManualClock::new(
            "2026-11-23T09:07:44.830951Z".parse().unwrap(),
        ));
        let builder = Builder::new(store.clone(), options(base.path()), clock.clone()).unwrap();
        let mut state = AppState::new(builder);
        if let Some(most) = streams {
            state = state.with_stream_clients(most);
        }
        Self {
            router: router(state, server),
            store,
            clock,
            base,
        }
    }

    /// The answer with its body still to come.
    pub(crate) async fn open(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// A service whose settings name an engine and a registry. Neither answers.
    pub(crate) async fn configured() -> Self {
        let service = Self::start().await;
        let settings = NewSettings {
            host: Some(HostSettings {
                host: "10.0.0.88".to_owned(),
                port: 48001,
            }),
            registry: Some(RegistrySettings {
                username: "admin".to_owned(),
                password: "Harbor12345".to_owned().into(),
                registry: "10.0.0.9".to_owned(),
                registry_dns: None,
            }),
            docker_server: Some(DockerServerSettings {
                host: "127.0.0.1".to_owned(),
                port: 1,
                tls: None,
            }),
            headers: None,
        };
        service
            .store
            .add_settings(settings, service.now())
            .await
            .unwrap();
        service
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        fastbuild_builder::clock::Clock::now(&*self.clock)
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Asks with an empty body, and in English if `language` is `en`.
    pub(crate) async fn send(&self, method: Method, path: &str, language: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("accept-language", language)
            .body(Body::empty())
            .unwrap();
        self.ask(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "zh-CN").await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.send(Method::POST, path, "zh-CN").await
    }

    pub(crate) async fn post_text(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(body.into())
            .unwrap();
        self.ask(request).await
    }

    pub(crate) async fn send_json(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, body.to_string()).await
    }

    pub(crate) async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut body = String::new();
        for (name, value) in fields {
            let disposition = if name.ends_with("_file") {
                format!("form-data; name=\"{name}\"; filename=\"tls.tar\"")
            } else {
                format!("form-data; name=\"{name}\"")
            };
            write!(
                body,
                "--edge\r\nContent-Disposition: {disposition}\r\n\r\n{value}\r\n"
            )
            .unwrap();
        }
        body += "--edge--\r\n";
        let request = Request::post(path)
            .header("content-type", "multipart/form-data; boundary=edge")
            .body(body.into())
            .unwrap();
        self.ask(request).await
    }

    /// Queues a build of this target and returns its number.
    pub(crate) async fn queue(&self, target: &str) -> i64 {
        let answer = self
            .post_text(
                "/api/fast-build/task/build-image",
                build_request(target).to_string(),
            )
            .await;
        answer.json()["data"]["task_id"]
            .as_i64()
            .unwrap_or_else(|| panic!("{}", answer.text))
    }

    /// What differs from run to run, named: folders by the temporary folder, times by the zone.
    pub(crate) fn stable(&self) -> insta::internals::SettingsBindDropGuard {
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(&self.base.path().display().to_string(), "[base]");
        settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", "[time]");
        settings.add_filter(r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-\d{6}", "[folder]");
        settings.bind_to_scope()
    }
}

/// A build request as the web front end sends it, for a few packages.
pub(crate) fn build_request(target: &str) -> Value {
    json!({
        "image_data": {
            "task_name": "nightly",
            "callback_url": "",
            "target_image_name": target,
            "tag": "1",
            "image_desc": "d",
            "webSSHSecret": "qkrhxQmWOe5kvpJpplvTuQ==",
            "jupyterLabSecret": "qkrhxQmWOe5kvpJpplvTuQ=="
        },
        "dockerfile_json": {
            "base_image": "10.0.0.9/base/ubuntu:18.04",
            "maintainer": "admin",
            "image_installer_config": {
                "python_env": {"present": ["python3(Python 3.11.2)"], "target": ""},
                "package_manager_installer_config": {
                    "installer_name": "apt",
                    "install": {"present": "apt 2.6.1 (amd64)", "target": ""},
                    "source": {"type": "", "file_name": ""},
                    "software_list": [{"name": "git", "version": ""}]
                },
                "pip_installer_config": {
                    "installer_name": "pip",
                    "install": {"present": ["pip(pip 23.0.1)"], "target": ""},
                    "source": {"type": "", "file_name": ""},
                    "software_list": []
                },
                "conda_installer_config": {
                    "installer_name": "conda",
                    "install": {"present": [], "target": ""},
                    "source": {"type": "", "file_name": ""},
                    "software_list": []
                }
            }
        }
    })
}

fn options(base: &Path) -> Options {
    Options {
        folders: Folders {
            source_dir: base.join("source"),
            tools_dir: base.join("tools"),
            task_dir: base.join("task"),
        },
        limits: Limits {
            lease: Duration::from_mins(1),
            grace: Duration::ZERO,
            builds_per_engine: 1,
            build_time: Duration::from_mins(1),
            silence: Duration::from_mins(1),
            push_time: Duration::from_mins(1),
            longest: fastbuild_spec::limits::BuildLimits {
                total: 3600,
                silence: 600,
                push: 600,
            },
            preflight: Duration::from_secs(1),
            engine_return: Duration::from_secs(1),
            image_bytes: 50_000_000_000,
            log_bytes: 1_000_000,
            upload_bytes: 1_000_000,
        },
        builds: BuildOptions::default(),
        callbacks: CallbackOptions {
            timeout: Duration::from_secs(5),
            retry_after: vec![Duration::from_mins(1)],
            signing_secret: None,
        },
        cleaning: CleaningOptions {
            image_reserve_days: 30,
            task_retention_days: 90,
            callback_retention_days: 90,
            build_cache_bytes: 50_000_000_000,
            interval: Duration::from_hours(24),
            disk_marks: None,
        },
        base_images: Vec::new(),
        wire_key: WireKey::new("c7e71f37dda040fd", "0000000000000000").unwrap(),
        sources: fastbuild_spec::requirements::Sources::default(),
        worker: "test-1".to_owned(),
    }
}

//! What every test here begins with: a service with a base directory of its own, configured on one
//! of the real engines, and names nobody else uses.

use std::time::Duration;

use fastbuild_testkit::{
    client::{Client, ConfigFields},
    env::{EnginePart, TestEnv},
    request::Request,
    service::{Service, ServiceOptions},
};
use serde_json::Value;
use tempfile::TempDir;

/// How long a build may take before its test fails.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(18);

/// A running service and the parts around it.
pub(crate) struct Installation {
    pub(crate) env: TestEnv,
    pub(crate) service: Service,
    /// Names images and callbacks of this test alone.
    pub(crate) token: String,
    pub(crate) directory: TempDir,
}

/// Which engine a site is configured on.
#[derive(Clone, Copy)]
pub(crate) enum EngineKind {
    PlainEngine,
    TlsEngine,
    /// The newer one, which keeps images in containerd's store.
    ContainerdStore,
}

/// How the service of a test is started.
pub(crate) fn options(env: &TestEnv, directory: &TempDir) -> ServiceOptions {
    ServiceOptions::new(env!("CARGO_BIN_EXE_fastbuild"), directory.path(), env)
}

impl Installation {
    /// A service that is not configured yet.
    pub(crate) async fn unconfigured(variables: &[(&str, &str)]) -> Self {
        let env = TestEnv::load().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut options = options(&env, &directory);
        for (name, value) in variables {
            options = options.variable(name, *value);
        }
        let token = directory
            .path()
            .file_name()
            .unwrap()
            .to_string_lossy()
            .trim_start_matches('.')
            .to_lowercase();
        Self {
            service: Service::start(options).await.unwrap(),
            env,
            token: format!("t{token}"),
            directory,
        }
    }

    /// A service configured on an engine and the registry.
    pub(crate) async fn configured(on: EngineKind) -> Self {
        Self::configured_with(on, &[]).await
    }

    /// The same with `FASTBUILD_*` variables, named without the prefix.
    pub(crate) async fn configured_with(on: EngineKind, variables: &[(&str, &str)]) -> Self {
        let installation = Self::unconfigured(variables).await;
        let fields = installation.fields(on);
        installation
            .client()
            .configure(fields)
            .await
            .unwrap()
            .data()
            .unwrap();
        installation
    }

    pub(crate) fn fields(&self, on: EngineKind) -> ConfigFields {
        ConfigFields::new(&self.env, self.engine(on), self.service.port).unwrap()
    }

    pub(crate) fn engine(&self, on: EngineKind) -> &EnginePart {
        match on {
            EngineKind::PlainEngine => &self.env.engine_plain,
            EngineKind::TlsEngine => &self.env.engine_tls,
            EngineKind::ContainerdStore => self.env.engine_store().unwrap(),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.service.client
    }

    /// A base image of the parts, under the registry's address.
    pub(crate) fn base(&self, name: &str) -> String {
        self.env.image(name)
    }

    /// A target nobody else uses, under the registry's address.
    pub(crate) fn target(&self, tag: &str) -> String {
        self.env.image(&format!("test/{}:{tag}", self.token))
    }

    /// A callback address of this test alone.
    pub(crate) fn callback_url(&self) -> String {
        format!("{}/cb/{}/done", self.env.callback.url, self.token)
    }

    /// Submits a request that must be taken; the build's number.
    pub(crate) async fn submit(&self, request: &Request) -> i64 {
        let answer = self.client().submit(request.body()).await.unwrap();
        answer.data().unwrap()["task_id"].as_i64().unwrap()
    }

    /// Submits a request and waits for the build's end.
    pub(crate) async fn run(&self, request: &Request) -> Value {
        let task_id = self.submit(request).await;
        self.client().wait_for_end(task_id, TIMEOUT).await.unwrap()
    }

    /// Builds an image that must succeed.
    pub(crate) async fn build(&self, request: &Request) -> Value {
        let task = self.run(request).await;
        assert_eq!(
            task["detail_state"],
            "PUSH_SUCCESS",
            "{task:#}\n{}",
            self.build_log(&task).await
        );
        task
    }

    /// The log of a build's step in which the Dockerfile ran.
    pub(crate) async fn build_log(&self, task: &Value) -> String {
        let folder = task["work_dir_name"].as_str().unwrap();
        self.client().task_file(folder, "build.log").await.unwrap()
    }

    /// Whether the registry has a manifest under a name (OCI distribution specification).
    pub(crate) async fn registry_has(&self, image: &str) -> bool {
        let (name, tag) = image.rsplit_once(':').unwrap();
        let (registry, repository) = name.split_once('/').unwrap();
        let certificate = std::fs::read(&self.env.certificates.ca).unwrap();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .tls_certs_only([reqwest::Certificate::from_pem(&certificate).unwrap()])
            .no_proxy()
            .build()
            .unwrap();
        let user = &self.env.registry.user;
        let status = http
            .get(format!("https://{registry}/v2/{repository}/manifests/{tag}"))
            .basic_auth(&user.username, Some(&user.password))
            .header("Accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json")
            .send()
            .await
            .unwrap()
            .status()
            .as_u16();
        assert!(
            [200, 404].contains(&status),
            "the registry answered {status}"
        );
        status == 200
    }
}

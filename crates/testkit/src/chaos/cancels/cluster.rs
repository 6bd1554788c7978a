//! A service on a real engine, with a base image and an installer of its own for each build, so that
//! each is pulled, probed, run and pushed in earnest.

use std::{
    collections::HashSet,
    future::ready,
    ops::ControlFlow::{Break, Continue},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use fastbuild_spec::state::BuildState;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{
    cases::{Case, installer},
    watch::Watch,
};
use crate::{
    chaos::{builds::evidence::maker, caller::Caller, real_engine::RealEngine},
    client::ConfigFields,
    engine_api::EngineApi,
    env::TestEnv,
    service::{Service, ServiceOptions},
    tcp_proxy::TcpProxy,
    wait::{eventually, when},
};

/// Builds that run at a time; further ones wait in the queue.
const CAPACITY: &str = "3";
/// How long nothing must be seen of a build that has ended, until it counts as gone.
const CALM: Duration = Duration::from_millis(500);
/// How long a build may take to end and to be gone.
const TIMEOUT: Duration = Duration::from_mins(5);

/// The site. What uses something is dropped before it.
#[derive(Debug)]
pub struct Cluster {
    /// Who asks for builds and cancels them.
    pub caller: Caller,
    /// The service.
    pub service: Service,
    /// The engine's pushes.
    pub engine: RealEngine,
    watch: Watch,
    api: EngineApi,
    /// The way to the registry: its port makes names that are this run's alone.
    registry: TcpProxy,
    env: TestEnv,
    token: String,
    _directory: TempDir,
}

impl Cluster {
    /// Starts everything, with an installer for each wish.
    ///
    /// # Errors
    /// What does not start.
    pub async fn start(binary: &Path, cases: &[Case]) -> Result<Self> {
        let env = TestEnv::load()?;
        let directory = tempfile::tempdir()?;
        let token = format!("t{:08x}", rand::random::<u32>());
        let tools = directory.path().join("tools");
        std::fs::create_dir_all(tools.join("conda"))?;
        for case in cases {
            let path = tools.join("conda").join(installer_name(case));
            std::fs::write(path, installer(case, &mark(&token, case)))?;
        }
        let options = ServiceOptions::new(binary, directory.path(), &env)
            .variable("TOOLS_DIR", tools.display().to_string())
            .variable("BUILDS__PER_ENGINE", CAPACITY);
        let service = Service::start(options).await?;
        let registry = TcpProxy::start(format!("127.0.0.1:{}", env.registry.port)).await?;
        let name = format!("127.0.0.1:{}", registry.address.port());
        let fields = ConfigFields::new(&env, &env.engine_plain, service.port)?
            .with("harbor_registry", &name)
            .with("harbor_registry_dns", "");
        service.client.configure(fields).await?.data()?;
        let api = EngineApi::of(&env.engine_plain)?;
        Ok(Self {
            caller: Caller::new(vec![service.client.url.clone()])?,
            service,
            engine: RealEngine::follow(&env, &env.engine_plain, &name)?,
            watch: Watch::start(api.clone()),
            api,
            registry,
            env,
            token,
            _directory: directory,
        })
    }

    /// Makes a wish's base image, which no engine has seen, and asks for its build; its number.
    ///
    /// # Errors
    /// When the image cannot be made, or the build is refused.
    pub async fn submit(&self, case: &Case) -> Result<i64> {
        let path = format!("chaos/{}-base:{}", self.token, case.number);
        self.make_base(&self.env.image(&path), case).await?;
        let registry = format!("127.0.0.1:{}", self.registry.address.port());
        let document = json!({
            "base": format!("{registry}/{path}"),
            "target": format!("{registry}/chaos/{}:{}", self.token, case.number),
            "name": mark(&self.token, case),
            "conda": {"installer": installer_name(case)},
        });
        let key = mark(&self.token, case);
        self.caller.submit(0, &key, &document).await
    }

    /// Puts an image into the registry that differs from Debian's by a label, and leaves none of it
    /// on the engine.
    async fn make_base(&self, name: &str, case: &Case) -> Result<()> {
        let debian = self.env.image(&self.env.images.debian);
        let dockerfile = format!("FROM {debian}\nLABEL chaos={}\n", mark(&self.token, case));
        self.docker(&["build", "--quiet", "--tag", name, "-"], &dockerfile)
            .await?;
        self.docker(&["push", "--quiet", name], "").await?;
        self.docker(&["image", "rm", name], "").await
    }

    async fn docker(&self, arguments: &[&str], input: &str) -> Result<()> {
        let mut command = self.env.docker(&self.env.engine_plain);
        command
            .args(arguments)
            .env("DOCKER_BUILDKIT", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut running = Command::from(command).spawn()?;
        let mut stdin = running.stdin.take().context("a program without input")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let output = running.wait_with_output().await?;
        ensure!(
            output.status.success(),
            "docker {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Waits until a build has ended; when that was, and what is then said of it.
    ///
    /// # Errors
    /// When it does not end, or nobody answers.
    pub async fn ended(&self, build: i64) -> Result<(Instant, Value)> {
        self.told(build, "has ended", |_| false).await
    }

    /// Waits until a build is being pushed, or has ended.
    ///
    /// # Errors
    /// When it does not come so far, or nobody answers.
    pub async fn pushes(&self, build: i64) -> Result<()> {
        let before_push = json!(BuildState::CheckImageSizeSuccess);
        let pushed = |told: &Value| told["state"] == before_push;
        self.told(build, "is being pushed", pushed).await.map(drop)
    }

    /// Waits until a build is as wanted or has ended; when that was, and what is then said of it.
    async fn told(
        &self,
        build: i64,
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Result<(Instant, Value)> {
        eventually(format!("build {build} {what}"), TIMEOUT, || async {
            let told = self.caller.build(build).await?;
            let now = Instant::now();
            Ok(when(told["ended"] == true || is(&told), (now, told)))
        })
        .await
        .with_context(|| self.service.log())
    }

    /// Waits until nothing is to be seen any more on the engine of a build that ended at a moment;
    /// when something was seen last, if it was.
    ///
    /// # Errors
    /// When it stays.
    pub async fn last_seen(
        &self,
        case: &Case,
        build: i64,
        ended: Instant,
    ) -> Result<Option<Instant>> {
        let mark = mark(&self.token, case);
        let mut calm_from = ended;
        let what = format!("nothing of the ended build {build} is on the engine");
        eventually(what, TIMEOUT, || {
            let found = match self.watch.seen_by(calm_from + CALM, &mark, build) {
                Some(Some(seen)) if seen > calm_from => {
                    calm_from = seen;
                    Continue("something of it".to_owned())
                }
                Some(seen) => Break(seen),
                None => Continue("not checked yet".to_owned()),
            };
            ready(Ok(found))
        })
        .await
    }

    /// What is on the engine that was made for one of these builds: its label, and the build's number.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn left(&self, builds: &HashSet<i64>) -> Result<Vec<(String, i64)>> {
        let mut labels = self.api.labels_of_containers().await?;
        labels.extend(self.api.labels_of_images().await?);
        let of_builds = labels.into_iter().filter_map(|label| {
            let (build, _attempt) = maker(&label)?;
            builds.contains(&build).then_some((label, build))
        });
        Ok(of_builds.collect())
    }
}

/// What tells the processes of a wish's build from all others.
fn mark(token: &str, case: &Case) -> String {
    format!("{token}-{}", case.number)
}

fn installer_name(case: &Case) -> String {
    format!("Miniconda3-chaos{}-Linux-x86_64.sh", case.number)
}

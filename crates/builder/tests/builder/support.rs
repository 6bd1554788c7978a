//! A builder with everything around it.

use std::{path::Path, sync::Arc, time::Duration};

use fastbuild_builder::{
    Builder,
    clock::ManualClock,
    options::{BuildOptions, CallbackOptions, CleaningOptions, Folders, Limits, Options},
};
use fastbuild_spec::{
    failure::Failure,
    limits::BuildLimits,
    request::WireKey,
    requirements::Sources,
    settings::{DockerServerSettings, HostSettings, RegistrySettings, SiteSettings},
    state::StepStatus,
};
use fastbuild_store::{Build, DeliveryFilter, DeliveryHistory, Page, Seal, Store};
use fastbuild_testkit::{
    callback_receiver::{CallbackReceiver, Received},
    fake_engine::{Behaviour, FakeEngine, FakeRegistry, Holdings},
    tcp_proxy::TcpProxy,
    wait::{eventually, when},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// How long anything here may take before its test fails.
const TIMEOUT: Duration = Duration::from_mins(1);
/// A build step that takes no time.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(1);
/// A build step that only a cancel, a fault or a shutdown ends.
pub(crate) const ENDLESS: Duration = Duration::from_hours(1);

/// A builder, and the servers it works with. What uses something is dropped before it.
pub(crate) struct Fixture {
    pub(crate) builder: Builder,
    pub(crate) clock: Arc<ManualClock>,
    /// The way from the builder to the engine.
    pub(crate) way_to_engine: TcpProxy,
    pub(crate) engine: FakeEngine,
    pub(crate) registry: FakeRegistry,
    pub(crate) callbacks: CallbackReceiver,
    running: Option<Running>,
    change: fn(&mut Options),
    directory: TempDir,
}

struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    /// Its tasks run here, so that a crash ends all of them.
    runtime: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Fixture {
    /// A running builder on an engine whose build steps take so long.
    pub(crate) async fn start(step: Duration) -> Self {
        Self::start_with(step, |_| {}).await
    }

    /// The same with other options.
    pub(crate) async fn start_with(step: Duration, change: fn(&mut Options)) -> Self {
        let engine = FakeEngine::start(Behaviour::without_tls(step))
            .await
            .unwrap();
        let registry = FakeRegistry::start().await.unwrap();
        let way_to_engine = TcpProxy::start(engine.address.to_string()).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let builder = builder(directory.path(), &clock, change).await;
        let places = builder.options().limits.builds_per_engine;
        builder
            .store()
            .set_default_capacity(places, start)
            .await
            .unwrap();
        let site = SiteSettings {
            host: HostSettings {
                host: "192.0.2.1".to_owned(),
                port: 48001,
            },
            registry: RegistrySettings {
                username: "builder".to_owned(),
                password: "password".into(),
                registry: registry.address.to_string(),
                registry_dns: None,
            },
            docker_server: DockerServerSettings {
                host: "127.0.0.1".to_owned(),
                port: way_to_engine.port(),
                tls: None,
            },
        };
        builder.settings().configure(site).await.unwrap();
        let mut fixture = Self {
            builder,
            clock,
            way_to_engine,
            engine,
            registry,
            callbacks: CallbackReceiver::start().await.unwrap(),
            running: None,
            change,
            directory,
        };
        fixture.run();
        fixture
    }

    fn run(&mut self) {
        let shutdown = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let task = runtime.spawn(self.builder.clone().run(shutdown.clone()));
        self.running = Some(Running {
            shutdown,
            task,
            runtime: Some(runtime),
        });
    }

    /// Ends the builder as a service that is told to end.
    pub(crate) async fn shut_down(&mut self) {
        let mut running = self.running.take().unwrap();
        running.shutdown.cancel();
        (&mut running.task).await.unwrap();
    }

    /// Ends the builder as a crash does: in the middle of whatever it does.
    pub(crate) async fn crash(&mut self) {
        let mut running = self.running.take().unwrap();
        running.runtime.take().unwrap().shutdown_background();
        assert!((&mut running.task).await.unwrap_err().is_cancelled());
    }

    /// Starts another process's builder on the same database and folders.
    pub(crate) async fn start_again(&mut self) {
        self.builder = builder(self.directory.path(), &self.clock, self.change).await;
        self.run();
    }

    /// Moves the clock forward.
    pub(crate) fn advance(&self, by: SignedDuration) {
        self.clock.advance(by);
    }

    /// A target's full name.
    pub(crate) fn target(&self, tag: &str) -> String {
        self.registry.image(&format!("made/image:{tag}"))
    }

    /// A build document with some system packages, which make steps on the engine. The tag names its
    /// callbacks too.
    pub(crate) fn document(&self, tag: &str, packages: &[&str]) -> Value {
        json!({
            "base": self.registry.image("base/debian:12"),
            "target": self.target(tag),
            "system": {"manager": "apt", "packages": packages},
            "callback_url": self.callbacks.url(tag),
        })
    }

    /// Submits a document that must be taken; the build's number.
    pub(crate) async fn submit(&self, document: &Value) -> i64 {
        let answer = async |_| Ok::<_, Failure>(String::new());
        let builds = self.builder.builds();
        let taken = builds.submit_document(document, None, answer).await;
        taken.unwrap().build_id
    }

    /// Submits a build that installs a package, and waits for its end.
    pub(crate) async fn build(&self, tag: &str) -> Build {
        let id = self.submit(&self.document(tag, &["less"])).await;
        self.ended(id).await
    }

    /// The build's row.
    pub(crate) async fn row(&self, id: i64) -> Build {
        self.builder.store().build(id).await.unwrap().unwrap()
    }

    /// Waits until a build's row is as described.
    pub(crate) async fn until(&self, id: i64, what: &str, is: impl Fn(&Build) -> bool) -> Build {
        eventually(what, TIMEOUT, || async {
            let build = self.row(id).await;
            Ok(when(is(&build), build))
        })
        .await
        .unwrap()
    }

    /// Waits for a build's end.
    pub(crate) async fn ended(&self, id: i64) -> Build {
        self.until(id, "the build has ended", |build| build.state.is_terminal())
            .await
    }

    /// Waits until so many builds run on the engine.
    pub(crate) async fn until_building(&self, count: usize) {
        eventually("builds run on the engine", TIMEOUT, || async {
            let holdings = self.engine.holdings();
            Ok(when(holdings.building == count, holdings))
        })
        .await
        .unwrap();
    }

    /// Waits until the engine holds these images of builds, and nothing else of them.
    pub(crate) async fn until_engine_holds(&self, images: &[String]) {
        let wanted = Holdings {
            images: images.to_vec(),
            ..Holdings::default()
        };
        eventually("the engine holds what it should", TIMEOUT, || async {
            let holdings = self.engine.holdings();
            Ok(when(holdings == wanted, holdings))
        })
        .await
        .unwrap();
    }

    /// Waits until so many callbacks came under a tag.
    pub(crate) async fn until_told(&self, tag: &str, count: usize) -> Vec<Received> {
        eventually("callbacks came", TIMEOUT, || async {
            let received = self.callbacks.received(Some(tag));
            Ok(when(received.len() == count, received))
        })
        .await
        .unwrap()
    }

    /// Waits until the callback of a build stands as described.
    pub(crate) async fn until_delivery(
        &self,
        id: i64,
        what: &str,
        is: impl Fn(&DeliveryHistory) -> bool,
    ) -> DeliveryHistory {
        let filter = DeliveryFilter {
            build_id: Some(id),
            ..DeliveryFilter::default()
        };
        eventually(what, TIMEOUT, || async {
            let store = self.builder.store();
            let (rows, _) = store.delivery_history(Page::ALL, filter).await?;
            let row = rows.into_iter().next();
            Ok(when(row.as_ref().is_some_and(&is), row))
        })
        .await
        .unwrap()
        .unwrap()
    }

    /// What a build's steps came to.
    pub(crate) async fn steps(&self, id: i64) -> Vec<StepStatus> {
        let steps = self.builder.store().steps(id).await.unwrap();
        steps.iter().map(|step| step.status).collect()
    }
}

async fn builder(directory: &Path, clock: &Arc<ManualClock>, change: fn(&mut Options)) -> Builder {
    let seal = Seal::from_key(&[7; 32]).unwrap();
    let url = format!("sqlite://{}", directory.join("fastbuild.db").display());
    let store = Store::open(&url, seal).await.unwrap();
    let mut options = options(directory);
    change(&mut options);
    Builder::new(store, options, clock.clone()).unwrap()
}

fn options(directory: &Path) -> Options {
    let folder = |name: &str| {
        let folder = directory.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    };
    Options {
        folders: Folders {
            source_dir: folder("source"),
            tools_dir: folder("tools"),
            task_dir: folder("task"),
        },
        limits: Limits {
            builds_per_engine: 4,
            lease: Duration::from_mins(1),
            grace: Duration::ZERO,
            build_time: Duration::from_mins(30),
            silence: Duration::from_mins(30),
            push_time: Duration::from_mins(1),
            longest: BuildLimits {
                total: 3600,
                silence: 3600,
                push: 3600,
            },
            preflight: Duration::from_secs(9),
            engine_return: Duration::from_mins(1),
            image_bytes: 1 << 40,
            log_bytes: 1 << 20,
            upload_bytes: 1 << 20,
        },
        builds: BuildOptions {
            registry_retry_delays: vec![AT_ONCE; 2],
            ..BuildOptions::default()
        },
        callbacks: CallbackOptions {
            timeout: Duration::from_secs(9),
            retry_after: vec![Duration::from_mins(1)],
            signing_secret: None,
        },
        cleaning: CleaningOptions {
            image_reserve_days: 0,
            task_retention_days: 0,
            callback_retention_days: 0,
            build_cache_bytes: 0,
            interval: Duration::from_hours(24 * 365),
            disk_marks: None,
        },
        base_images: vec![],
        wire_key: WireKey::new("c7e71f37dda040fd", "0000000000000000").unwrap(),
        sources: Sources::default(),
        worker: "test".to_owned(),
    }
}

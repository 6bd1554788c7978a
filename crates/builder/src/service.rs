//! The builder as the server sees it: one value, cheap to clone, with a verb for everything a
//! caller can ask for.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use fastbuild_engine::{Distribution, Endpoint, Engine, EngineLimits};
use fastbuild_spec::{
    catalog::Catalog,
    failure::{Failure, ReasonCode},
    settings::{DockerServerSettings, RegistrySettings, Settings},
};
use fastbuild_store::{SettingsRevisions, Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{catalog, clock::SharedClock, metrics::Metrics, options::Options};

/// How a request becomes a pushed image. Cheap to clone; all clones are one builder.
#[derive(Debug, Clone)]
pub struct Builder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    options: Options,
    clock: SharedClock,
    metrics: Metrics,
    callbacks: reqwest::Client,
    /// Made when first used: reading this machine's authorities takes time and memory.
    distribution: tokio::sync::OnceCell<Distribution>,
    /// Rings when the site was configured anew.
    site_changed: tokio::sync::Notify,
    /// Ends the grace time of running builds.
    hurry: CancellationToken,
    /// This process, as no other on this or any other machine: a process id comes again, in a
    /// container at every start.
    process: String,
    /// One lock per base image, so that two requests for an image pull and probe it once.
    images: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Builder {
    /// A builder on a store. Nothing runs until [`Builder::run`].
    ///
    /// # Errors
    /// [`ReasonCode::Internal`] when no HTTP client can be made on this machine.
    pub fn new(store: Store, options: Options, clock: SharedClock) -> Result<Self, Failure> {
        let callbacks = reqwest::Client::builder()
            .timeout(options.callbacks.timeout)
            .redirect(reqwest::redirect::Policy::none())
            // The headers may hold credentials: they go to the receiver and to nobody between.
            .no_proxy()
            .build()
            .map_err(|error| internal(&error))?;
        Ok(Self {
            inner: Arc::new(Inner {
                process: format!("{:016x}", rand::random::<u64>()),
                store,
                options,
                clock,
                metrics: Metrics::default(),
                callbacks,
                distribution: tokio::sync::OnceCell::new(),
                site_changed: tokio::sync::Notify::new(),
                hurry: CancellationToken::new(),
                images: Mutex::default(),
            }),
        })
    }

    /// What is remembered; readers use it directly.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// What the builder was told at its start.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Gives running builds back at once when the service was told to end, whatever is left of
    /// their grace time.
    pub fn hurry(&self) -> &CancellationToken {
        &self.inner.hurry
    }

    /// The clock it runs by.
    pub fn clock(&self) -> &SharedClock {
        &self.inner.clock
    }

    /// What this process did, in numbers.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// The mirrors and tools on disk right now.
    ///
    /// # Errors
    /// [`ReasonCode::Internal`] when a folder cannot be read; the sentence names it.
    pub async fn catalog(&self) -> Result<Catalog, Failure> {
        catalog::read(&self.inner.options.folders).await
    }

    /// The client of the registry.
    pub(crate) async fn distribution(&self) -> Result<&Distribution, String> {
        self.inner
            .distribution
            .get_or_try_init(|| async {
                let authorities = match &self.inner.options.making.registry_ca_file {
                    Some(file) => Some(
                        tokio::fs::read(file)
                            .await
                            .map_err(|error| format!("{}: {error}", file.display()))?,
                    ),
                    None => None,
                };
                tokio::task::spawn_blocking(move || Distribution::new(authorities.as_deref()))
                    .await
                    .map_err(|error| error.to_string())?
            })
            .await
    }

    pub(crate) fn callback_client(&self) -> &reqwest::Client {
        &self.inner.callbacks
    }

    /// The settings in force and the engine they name, or a refusal that lists what is missing.
    pub(crate) async fn site(&self) -> Result<Site, Failure> {
        let (settings, revisions) = self
            .inner
            .store
            .settings_in_force()
            .await
            .map_err(|error| stored(&error))?;
        let missing = missing(&settings);
        match (settings.registry, settings.docker_server) {
            (Some(registry), Some(server)) if missing.is_empty() => Ok(Site {
                engine: engine(&server)?,
                registry,
                revisions,
            }),
            _ => Err(not_configured(&missing)),
        }
    }

    /// Which settings a build cannot do without are still missing, in the protocol's words.
    ///
    /// # Errors
    /// [`ReasonCode::Internal`] when the database does not answer.
    pub async fn missing_settings(&self) -> Result<Vec<&'static str>, Failure> {
        let settings = self
            .inner
            .store
            .settings()
            .await
            .map_err(|error| stored(&error))?;
        Ok(missing(&settings))
    }

    /// The label of something made on an engine for a build, or for a probe of ours:
    /// `installation/process/purpose`, so that several installations can share one engine.
    pub(crate) fn label(&self, purpose: &str) -> String {
        format!(
            "{}/{}/{purpose}",
            self.store().installation(),
            self.inner.process
        )
    }

    /// Whether something with this label must stay on the engine: it is another installation's,
    /// or a process that lives made it, this one or another, and cleans up after itself.
    pub(crate) fn is_in_use(&self, label: &str, lives: &HashSet<String>) -> bool {
        let mut parts = label.splitn(3, '/');
        parts.next() != Some(self.store().installation())
            || parts.next().is_some_and(|process| {
                process == self.inner.process || self.others_live(process, lives)
            })
    }

    /// A SQLite file has one process: whoever left a name there is gone.
    fn others_live(&self, process: &str, lives: &HashSet<String>) -> bool {
        self.store().is_shared() && lives.contains(process)
    }

    /// This process's own name.
    pub(crate) fn process(&self) -> &str {
        &self.inner.process
    }

    /// Whether something with this label was made for a build, by this or an earlier process.
    pub(crate) fn is_of_build(&self, label: &str, task_id: i64) -> bool {
        let mut parts = label.splitn(3, '/');
        parts.next() == Some(self.store().installation())
            && parts.nth(1) == Some(&task_id.to_string())
    }

    /// Tells the sweeper that there may be another engine now.
    pub(crate) fn nudge(&self) {
        self.inner.site_changed.notify_one();
    }

    pub(crate) async fn site_changed(&self) {
        self.inner.site_changed.notified().await;
    }

    /// The lock under which an image is pulled and probed.
    pub(crate) fn image_lock(&self, image: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self
            .inner
            .images
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(image.to_owned()).or_default())
    }
}

/// The engine and the registry in force.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) engine: Engine,
    pub(crate) registry: RegistrySettings,
    /// Which settings rows these are; a build records them.
    pub(crate) revisions: SettingsRevisions,
}

/// A client for an engine; connects only when used.
pub(crate) fn engine(server: &DockerServerSettings) -> Result<Engine, Failure> {
    Engine::new(&Endpoint::from(server), EngineLimits::default()).map_err(|error| error.failure())
}

/// A fault of the store: its own text is for the log, people get the failure.
pub(crate) fn stored(error: &StoreError) -> Failure {
    tracing::error!(%error, "the store failed");
    error.failure()
}

/// A fault of ours, with the detail for whoever reads the log of failures.
pub(crate) fn internal(error: &dyn std::fmt::Display) -> Failure {
    tracing::error!(%error, "internal fault");
    Failure::new(
        ReasonCode::Internal,
        "FastBuild 内部发生错误。",
        "FastBuild met an internal fault.",
    )
}

fn missing(settings: &Settings) -> Vec<&'static str> {
    [
        ("host", settings.host.is_none()),
        ("Harbor", settings.registry.is_none()),
        ("Docker server", settings.docker_server.is_none()),
    ]
    .into_iter()
    .filter_map(|(name, absent)| absent.then_some(name))
    .collect()
}

fn not_configured(missing: &[&str]) -> Failure {
    Failure::new(
        ReasonCode::NotConfigured,
        format!("服务尚未配置完成，缺少：{}。", missing.join("、")),
        format!(
            "The service is not configured yet; missing: {}.",
            missing.join(", ")
        ),
    )
}

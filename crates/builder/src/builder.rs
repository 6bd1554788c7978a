//! The builder as the server sees it: one value, cheap to clone, with a verb for everything a
//! caller can ask for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use fastbuild_engine::RegistryClient;
use fastbuild_spec::failure::{Failure, ReasonCode};
use fastbuild_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{
    catalog::CatalogStore, clock::SharedClock, engines::context::EngineContext,
    engines::labels::Labels, engines::monitor::EngineMonitor, metrics::Metrics, options::Options,
};

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
    distribution: tokio::sync::OnceCell<RegistryClient>,
    /// Rings when there may be something to sweep from an engine.
    orphan_sweep_wanted: tokio::sync::Notify,
    /// Ends the grace time of running builds.
    abort_grace: CancellationToken,
    labels: Arc<Labels>,
    monitor: EngineMonitor,
    catalog: CatalogStore,
    /// One lock per name of something that two must not do at once, such as pulling an image.
    locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
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
                labels: Arc::new(Labels::new(store.installation())),
                monitor: EngineMonitor::default(),
                catalog: CatalogStore::new(&options, SharedClock::clone(&clock)),
                store,
                options,
                clock,
                metrics: Metrics::default(),
                callbacks,
                distribution: tokio::sync::OnceCell::new(),
                orphan_sweep_wanted: tokio::sync::Notify::new(),
                abort_grace: CancellationToken::new(),
                locks: Mutex::default(),
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
    pub fn abort_grace(&self) -> &CancellationToken {
        &self.inner.abort_grace
    }

    /// The clock it runs by.
    pub fn clock(&self) -> &SharedClock {
        &self.inner.clock
    }

    /// What this process did, in numbers.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// The package mirrors and tool files on disk.
    pub fn catalog(&self) -> &CatalogStore {
        &self.inner.catalog
    }

    /// The client of the registry.
    pub(crate) async fn distribution(&self) -> Result<&RegistryClient, String> {
        self.inner
            .distribution
            .get_or_try_init(|| async {
                let authorities = match &self.inner.options.builds.registry_ca_file {
                    Some(file) => Some(
                        tokio::fs::read(file)
                            .await
                            .map_err(|error| format!("{}: {error}", file.display()))?,
                    ),
                    None => None,
                };
                tokio::task::spawn_blocking(move || RegistryClient::new(authorities.as_deref()))
                    .await
                    .map_err(|error| error.to_string())?
            })
            .await
    }

    pub(crate) fn callback_client(&self) -> &reqwest::Client {
        &self.inner.callbacks
    }

    /// The labels of what is made on engines.
    pub(crate) fn labels(&self) -> &Arc<Labels> {
        &self.inner.labels
    }

    /// This process's own name.
    pub(crate) fn process(&self) -> &str {
        self.inner.labels.process()
    }

    /// How this process finds the engines.
    pub(crate) fn monitor(&self) -> &EngineMonitor {
        &self.inner.monitor
    }

    /// There is another engine, or one is at another place: it is asked and swept without waiting.
    pub(crate) fn engines_changed(&self) {
        self.monitor().check_now();
        self.wake_orphan_sweep();
    }

    /// Tells the sweeper that there may be something to sweep: another engine, one that returned,
    /// or what a lost attempt left.
    pub(crate) fn wake_orphan_sweep(&self) {
        self.inner.orphan_sweep_wanted.notify_one();
    }

    pub(crate) async fn orphan_sweep_wanted(&self) {
        self.inner.orphan_sweep_wanted.notified().await;
    }

    /// The lock under which an image is pulled and probed on an engine, and removed from it.
    pub(crate) fn image_lock(
        &self,
        context: &EngineContext,
        image: &str,
    ) -> Arc<tokio::sync::Mutex<()>> {
        self.lock(format!("{image} on {}", context.engine.address()))
    }

    /// The lock of a name, the same for everybody in this process.
    pub(crate) fn lock(&self, name: String) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self
            .inner
            .locks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(name).or_default())
    }
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

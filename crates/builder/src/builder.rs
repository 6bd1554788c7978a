//! The handle that the server and the background loops hold: it ties the components together and
//! has no verbs of its own.

use std::sync::Arc;

use fastbuild_spec::failure::Failure;
use fastbuild_store::Store;
use tokio_util::sync::CancellationToken;

use crate::{
    builds::Builds, callbacks::Callbacks, catalog::CatalogStore, cleanup::Cleanup,
    clock::SharedClock, common::Common, engines::Engines, images::Images, metrics::Metrics,
    options::Options, readiness::Readiness, settings::SettingsAdmin,
};

/// How a request becomes a pushed image. Cheap to clone; all clones are one builder.
#[derive(Debug, Clone)]
pub struct Builder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    common: Common,
    catalog: CatalogStore,
    engines: Engines,
    images: Images,
    callbacks: Callbacks,
    settings: SettingsAdmin,
    builds: Builds,
    cleanup: Cleanup,
    readiness: Readiness,
    /// Ends the grace time of running builds.
    abort_grace: CancellationToken,
}

impl Builder {
    /// A builder on a store. Nothing runs until [`Builder::run`].
    ///
    /// # Errors
    /// `Internal` when no HTTP client can be made on this machine.
    pub fn new(store: Store, options: Options, clock: SharedClock) -> Result<Self, Failure> {
        let common = Common {
            store,
            options: Arc::new(options),
            clock,
            metrics: Metrics::default(),
        };
        let catalog = CatalogStore::new(&common.options, Arc::clone(&common.clock));
        let engines = Engines::new(common.clone());
        let images = Images::new(common.clone(), engines.clone());
        let callbacks = Callbacks::new(common.clone())?;
        Ok(Self {
            inner: Arc::new(Inner {
                settings: SettingsAdmin::new(common.clone(), engines.clone()),
                builds: Builds {
                    common: common.clone(),
                    catalog: catalog.clone(),
                    engines: engines.clone(),
                    images: images.clone(),
                    callbacks: callbacks.clone(),
                },
                cleanup: Cleanup::new(common.clone(), engines.clone(), images.clone()),
                readiness: Readiness::new(common.clone(), images.clone(), callbacks.clone()),
                common,
                catalog,
                engines,
                images,
                callbacks,
                abort_grace: CancellationToken::new(),
            }),
        })
    }

    /// What every component has.
    pub(crate) fn common(&self) -> &Common {
        &self.inner.common
    }

    /// What is remembered; readers use it directly.
    pub fn store(&self) -> &Store {
        &self.inner.common.store
    }

    /// What the builder was told at its start.
    pub fn options(&self) -> &Options {
        &self.inner.common.options
    }

    /// The clock it runs by.
    pub fn clock(&self) -> &SharedClock {
        &self.inner.common.clock
    }

    /// What this process did, in numbers.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.common.metrics
    }

    /// Cancel it to requeue running builds at once when the service was told to end, whatever is
    /// left of their grace time.
    pub fn abort_grace(&self) -> &CancellationToken {
        &self.inner.abort_grace
    }

    /// The package mirrors and tool files on disk.
    pub fn catalog(&self) -> &CatalogStore {
        &self.inner.catalog
    }

    /// The Docker Engines.
    pub fn engines(&self) -> &Engines {
        &self.inner.engines
    }

    /// The images on the engines and on the list.
    pub fn images(&self) -> &Images {
        &self.inner.images
    }

    /// The callbacks that tell how builds ended.
    pub fn callbacks(&self) -> &Callbacks {
        &self.inner.callbacks
    }

    /// The settings of the site.
    pub fn settings(&self) -> &SettingsAdmin {
        &self.inner.settings
    }

    /// What callers ask of builds.
    pub fn builds(&self) -> &Builds {
        &self.inner.builds
    }

    /// What is removed by and by.
    pub fn cleanup(&self) -> &Cleanup {
        &self.inner.cleanup
    }

    /// Whether what builds need can be used.
    pub fn readiness(&self) -> &Readiness {
        &self.inner.readiness
    }
}

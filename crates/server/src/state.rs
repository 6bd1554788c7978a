//! The state that every handler can reach.

use fastbuild_builder::Builder;
use fastbuild_store::Store;

use crate::{
    http::request_metrics::Metrics, options::BuildInfo, readiness_cache::ReadinessCache,
    streams::Streams,
};

/// What every handler can reach. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState {
    pub(crate) builder: Builder,
    streams: Streams,
    metrics: Metrics,
    readiness_cache: ReadinessCache,
    build_info: BuildInfo,
}

/// Clients that follow builds at a time, unless said otherwise.
const STREAM_CLIENTS: usize = 2_000;

impl AppState {
    /// A server's state on a builder.
    pub fn new(builder: Builder) -> Self {
        Self {
            streams: Streams::new(builder.store().clone(), STREAM_CLIENTS),
            metrics: Metrics::new(&builder),
            readiness_cache: ReadinessCache::default(),
            build_info: BuildInfo::default(),
            builder,
        }
    }

    /// The same with room for so many clients that follow builds.
    #[must_use]
    pub fn with_stream_clients(mut self, most: usize) -> Self {
        self.streams = Streams::new(self.builder.store().clone(), most);
        self
    }

    /// The same with what it was built of.
    #[must_use]
    pub fn with_build_info(mut self, info: BuildInfo) -> Self {
        self.build_info = info;
        self
    }

    /// Ends every event stream, as they would outlast any time that is granted to requests under
    /// way; clients come back with the number of their last event.
    pub fn end_streams(&self) {
        self.streams.close();
    }

    /// The event streams.
    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// What is counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How the dependencies were found last.
    pub(crate) fn readiness_cache(&self) -> &ReadinessCache {
        &self.readiness_cache
    }

    /// Of what the program was built.
    pub(crate) fn build_info(&self) -> BuildInfo {
        self.build_info
    }

    /// What is remembered.
    pub(crate) fn store(&self) -> &Store {
        self.builder.store()
    }
}

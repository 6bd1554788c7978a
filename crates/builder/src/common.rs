//! What every component is made with.

use std::sync::Arc;

use fastbuild_spec::failure::{Failure, ReasonCode};
use fastbuild_store::Store;
use jiff::Timestamp;

use crate::{clock::SharedClock, metrics::Metrics, options::Options};

/// The store, the options, the clock and the counters; every component has its own clone.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) store: Store,
    pub(crate) options: Arc<Options>,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
}

impl Common {
    /// The present time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
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

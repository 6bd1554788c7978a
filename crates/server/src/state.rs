//! What every handler can reach.

use fastbuild_builder::Builder;
use fastbuild_store::Store;

/// What every handler can reach. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState {
    pub(crate) builder: Builder,
}

impl AppState {
    /// A server's state on a builder.
    pub fn new(builder: Builder) -> Self {
        Self { builder }
    }

    /// What is remembered.
    pub(crate) fn store(&self) -> &Store {
        self.builder.store()
    }
}

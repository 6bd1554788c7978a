//! What callers ask of a build: submit it, estimate when it starts, retry it; and the names of its
//! files.

mod cancel;
mod delete;
pub(crate) mod document;
pub(crate) mod estimate;
pub mod files;
pub(crate) mod retry;
pub(crate) mod submit;

use crate::{
    callbacks::Callbacks, catalog::CatalogStore, common::Common, engines::Engines, images::Images,
};

/// What callers ask of builds. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Builds {
    pub(crate) common: Common,
    pub(crate) catalog: CatalogStore,
    pub(crate) engines: Engines,
    pub(crate) images: Images,
    pub(crate) callbacks: Callbacks,
}

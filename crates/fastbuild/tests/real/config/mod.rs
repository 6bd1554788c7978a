//! What an installation is given: settings, engines, the catalog, an old installation's data.

pub(crate) mod catalog;
mod configuration;
mod engines;
mod import;

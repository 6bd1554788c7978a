//! What an installation is given: settings, engines, the catalog, an old installation's data.

mod catalog;
mod configuration;
mod engines;
mod import;

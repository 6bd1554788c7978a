//! Callbacks: delivery with retries, and what operators do with them.

pub(crate) mod admin;
pub(crate) mod deliver;
pub(crate) mod message;

use fastbuild_spec::failure::Failure;

use crate::common::{Common, internal};

/// The callbacks that tell how builds ended. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Callbacks {
    common: Common,
    client: reqwest::Client,
}

impl Callbacks {
    /// # Errors
    /// `Internal` when no HTTP client can be made on this machine.
    pub(crate) fn new(common: Common) -> Result<Self, Failure> {
        let client = reqwest::Client::builder()
            .timeout(common.options.callbacks.timeout)
            .redirect(reqwest::redirect::Policy::none())
            // The headers may hold credentials: they go to the receiver and to nobody between.
            .no_proxy()
            .build()
            .map_err(|error| internal(&error))?;
        Ok(Self { common, client })
    }
}

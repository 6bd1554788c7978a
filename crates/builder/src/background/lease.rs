//! A lease among all processes that share the database: only its holder does the named work.

use std::time::Duration;

use fastbuild_spec::failure::Failure;
use tokio_util::sync::CancellationToken;

use crate::common::Common;

/// A lease and who wants it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease<'a> {
    pub(crate) common: &'a Common,
    /// The work it allows.
    pub(crate) name: &'a str,
    /// Unique among all processes.
    pub(crate) holder: &'a str,
    /// How long it lasts unless it is renewed.
    pub(crate) duration: Duration,
}

impl Lease<'_> {
    /// Acquires or renews it; `false` while another process holds it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn acquire(self) -> Result<bool, Failure> {
        let now = self.common.now();
        let acquired = self
            .common
            .store
            .acquire_lease(self.name, self.holder, self.duration, now);
        acquired.await.map_err(Failure::from)
    }

    /// Renews it until `released`; `false` once another process holds it. A query is never dropped
    /// half-way, so that none is executed after [`Lease::release`].
    ///
    /// # Errors
    /// As [`Lease::acquire`]; it may still be held then.
    pub(crate) async fn renew_until(self, released: &CancellationToken) -> Result<bool, Failure> {
        let pause = || tokio::time::sleep(self.duration / 4);
        while released.run_until_cancelled(pause()).await.is_some() {
            if !self.acquire().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Releases it.
    ///
    /// # Errors
    /// When the database does not answer; it expires by itself then.
    pub(crate) async fn release(self) -> Result<(), Failure> {
        let now = self.common.now();
        let released = self.common.store.release_lease(self.name, self.holder, now);
        released.await.map_err(Failure::from)
    }
}

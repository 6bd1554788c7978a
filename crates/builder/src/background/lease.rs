//! Leases among all processes that share the database: the right to do what one may do at a time.

use std::time::Duration;

use fastbuild_spec::failure::Failure;
use tokio_util::sync::CancellationToken;

use crate::common::{Common, stored};

/// A lease and who wants it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease<'a> {
    pub(crate) common: &'a Common,
    /// What it is the right to do.
    pub(crate) name: &'a str,
    /// As nobody else is called.
    pub(crate) holder: &'a str,
    /// For how long it holds unless it is kept.
    pub(crate) span: Duration,
}

impl Lease<'_> {
    /// Takes it, or takes it for longer; `false` while another has it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn hold(self) -> Result<bool, Failure> {
        let now = self.common.now();
        let held = self
            .common
            .store
            .acquire_lease(self.name, self.holder, self.span, now);
        held.await.map_err(|error| stored(&error))
    }

    /// Keeps it until `over`, and says whether it is still held: `false` once another has it. A question to the
    /// database is never given up half-way, so that none comes to be answered after [`Lease::end`].
    ///
    /// # Errors
    /// As [`Lease::hold`]; it may still be held then.
    pub(crate) async fn keep(self, over: &CancellationToken) -> Result<bool, Failure> {
        let pause = || tokio::time::sleep(self.span / 4);
        while over.run_until_cancelled(pause()).await.is_some() {
            if !self.hold().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lets it go.
    ///
    /// # Errors
    /// When the database does not answer; it ends by itself then.
    pub(crate) async fn end(self) -> Result<(), Failure> {
        let now = self.common.now();
        let ended = self.common.store.release_lease(self.name, self.holder, now);
        ended.await.map_err(|error| stored(&error))
    }
}

//! Only one build per plan key runs at a time, in this process and among all that share the
//! database: the others wait and then reuse its image.

use std::time::Duration;

use fastbuild_spec::failure::Failure;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{background::lease::Lease, worker::Worker};

/// How often a waiting build writes a line to its log; a step that logs nothing is timed out.
const LOG_INTERVAL: Duration = Duration::from_mins(1);
/// How often the lease of another process is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Guard: only one build per plan key runs at a time, until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct PlanLock {
    _in_process: Option<OwnedMutexGuard<()>>,
    /// Where other processes share the database.
    _among_processes: Option<DropGuard>,
}

impl Worker {
    /// Waits until no other build holds the lock of this plan key. `holder` must be unique among all
    /// processes; `waiting` is called every [`LOG_INTERVAL`] meanwhile.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn lock_plan(
        &self,
        key: &str,
        holder: &str,
        waiting: impl Fn(),
    ) -> Result<PlanLock, Failure> {
        let name = format!("the plan {key}");
        let lock = async {
            let in_process = self.plan_locks.get(name.clone()).lock_owned().await;
            Ok(PlanLock {
                _in_process: Some(in_process),
                _among_processes: self.lock_plan_among_processes(&name, holder).await?,
            })
        };
        tokio::pin!(lock);
        loop {
            match tokio::time::timeout(LOG_INTERVAL, &mut lock).await {
                Ok(lock) => return lock,
                Err(_elapsed) => waiting(),
            }
        }
    }

    async fn lock_plan_among_processes(
        &self,
        name: &str,
        holder: &str,
    ) -> Result<Option<DropGuard>, Failure> {
        if !self.common.store.is_shared() {
            return Ok(None);
        }
        while !self.plan_lease(name, holder).acquire().await? {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let released = CancellationToken::new();
        tokio::spawn(self.clone().renew_plan_lease(
            name.to_owned(),
            holder.to_owned(),
            released.clone(),
        ));
        Ok(Some(released.drop_guard()))
    }

    fn plan_lease<'a>(&'a self, name: &'a str, holder: &'a str) -> Lease<'a> {
        Lease {
            common: &self.common,
            name,
            holder,
            duration: self.common.options.limits.lease,
        }
    }

    /// Renews the lease until the lock is dropped, and releases it then. Where the lease is lost
    /// because the database did not answer for too long, an equal image is built twice; nothing
    /// worse happens.
    async fn renew_plan_lease(self, name: String, holder: String, released: CancellationToken) {
        let lease = self.plan_lease(&name, &holder);
        loop {
            match lease.renew_until(&released).await {
                Ok(true) => break,
                Ok(false) => return,
                Err(failure) => tracing::warn!(%failure, name, "failed to renew plan lock"),
            }
        }
        if let Err(failure) = lease.release().await {
            tracing::warn!(%failure, name, "failed to release plan lock; it expires by itself");
        }
    }
}

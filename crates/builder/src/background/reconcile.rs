//! What keeps the house in order beside the workers: builds whose worker was lost are taken back,
//! and the other processes know that this one is there.

use std::collections::HashSet;

use fastbuild_store::{Build, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{builder::Builder, callbacks::message::callback_of, common::stored, metrics::Lost};

/// A process of which nothing was heard for the time of so many leases is gone for good, and its
/// builds were taken back.
const REPLICA_LEASES: u32 = 3;

impl Builder {
    /// Takes back, again and again, builds whose worker gave no sign of life: a worker that could
    /// not write how its attempt ended leaves its build so.
    pub(crate) async fn reconcile(self, shutdown: CancellationToken) {
        let mut known = HashSet::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.options().limits.lease / 4) => {
                    self.heartbeat_replica().await;
                    self.requeue_orphans_of_workers(false).await;
                    known = self.notice_lost_replicas(known).await;
                }
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Tells the other processes on this database that this one is there.
    pub(crate) async fn heartbeat_replica(&self) {
        let shown = self
            .store()
            .replica_heartbeat(self.engines().process(), self.clock().now())
            .await;
        if let Err(error) = shown {
            tracing::warn!(%error, "the sign of life could not be written");
        }
    }

    /// Has the engines swept once a process that was there is gone for good: what it made there
    /// nobody cleans up after any more. Returns who is there now.
    async fn notice_lost_replicas(&self, known: HashSet<String>) -> HashSet<String> {
        match self.live_replicas().await {
            Ok(lives) => {
                if !known.is_subset(&lives) {
                    self.engines().wake_orphan_sweep();
                }
                lives
            }
            Err(error) => {
                tracing::warn!(%error, "the other processes could not be looked for");
                known
            }
        }
    }

    /// The processes that share the database and are there, as far as is known.
    pub(crate) async fn live_replicas(&self) -> Result<HashSet<String>, StoreError> {
        let silence = self.options().limits.lease * REPLICA_LEASES;
        self.store()
            .live_replicas(silence, self.clock().now())
            .await
    }

    /// Tells the other processes that this one has ended.
    pub(crate) async fn remove_replica(&self) {
        if let Err(error) = self.store().remove_replica(self.engines().process()).await {
            tracing::warn!(%error, "the others learn by its silence that this process has ended");
        }
        self.clear_stale_health(false).await;
    }

    /// Builds whose worker was lost go back to the queue, or end when that happened too often:
    /// those whose lease ran out, or all that run.
    pub(crate) async fn requeue_orphans_of_workers(&self, all: bool) {
        let now = self.clock().now();
        let taken = async {
            let headers = self.callbacks().headers().await?;
            self.store()
                .requeue_orphans(all, &|build: &Build| callback_of(build, &headers, now), now)
                .await
                .map_err(|error| stored(&error))
        };
        let taken = match taken.await {
            Ok(taken) => taken,
            Err(failure) => {
                tracing::error!(%failure, "lost builds could not be looked for");
                return;
            }
        };
        for build_id in taken.requeued {
            self.metrics().put_back(Lost::Silent);
            tracing::warn!(
                build = build_id,
                "the build lost its worker and waits for another"
            );
        }
        for build in taken.ended {
            self.metrics().build_ended(&build);
            tracing::error!(build = build.id, state = %build.state, "the build lost its worker and has ended");
        }
        // What their attempts left on engines is on record.
        self.engines().wake_orphan_sweep();
    }

    /// Forgets how the engines were found by this process in an earlier life, or by any where it is
    /// alone on its database.
    pub(crate) async fn clear_stale_health(&self, alone: bool) {
        let worker = self.options().worker.as_str();
        let forgotten = self.store().forget_health((!alone).then_some(worker)).await;
        if let Err(error) = forgotten {
            tracing::warn!(%error, "how the engines were found before could not be forgotten");
        }
    }
}

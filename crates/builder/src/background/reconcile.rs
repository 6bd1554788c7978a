//! Requeues builds whose worker died, and sends this replica's heartbeat. Runs in the background of
//! every replica.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use fastbuild_spec::{failure::Failure, requeue::RequeueReason};
use fastbuild_store::Build;
use tokio_util::sync::CancellationToken;

use crate::{
    background::{Nudge, every},
    builder::Builder,
    callbacks::message::callback_of,
};

impl Builder {
    /// Requeues builds with expired leases until `shutdown`. A worker that could not write how its
    /// attempt ended leaves its build so.
    pub(crate) async fn reconcile(self, shutdown: CancellationToken) {
        let known = Mutex::new(HashSet::new());
        let interval = self.options().limits.lease / 4;
        Box::pin(every(interval, Nudge::none(), &shutdown, || async {
            self.heartbeat_replica().await;
            self.requeue_lost_builds(false).await;
            self.notice_lost_replicas(&known).await;
        }))
        .await;
    }

    /// Tells the other replicas that this one is alive.
    pub(crate) async fn heartbeat_replica(&self) {
        let written = self
            .store()
            .replica_heartbeat(self.engines().process(), self.clock().now())
            .await;
        if let Err(error) = written {
            tracing::warn!(%error, "failed to write the replica's heartbeat");
        }
    }

    /// Wakes the orphan sweep when a replica died, as nobody else cleans up after it.
    async fn notice_lost_replicas(&self, known: &Mutex<HashSet<String>>) {
        match self.engines().live_replicas().await {
            Ok(live) => {
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                if !known.is_subset(&live) {
                    self.engines().wake_orphan_sweep();
                }
                *known = live;
            }
            Err(error) => tracing::warn!(%error, "failed to read the live replicas"),
        }
    }

    /// Tells the other replicas that this one has ended.
    pub(crate) async fn remove_replica(&self) {
        if let Err(error) = self.store().remove_replica(self.engines().process()).await {
            tracing::warn!(%error, "failed to remove the replica; its heartbeat expires");
        }
        self.clear_stale_health(false).await;
    }

    /// Requeues builds whose worker died, or ends them after too many attempts: those with an
    /// expired lease, or with `all` every running one.
    pub(crate) async fn requeue_lost_builds(&self, all: bool) {
        let now = self.clock().now();
        let requeued = async {
            let headers = self.callbacks().headers().await?;
            self.store()
                .requeue_orphans(all, &|build: &Build| callback_of(build, &headers, now), now)
                .await
                .map_err(Failure::from)
        };
        let reconciled = match requeued.await {
            Ok(reconciled) => reconciled,
            Err(failure) => {
                tracing::error!(%failure, "failed to requeue lost builds");
                return;
            }
        };
        for build_id in reconciled.requeued {
            self.metrics().requeued(RequeueReason::WorkerLost);
            tracing::warn!(build_id, "requeued build: its worker died");
        }
        for build in reconciled.ended {
            self.metrics().build_ended(&build);
            tracing::error!(build_id = build.id, state = %build.state, "ended build: its worker died");
        }
        // The images that their attempts left on engines are recorded.
        self.engines().wake_orphan_sweep();
    }

    /// Clears how this process found the engines in an earlier life, or with `alone` how any did.
    pub(crate) async fn clear_stale_health(&self, alone: bool) {
        let worker = self.options().worker.as_str();
        let cleared = self.store().forget_health((!alone).then_some(worker)).await;
        if let Err(error) = cleared {
            tracing::warn!(%error, "failed to clear stale engine health");
        }
    }
}

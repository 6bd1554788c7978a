//! Starts and stops everything that runs in the background: workers, callbacks, and the loops that
//! keep engines, leases and disks in order.

pub(crate) mod cancel_poll;
mod every;
pub(crate) mod lease;
pub(crate) mod reconcile;

pub(crate) use self::every::{Nudge, every, rounds};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{builder::Builder, worker::Worker};

impl Builder {
    /// Runs builds, callbacks and all background work until `shutdown`. No build is started after
    /// that; running ones may go on for the grace time, or until [`Builder::abort_grace`], and are then
    /// requeued.
    pub async fn run(self, shutdown: CancellationToken) {
        // A process that is alone on its database knows at its start that every running build is
        // lost. Where others may share it, a lost build has an expired lease.
        let alone = !self.store().is_shared();
        self.requeue_lost_builds(alone).await;
        if alone {
            self.callbacks().release_deliveries().await;
        }
        self.clear_stale_health(alone).await;
        self.heartbeat_replica().await;
        self.images().register_configured().await;
        // Before the first build, so that none is given to an engine that is down.
        self.engines().check_all().await;
        let tracker = TaskTracker::new();
        let release_all = CancellationToken::new();
        let grace = tokio::spawn(self.clone().grace(shutdown.clone(), release_all.clone()));
        let cancels = tokio::spawn(self.clone().poll_cancels());
        tracker.spawn(Worker::new(&self).dispatch(shutdown.clone(), release_all.clone()));
        tracker.spawn(self.engines().clone().monitor_all(shutdown.clone()));
        let registry = self.images().registry_monitor().clone();
        tracker.spawn(registry.monitor(shutdown.clone()));
        tracker.spawn(self.clone().reconcile(shutdown.clone()));
        tracker.spawn(self.callbacks().clone().deliver(shutdown.clone()));
        tracker.spawn(self.engines().clone().sweep(shutdown.clone()));
        tracker.spawn(self.cleanup().clone().keep_clean(shutdown.clone()));
        tracker.spawn(self.cleanup().clone().watch_disks(shutdown.clone()));
        tracker.close();
        tracker.wait().await;
        grace.abort();
        cancels.abort();
        self.remove_replica().await;
    }

    /// Requeues running builds when their grace time after `shutdown` is over.
    async fn grace(self, shutdown: CancellationToken, release_all: CancellationToken) {
        shutdown.cancelled().await;
        tokio::select! {
            () = tokio::time::sleep(self.options().limits.grace) => {}
            () = self.abort_grace().cancelled() => {}
        }
        release_all.cancel();
    }
}

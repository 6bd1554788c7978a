//! What runs beside the workers until the service ends.

pub(crate) mod cancel_poll;
mod every;
pub(crate) mod lease;
pub(crate) mod reconcile;

pub(crate) use self::every::{Nudge, every, rounds};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::builder::Builder;

impl Builder {
    /// Runs builds, deliveries, the upkeep and the cleaning until `shutdown`. No build is begun
    /// after that; those that run may go on for the grace time, or until [`Builder::abort_grace`], and
    /// are then given back to the queue.
    pub async fn run(self, shutdown: CancellationToken) {
        // At its start a process that is alone on its database knows that whatever runs is lost.
        // Where others may share it, what is lost shows by its lease.
        let alone = !self.store().is_shared();
        self.requeue_orphans_of_workers(alone).await;
        if alone {
            self.callbacks().release_deliveries().await;
        }
        self.clear_stale_health(alone).await;
        self.heartbeat_replica().await;
        self.images().register_configured().await;
        // No build is to find out that an engine is not there.
        self.engines().check_all().await;
        let tracker = TaskTracker::new();
        let requeue_all = CancellationToken::new();
        let grace = tokio::spawn(self.clone().grace(shutdown.clone(), requeue_all.clone()));
        let cancels = tokio::spawn(self.clone().poll_cancels());
        tracker.spawn(self.clone().dispatch(shutdown.clone(), requeue_all.clone()));
        tracker.spawn(self.engines().clone().watch(shutdown.clone()));
        tracker.spawn(self.clone().reconcile(shutdown.clone()));
        tracker.spawn(self.callbacks().clone().deliver(shutdown.clone()));
        tracker.spawn(self.clone().sweep(shutdown.clone()));
        tracker.spawn(self.cleanup().clone().keep_clean(shutdown.clone()));
        tracker.spawn(self.cleanup().clone().watch_disks(shutdown.clone()));
        tracker.close();
        tracker.wait().await;
        grace.abort();
        cancels.abort();
        self.remove_replica().await;
    }

    /// Ends the time that running builds have once the service was told to end.
    async fn grace(self, shutdown: CancellationToken, requeue_all: CancellationToken) {
        shutdown.cancelled().await;
        tokio::select! {
            () = tokio::time::sleep(self.options().limits.grace) => {}
            () = self.abort_grace().cancelled() => {}
        }
        requeue_all.cancel();
    }
}

//! What keeps the house in order beside the workers: builds whose worker was lost are taken back,
//! and what was left over on the engine is removed.

use std::time::Duration;

use fastbuild_store::Build;
use tokio_util::sync::CancellationToken;

use crate::{
    service::{Builder, stored},
    settle::delivery_for,
    workers::LEASE,
};

/// How often leftovers are looked for.
const SWEEP: Duration = Duration::from_mins(10);

impl Builder {
    /// Takes back, again and again, builds whose worker gave no sign of life: a worker that could
    /// not write how its attempt ended leaves its build so.
    pub(crate) async fn reconcile(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LEASE / 2) => self.take_back_orphans(false).await,
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Builds whose worker was lost go back to the queue, or end when that happened too often:
    /// those whose lease ran out, or all that run.
    pub(crate) async fn take_back_orphans(&self, all: bool) {
        let now = self.clock().now();
        let taken = async {
            let headers = self.callback_headers().await?;
            self.store()
                .requeue_orphans(
                    all,
                    &|build: &Build| delivery_for(build, &headers, now),
                    now,
                )
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
        for task_id in taken.requeued {
            tracing::warn!(
                build = task_id,
                "the build lost its worker and waits for another"
            );
        }
        for build in taken.ended {
            tracing::error!(build = build.task_id, state = %build.state, "the build lost its worker and has ended");
            if let Ok(site) = self.site().await {
                self.forget_image(&site, &build).await;
            }
        }
    }

    /// Removes from the engine what earlier processes of this service left there.
    pub(crate) async fn sweep(self, shutdown: CancellationToken) {
        loop {
            if let Ok(site) = self.site().await {
                match site.engine.sweep(|label| self.is_in_use(label)).await {
                    Ok(swept) if swept.containers.is_empty() && swept.images.is_empty() => {}
                    Ok(swept) => tracing::info!(
                        containers = swept.containers.len(),
                        images = swept.images.len(),
                        "leftovers removed from the engine"
                    ),
                    Err(error) => tracing::warn!(%error, "leftovers could not be looked for"),
                }
            }
            tokio::select! {
                () = self.site_changed() => {}
                () = tokio::time::sleep(SWEEP) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }
}

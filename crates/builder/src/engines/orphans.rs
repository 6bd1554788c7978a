//! Removes orphaned containers and images from the engines: of processes that ended, and of
//! attempts that lost their engine or were requeued. Runs in the background of every replica; must
//! not touch what a live replica or another installation made.

use std::{collections::HashSet, time::Duration};

use fastbuild_spec::{failure::Failure, state::BuildState};
use fastbuild_store::{Build, OrphanedImage, StoreError};
use futures_util::future::join_all;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::{
    background::{Nudge, rounds},
    engines::{Engines, context::EngineContext},
};

/// How often the engines are swept.
const SWEEP_INTERVAL: Duration = Duration::from_mins(10);
/// The same while an orphaned image is recorded and its engine answers.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// How long an engine may take to end what it did for an attempt that lost it. What is orphaned by
/// then can be found.
const ENGINE_SETTLE_TIME: SignedDuration = SignedDuration::from_secs(20);
/// A replica that sent no heartbeat for so many leases is dead, and its builds were requeued.
const REPLICA_TIMEOUT_LEASES: u32 = 3;

impl Engines {
    /// Sweeps the engines until `shutdown`: at intervals, and when woken.
    pub(crate) async fn sweep(self, shutdown: CancellationToken) {
        let nudge = Nudge::none().or_by(&self.orphan_sweep_wanted);
        rounds(nudge, &shutdown, || async {
            match shutdown.run_until_cancelled(self.sweep_engines()).await {
                Some(true) => RETRY_INTERVAL,
                Some(false) | None => SWEEP_INTERVAL,
            }
        })
        .await;
    }

    /// The replicas that are alive.
    pub(crate) async fn live_replicas(&self) -> Result<HashSet<String>, StoreError> {
        let timeout = self.common.options.limits.lease * REPLICA_TIMEOUT_LEASES;
        self.common
            .store
            .live_replicas(timeout, self.common.now())
            .await
    }

    /// Sweeps every engine that answers; whether to repeat it soon.
    async fn sweep_engines(&self) -> bool {
        // What a live replica made is not orphaned. A SQLite file has one process: every other
        // name belongs to one that is gone.
        let live = if self.common.store.is_shared() {
            self.live_replicas().await
        } else {
            Ok(HashSet::new())
        };
        let (Ok(live), Ok(contexts)) = (live, self.contexts().await) else {
            // Not configured yet, or the database failed, which is logged where it is polled.
            return false;
        };
        let answering = contexts
            .iter()
            .filter(|context| !self.monitor().is_down(&context.name));
        let swept = answering.map(|context| async {
            let swept = self.sweep_engine(context, &live).await;
            swept.unwrap_or_else(|failure| {
                tracing::warn!(engine = context.name, %failure, "failed to sweep the engine");
                false
            })
        });
        join_all(swept).await.contains(&true)
    }

    async fn sweep_engine(
        &self,
        context: &EngineContext,
        live: &HashSet<String>,
    ) -> Result<bool, Failure> {
        let keep = |label: &str| self.labels().is_in_use(label, live);
        let removed = context.engine.remove_orphans(keep).await;
        let removed = removed.map_err(|error| error.failure())?;
        if !removed.containers.is_empty() || !removed.images.is_empty() {
            tracing::info!(
                engine = context.name,
                containers = removed.containers.len(),
                images = removed.images.len(),
                "removed orphans from the engine"
            );
        }
        let orphans = self.common.store.orphaned_images(&context.name).await;
        let orphans = orphans?;
        let mut unsettled = false;
        for orphan in orphans {
            self.remove_orphaned_image(context, &orphan).await?;
            let age = self.common.now().duration_since(orphan.since);
            if age.abs() < ENGINE_SETTLE_TIME {
                unsettled = true;
                continue;
            }
            let forgotten = self.common.store.forget_orphaned_image(&orphan).await;
            forgotten?;
        }
        Ok(unsettled)
    }

    /// Removes the image of a lost attempt from the engine.
    async fn remove_orphaned_image(
        &self,
        context: &EngineContext,
        orphan: &OrphanedImage,
    ) -> Result<(), Failure> {
        let found = context
            .image_of_build(self.labels(), orphan.build_id, &orphan.image)
            .await?;
        let Some(found) = found else {
            return Ok(());
        };
        let build = self.common.store.build(orphan.build_id).await;
        let build = build?;
        let is_wanted =
            |build: Build| is_wanted(&build, &context.name, &found.image.id, found.attempt);
        if build.is_some_and(is_wanted) {
            return Ok(());
        }
        // By its id: the name may be a later attempt's by now.
        let removed = context.engine.remove_image(&found.image.id).await;
        if removed.map_err(|error| error.failure())? {
            tracing::info!(
                engine = context.name,
                build_id = orphan.build_id,
                "removed the image of a lost attempt"
            );
        }
        Ok(())
    }
}

/// Whether an image that an attempt built is the build's image or may still become it.
fn is_wanted(build: &Build, engine: &str, image_id: &str, built_in: i64) -> bool {
    let is_here = build.engine.as_deref() == Some(engine);
    // A queued build has lost its last attempt.
    let is_running = !build.state.is_terminal()
        && build.state != BuildState::Queued
        && built_in == build.attempt;
    is_here && (is_running || build.image_id.as_deref() == Some(image_id))
}

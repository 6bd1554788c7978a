//! Removing from engines what was left over there: by processes that ended, and by attempts that
//! lost their engine or were taken back.

use std::{collections::HashSet, time::Duration};

use fastbuild_engine::BUILD_LABEL;
use fastbuild_spec::{failure::Failure, reference::ImageReference, state::BuildState};
use fastbuild_store::{Build, OrphanedImage};
use futures_util::future::join_all;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::{builder::Builder, common::stored, engines::context::EngineContext};

/// How often leftovers are looked for.
const SWEEP: Duration = Duration::from_mins(10);
/// The same where something is known to be left, and its engine answers.
const SOON: Duration = Duration::from_secs(5);
/// How long an engine may take to end what it did for an attempt that lost it. What was left by
/// then is there to be found.
const LAST_WORKS: SignedDuration = SignedDuration::from_secs(20);

impl Builder {
    /// Sweeps the engines again and again until `shutdown`.
    pub(crate) async fn sweep(self, shutdown: CancellationToken) {
        loop {
            let rest = tokio::select! {
                rest = self.sweep_engines() => rest,
                () = shutdown.cancelled() => return,
            };
            let wait = if rest { SOON } else { SWEEP };
            tokio::select! {
                () = self.engines().orphan_sweep_wanted() => {}
                () = tokio::time::sleep(wait) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Sweeps every engine that answers; whether it is to be done again soon.
    async fn sweep_engines(&self) -> bool {
        // What a process of ours that may live made on the engine is not left over. A SQLite file
        // has one process: whoever left a name there is gone.
        let lives = if self.store().is_shared() {
            self.live_replicas().await
        } else {
            Ok(HashSet::new())
        };
        let (Ok(lives), Ok(contexts)) = (lives, self.engines().contexts().await) else {
            // Not configured yet, or a database that says so elsewhere.
            return false;
        };
        let answering = contexts
            .iter()
            .filter(|context| !self.engines().monitor().is_down(&context.name));
        let swept = answering.map(|context| async {
            let swept = self.sweep_engine(context, &lives).await;
            swept.unwrap_or_else(|failure| {
                tracing::warn!(engine = context.name, %failure, "leftovers could not be looked for");
                false
            })
        });
        join_all(swept).await.contains(&true)
    }

    async fn sweep_engine(
        &self,
        context: &EngineContext,
        lives: &HashSet<String>,
    ) -> Result<bool, Failure> {
        let keep = |label: &str| self.engines().labels().is_in_use(label, lives);
        let swept = context.engine.remove_orphans(keep).await;
        let swept = swept.map_err(|error| error.failure())?;
        if !swept.containers.is_empty() || !swept.images.is_empty() {
            tracing::info!(
                engine = context.name,
                containers = swept.containers.len(),
                images = swept.images.len(),
                "leftovers removed from the engine"
            );
        }
        let leftovers = self.store().orphaned_images(&context.name).await;
        let leftovers = leftovers.map_err(|error| stored(&error))?;
        let mut rest = false;
        for leftover in leftovers {
            self.remove_leftover(context, &leftover).await?;
            let age = self.clock().now().duration_since(leftover.since);
            if age.abs() < LAST_WORKS {
                rest = true;
                continue;
            }
            let gone = self.store().forget_orphaned_image(&leftover).await;
            gone.map_err(|error| stored(&error))?;
        }
        Ok(rest)
    }

    /// Takes the image of a lost attempt off the engine.
    async fn remove_leftover(
        &self,
        context: &EngineContext,
        leftover: &OrphanedImage,
    ) -> Result<(), Failure> {
        let Ok(target) = leftover.image.parse::<ImageReference>() else {
            return Ok(());
        };
        let found = context.engine.find_image(&target).await;
        let Some(found) = found.map_err(|error| error.failure())? else {
            return Ok(());
        };
        let label = found.labels.get(BUILD_LABEL);
        let made_in =
            label.and_then(|label| self.engines().labels().attempt_of(label, leftover.build_id));
        let Some(made_in) = made_in else {
            return Ok(());
        };
        let build = self.store().build(leftover.build_id).await;
        let build = build.map_err(|error| stored(&error))?;
        if build.is_some_and(|build| is_wanted(&build, &context.name, &found.id, made_in)) {
            return Ok(());
        }
        // By its id: the name may be a later attempt's by now.
        let removed = context.engine.remove_image(&found.id).await;
        if removed.map_err(|error| error.failure())? {
            tracing::info!(
                engine = context.name,
                build = leftover.build_id,
                "the image of a lost attempt is off the engine"
            );
        }
        Ok(())
    }
}

/// Whether an image that an attempt made is what the build came to or may still come to.
fn is_wanted(build: &Build, engine: &str, image_id: &str, made_in: i64) -> bool {
    let here = build.engine.as_deref() == Some(engine);
    // One that waits in the queue has lost the attempt it had last.
    let under_way =
        !build.state.is_terminal() && build.state != BuildState::Queued && made_in == build.attempt;
    here && (under_way || build.image_id.as_deref() == Some(image_id))
}

//! Writes how an attempt ended: the end state, its image and its callback in one transaction, and
//! leaves nothing half done on the engine. Called once at the end of each attempt.

use fastbuild_engine::crash::{self, CrashPoint};
use fastbuild_spec::failure::{Failure, ReasonCode};
use fastbuild_store::{
    AttemptOutcome, Build, ClaimedBuild, FencedError, Finished, SettingsRevisions,
};
use tokio::time::Instant;

use crate::{
    callbacks::message::callback_of,
    engines::context::EngineContext,
    worker::{RETRY_DELAY, Worker},
};

impl Worker {
    /// Writes how an attempt ended. A database that does not answer is asked again until the
    /// attempt's lease is over; after that the build is requeued as lost.
    ///
    /// # Errors
    /// When another attempt has the build, or the database did not answer in all that time.
    pub(crate) async fn finish_attempt(
        &self,
        claimed: &ClaimedBuild,
        context: Option<&EngineContext>,
        outcome: &AttemptOutcome,
    ) -> Result<Finished, FencedError> {
        if let (AttemptOutcome::Failed(_, failure), Some(context)) = (outcome, context) {
            self.discard_image(context, &claimed.build).await;
            if was_stopped(failure) {
                // An engine that was about to finish the image may do so a moment later.
                self.record_orphan(context, &claimed.build).await;
            }
        }
        let revisions = context.map(|context| context.revisions).unwrap_or_default();
        let deadline = Instant::now() + self.common.options.limits.lease;
        loop {
            match self.write_outcome(claimed, outcome, revisions).await {
                Err(FencedError::Store(error)) if Instant::now() < deadline => {
                    tracing::error!(%error, "failed to write the end of the attempt; trying again");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                written => return written,
            }
        }
    }

    async fn write_outcome(
        &self,
        claimed: &ClaimedBuild,
        outcome: &AttemptOutcome,
        revisions: SettingsRevisions,
    ) -> Result<Finished, FencedError> {
        let now = self.common.now();
        let headers = self.common.store.settings().await?.callback_headers;
        crash::pass(CrashPoint::BeforeEnd);
        let finished = self
            .common
            .store
            .finish(
                claimed.attempt,
                outcome,
                revisions,
                &|build: &Build| callback_of(build, &headers, now),
                now,
            )
            .await?;
        crash::pass(CrashPoint::AfterEnd);
        match &finished {
            Finished::Ended(build) => self.common.metrics.build_ended(build),
            Finished::Requeued(reason) => self.common.metrics.requeued(*reason),
        }
        Ok(finished)
    }

    /// Removes the image of a build that failed from the engine, whichever attempt made it. Where
    /// the engine does not remove it now, the orphan sweep tries again.
    async fn discard_image(&self, context: &EngineContext, build: &Build) {
        match self.remove_image_of_build(context, build).await {
            Ok(true) => {
                tracing::info!(build_id = build.id, "removed the image of the failed build");
            }
            Ok(false) => {}
            Err(failure) => {
                tracing::warn!(build_id = build.id, %failure, "failed to remove the image of the failed build; recording it as orphaned");
                self.record_orphan(context, build).await;
            }
        }
    }

    /// Removes a build's image from the engine; whether it was there.
    async fn remove_image_of_build(
        &self,
        context: &EngineContext,
        build: &Build,
    ) -> Result<bool, Failure> {
        if self.engines.monitor().is_down(&context.name) {
            return Err(self.engines.monitor().why_unreachable(&context.name));
        }
        let found = context
            .image_of_build(self.engines.labels(), build.id, &build.target_image)
            .await?;
        if found.is_none() {
            return Ok(false);
        }
        let removed = context.engine.remove_image(&build.target_image).await;
        removed.map_err(|error| error.failure())
    }

    /// Records that a build's image may be on the engine, for the orphan sweep.
    async fn record_orphan(&self, context: &EngineContext, build: &Build) {
        let now = self.common.now();
        let recorded = self
            .common
            .store
            .record_orphaned_image(&context.name, build.id, &build.target_image, now)
            .await;
        match recorded {
            Ok(()) => self.engines.wake_orphan_sweep(),
            Err(error) => {
                tracing::error!(build_id = build.id, %error, "failed to record orphaned image");
            }
        }
    }
}

/// Whether a failure says that we stopped the engine, rather than that it reported an end.
fn was_stopped(failure: &Failure) -> bool {
    matches!(failure.code, ReasonCode::Cancelled | ReasonCode::TimedOut)
}

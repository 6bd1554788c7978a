//! How an attempt ended, written down: the end state, its image and its callback in one
//! transaction, and nothing half done left on the engine.

use fastbuild_engine::crash::{self, CrashPoint};
use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    state::BuildState,
};
use fastbuild_store::{
    Build, ClaimedBuild, End, FencedError, FinishedImage, MAX_ATTEMPTS, RequeueOutcome,
};
use tokio::time::Instant;

use crate::{
    builder::Builder, callbacks::message::callback_of, engines::context::EngineContext,
    metrics::Lost, worker::RETRY_DELAY, worker::attempt::AttemptError,
};

impl Builder {
    /// Writes how an attempt ended. A database that does not answer is asked again until the
    /// attempt's lease is over; after that the build is taken back and tried again.
    ///
    /// # Errors
    /// When another attempt has the build, or the database did not answer in all that time.
    pub(crate) async fn settle(
        &self,
        claimed: &ClaimedBuild,
        context: Option<&EngineContext>,
        ended: Result<FinishedImage, AttemptError>,
    ) -> Result<(), FencedError> {
        let end = match ended {
            Ok(image) => Settled::End(BuildState::PushSuccess, None, Some(image)),
            Err(AttemptError::Failed(state, failure)) => Settled::End(state, Some(failure), None),
            Err(AttemptError::NotPushed(failure, image)) => {
                Settled::End(BuildState::PushFailed, Some(failure), Some(image))
            }
            Err(AttemptError::EngineLost(_, failure) | AttemptError::Interrupted(failure)) => {
                Settled::Retry(failure)
            }
            Err(AttemptError::ShuttingDown) => Settled::GiveBack,
            Err(AttemptError::Fenced(error)) => return Err(error),
        };
        if let (Settled::End(_, Some(failure), None), Some(context)) = (&end, context) {
            self.discard_image(context, &claimed.build).await;
            if was_stopped(failure) {
                // An engine that was about to finish the image may do so a moment later.
                self.record_orphan(context, &claimed.build).await;
            }
        }
        let until = Instant::now() + self.options().limits.lease;
        loop {
            match self.write_end(claimed, context, &end).await {
                Err(FencedError::Store(error)) if Instant::now() < until => {
                    tracing::error!(%error, "how the build ended cannot be written yet");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                written => return written,
            }
        }
    }

    async fn write_end(
        &self,
        claimed: &ClaimedBuild,
        context: Option<&EngineContext>,
        end: &Settled,
    ) -> Result<(), FencedError> {
        let now = self.clock().now();
        let (state, failure, image) = match end.clone() {
            Settled::End(state, failure, image) => (state, failure, image),
            Settled::GiveBack => match self.store().release(claimed.attempt, now).await? {
                RequeueOutcome::CancelRequested => aborted(Failure::build_cancelled()),
                RequeueOutcome::Queued | RequeueOutcome::TooManyAttempts => {
                    self.metrics().put_back(Lost::ShutDown);
                    return Ok(());
                }
            },
            Settled::Retry(failure) => match self.store().requeue(claimed.attempt, now).await? {
                RequeueOutcome::Queued => {
                    tracing::warn!(%failure, "the attempt came to nothing; the build is tried again");
                    self.metrics().put_back(Lost::To(failure.code));
                    return Ok(());
                }
                RequeueOutcome::TooManyAttempts => {
                    aborted(Failure::build_lost(MAX_ATTEMPTS, Some(failure)))
                }
                RequeueOutcome::CancelRequested => aborted(Failure::build_cancelled()),
            },
        };
        // What an attempt that came to nothing left behind goes with the build's end.
        if !matches!(end, Settled::End(..))
            && let Some(context) = context
        {
            self.discard_image(context, &claimed.build).await;
        }
        let settings = self.store().settings().await?;
        let end = End {
            state,
            failure,
            image,
            settings_revisions: context.map(|context| context.revisions).unwrap_or_default(),
        };
        let make_delivery = |build: &Build| callback_of(build, &settings.callback_headers, now);
        crash::pass(CrashPoint::BeforeEnd);
        let build = self
            .store()
            .finish(claimed.attempt, end, &make_delivery, now)
            .await?;
        crash::pass(CrashPoint::AfterEnd);
        self.metrics().build_ended(&build);
        Ok(())
    }

    /// Takes an image that was not pushed off the engine, so that nothing half done stays: the
    /// one that carries this build's label, whichever attempt made it. Where the engine does not
    /// let go of it now, it is looked for later.
    async fn discard_image(&self, context: &EngineContext, build: &Build) {
        let forget = async {
            if self.engines().monitor().is_down(&context.name) {
                return Err(self.engines().monitor().why_unreachable(&context.name));
            }
            let Ok(target) = build.target_image.parse() else {
                return Ok(false);
            };
            let found = context.engine.find_image(&target).await;
            let Some(found) = found.map_err(|error| error.failure())? else {
                return Ok(false);
            };
            let ours = found
                .labels
                .get(fastbuild_engine::BUILD_LABEL)
                .is_some_and(|label| {
                    self.engines()
                        .labels()
                        .attempt_of(label, build.id)
                        .is_some()
                });
            if !ours {
                return Ok(false);
            }
            let removed = context.engine.remove_image(&target.to_string()).await;
            removed.map_err(|error| error.failure())
        };
        match forget.await {
            Ok(true) => tracing::info!(
                build = build.id,
                "the image that was not pushed is off the engine"
            ),
            Ok(false) => {}
            Err(failure) => {
                tracing::warn!(build = build.id, %failure, "an image that was not pushed may be on the engine; it is looked for later");
                self.record_orphan(context, build).await;
            }
        }
    }

    /// Has a build's image looked for on an engine, from now on and for a while.
    async fn record_orphan(&self, context: &EngineContext, build: &Build) {
        let now = self.clock().now();
        let noted = self
            .store()
            .record_orphaned_image(&context.name, build.id, &build.target_image, now)
            .await;
        match noted {
            Ok(()) => self.engines().wake_orphan_sweep(),
            Err(error) => {
                tracing::error!(build = build.id, %error, "that an image is to be looked for cannot be written");
            }
        }
    }
}

/// Whether a failure says that we stopped the engine, rather than that it told of an end.
fn was_stopped(failure: &Failure) -> bool {
    matches!(failure.code, ReasonCode::Cancelled | ReasonCode::TimedOut)
}

/// What is to be written about an attempt.
#[derive(Debug, Clone)]
enum Settled {
    End(BuildState, Option<Failure>, Option<FinishedImage>),
    Retry(Failure),
    GiveBack,
}

/// The end of a build that was stopped on the way.
fn aborted(failure: Failure) -> (BuildState, Option<Failure>, Option<FinishedImage>) {
    (BuildState::BuildAbort, Some(failure), None)
}

//! Taking builds from the queue and running them: as many at a time as the engines have places.

pub(crate) mod attempt;
pub(crate) mod finish;
mod password_hash;
mod plan_lock;
mod push;
mod reuse;
pub(crate) mod step;
mod step_log;
pub(crate) mod strategy;

use std::time::Duration;

use fastbuild_engine::crash::{self, CrashPoint};
use fastbuild_spec::{failure::ReasonCode, state::BuildState};
use fastbuild_store::{ClaimedBuild, DEFAULT_ENGINE, FencedError, FinishedImage};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::{
    builder::Builder,
    common::internal,
    engines::context::EngineContext,
    worker::attempt::{Attempt, AttemptError},
    worker::step_log::LogBudget,
};

/// Signs of life that an attempt gives within the time of a lease.
const HEARTBEATS: u32 = 4;
/// How often the queue is looked at without a wake-up; only a fallback.
const LOOK: Duration = Duration::from_secs(5);
/// How long is waited after a fault of the database before it is asked again.
pub(crate) const RETRY_DELAY: Duration = Duration::from_secs(1);

impl Builder {
    /// Takes builds as long as any engine has a place for one, and lets each run by itself. A build
    /// that is queued or ends, an engine that is added, changed or returns wakes it.
    pub(crate) async fn dispatch(
        self,
        shutdown: CancellationToken,
        requeue_all: CancellationToken,
    ) {
        let attempts = TaskTracker::new();
        // Subscribed before the first look, so that nothing queued in between is missed.
        let mut queue = self.store().subscribe_queue();
        while !shutdown.is_cancelled() {
            queue.mark_unchanged();
            let claim = self
                .store()
                .claim(
                    &self.options().worker,
                    self.options().limits.lease,
                    self.clock().now(),
                )
                .await;
            match claim {
                Ok(Some(claimed)) => {
                    let span = tracing::info_span!(
                        "build",
                        build = claimed.build.id,
                        attempt = claimed.attempt.number,
                        engine = claimed.build.engine
                    );
                    let attempt = self.clone().attempt(claimed, requeue_all.clone());
                    attempts.spawn(attempt.instrument(span));
                }
                Ok(None) => {
                    tokio::select! {
                        _ = queue.changed() => {}
                        () = tokio::time::sleep(LOOK) => {}
                        () = shutdown.cancelled() => {}
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the queue cannot be read");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        }
        attempts.close();
        attempts.wait().await;
    }

    /// Runs one attempt and settles how it ended.
    async fn attempt(self, claimed: ClaimedBuild, requeue_all: CancellationToken) {
        tracing::info!(base = %claimed.spec.base, target = %claimed.spec.target, "build started");
        crash::pass(CrashPoint::Claimed);
        self.metrics().taken(&claimed);
        let started = Instant::now();
        let engine = claimed.build.engine.as_deref().unwrap_or(DEFAULT_ENGINE);
        let context = self.engines().context(engine).await;
        crash::pass(CrashPoint::SiteKnown);
        let ended = match &context {
            Ok(context) => {
                // A task of its own: a fault of ours in it must not keep the end from being written.
                let run =
                    self.clone()
                        .run_attempt(claimed.clone(), context.clone(), requeue_all.clone());
                match tokio::spawn(run.in_current_span()).await {
                    Ok(ended) => ended,
                    Err(error) => Err(AttemptError::Failed(
                        BuildState::BuildAbort,
                        internal(&error),
                    )),
                }
            }
            // Nor is it the build's fault that its engine was removed as it was claimed.
            Err(failure)
                if matches!(
                    failure.code,
                    ReasonCode::DatabaseUnavailable | ReasonCode::NotFound
                ) =>
            {
                Err(AttemptError::Interrupted(failure.clone()))
            }
            Err(failure) => Err(AttemptError::Failed(
                BuildState::BuildAbort,
                failure.clone(),
            )),
        };
        let outcome = match &ended {
            Ok(_) => "pushed".to_owned(),
            Err(
                AttemptError::Failed(_, failure)
                | AttemptError::EngineLost(_, failure)
                | AttemptError::NotPushed(failure, _)
                | AttemptError::Interrupted(failure),
            ) => failure.to_string(),
            Err(AttemptError::ShuttingDown) => "given back to the queue".to_owned(),
            Err(AttemptError::Fenced(error)) => error.to_string(),
        };
        let lost = matches!(&ended, Err(AttemptError::EngineLost(..)));
        if let Err(AttemptError::EngineLost(_, failure)) = &ended {
            // Before the build is back in the queue, so that it is not given to the same engine.
            self.engines().report_lost(engine, failure).await;
        }
        let settled = self.settle(&claimed, context.as_ref().ok(), ended).await;
        // The image of an attempt before this one has lost its name by now.
        if lost || claimed.attempt.number > 1 {
            self.engines().wake_orphan_sweep();
        }
        match settled {
            Ok(()) => {
                tracing::info!(
                    outcome,
                    milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                    "build ended"
                );
                // One that goes on is left as it is.
                if let Err(error) = self.store().archive_log(claimed.build.id).await {
                    tracing::warn!(%error, "the build's log could not be compressed and stays as it is");
                }
            }
            Err(error) if error.is_lost() => {
                tracing::warn!(%error, "another attempt has the build");
            }
            Err(error) => tracing::error!(
                %error,
                "how the build ended could not be written; it is tried again once its lease is over"
            ),
        }
    }

    async fn run_attempt(
        self,
        claimed: ClaimedBuild,
        context: EngineContext,
        shutdown: CancellationToken,
    ) -> Result<FinishedImage, AttemptError> {
        let cancelled = CancellationToken::new();
        let limits = claimed
            .build
            .limits
            .unwrap_or_else(|| self.options().limits.bounds().default);
        let label = self.engines().labels().attempt(claimed.attempt);
        let away = self
            .engines()
            .monitor()
            .away(&context.name, self.clock().now());
        let run = Attempt {
            builder: &self,
            claimed: &claimed,
            context: &context,
            label: &label,
            away: &away,
            cancelled: &cancelled,
            shutdown: &shutdown,
            limits,
            deadline: Instant::now() + Duration::from_secs(limits.total),
            log_budget: LogBudget::new(self.options().limits.log_bytes),
        };
        tokio::select! {
            ended = Box::pin(run.steps()) => ended,
            error = self.stay_alive(&claimed, &cancelled) => Err(AttemptError::Fenced(error)),
        }
    }

    /// Renews the lease until that is refused or was not possible for so long that the lease may
    /// be over, and passes on a wish to cancel as soon as the bell of cancels rings.
    async fn stay_alive(
        &self,
        claimed: &ClaimedBuild,
        cancelled: &CancellationToken,
    ) -> FencedError {
        let lease = self.options().limits.lease;
        let mut cancels = self.store().subscribe_cancels();
        // The lease lasts at least so long: its time began when it was written, which is later.
        let mut safe_until = Instant::now() + lease - lease / HEARTBEATS;
        loop {
            cancels.mark_unchanged();
            let asked = Instant::now();
            let beat = self
                .store()
                .heartbeat(claimed.attempt, lease, self.clock().now());
            let wait = match tokio::time::timeout_at(safe_until, beat).await {
                Ok(Ok(beat)) => {
                    if beat.cancel_requested {
                        cancelled.cancel();
                    }
                    safe_until = asked + lease - lease / HEARTBEATS;
                    lease / HEARTBEATS
                }
                Ok(Err(error)) if error.is_lost() => return error,
                Ok(Err(error)) => {
                    tracing::error!(%error, "the build's lease could not be renewed");
                    RETRY_DELAY
                }
                Err(_elapsed) => RETRY_DELAY,
            };
            if Instant::now() >= safe_until {
                // Another may have the build from now on. What this attempt does is of no use,
                // and it must not push.
                tracing::error!(
                    "the database could not be reached for the time of a lease; the attempt stops"
                );
                return FencedError::Lost {
                    build_id: claimed.attempt.build_id,
                    attempt: claimed.attempt.number,
                };
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = cancels.changed() => {}
            }
        }
    }
}

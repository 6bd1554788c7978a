//! Claims queued builds and runs them, as many at a time as the engines have room for. One task per
//! attempt renews the build's lease while its steps run.

pub(crate) mod attempt;
mod finish;
mod password_hash;
mod plan_lock;
mod push;
mod reuse;
pub(crate) mod step;
mod step_log;
pub(crate) mod strategy;

use std::{sync::Arc, time::Duration};

use fastbuild_engine::crash::{self, CrashPoint};
use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    requeue::RequeueReason,
    state::BuildState,
};
use fastbuild_store::{AttemptOutcome, ClaimedBuild, DEFAULT_ENGINE, FencedError, Finished};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::{
    builder::Builder,
    catalog::CatalogStore,
    common::{Common, internal},
    duration_ms,
    engines::{Engines, context::EngineContext},
    images::Images,
    keyed_locks::KeyedLocks,
    worker::{attempt::Attempt, step_log::LogBudget},
};

/// Heartbeats within the duration of a lease.
const HEARTBEATS_PER_LEASE: u32 = 4;
/// How often the queue is polled; only a fallback for a lost notification.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// The pause before the database is asked again after an error.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Runs builds in this process. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    common: Common,
    catalog: CatalogStore,
    engines: Engines,
    images: Images,
    /// One lock per plan that is built in this process.
    plan_locks: Arc<KeyedLocks>,
}

impl Worker {
    /// The worker of a builder's components.
    pub(crate) fn new(builder: &Builder) -> Self {
        Self {
            common: builder.common().clone(),
            catalog: builder.catalog().clone(),
            engines: builder.engines().clone(),
            images: builder.images().clone(),
            plan_locks: Arc::default(),
        }
    }

    /// Claims builds while any engine has room, and runs each in its own task. Notified when a
    /// build is queued or ends, or an engine is added, changed or returns.
    pub(crate) async fn dispatch(
        self,
        shutdown: CancellationToken,
        release_all: CancellationToken,
    ) {
        let attempts = TaskTracker::new();
        // Subscribed before the first query, so that nothing queued in between is missed.
        let mut queue = self.common.store.subscribe_queue();
        while !shutdown.is_cancelled() {
            // Without its registry no build can succeed: all stay in the queue.
            let registry = self.images.registry_monitor();
            if shutdown
                .run_until_cancelled(registry.available())
                .await
                .is_none()
            {
                break;
            }
            queue.mark_unchanged();
            let claim = self
                .common
                .store
                .claim(
                    &self.common.options.worker,
                    self.common.options.limits.lease,
                    self.common.now(),
                )
                .await;
            match claim {
                Ok(Some(claimed)) => {
                    let span = tracing::info_span!(
                        "build",
                        build_id = claimed.build.id,
                        attempt = claimed.attempt.number,
                        engine = claimed.build.engine
                    );
                    let attempt = self.clone().attempt(claimed, release_all.clone());
                    attempts.spawn(attempt.instrument(span));
                }
                Ok(None) => {
                    tokio::select! {
                        _ = queue.changed() => {}
                        () = tokio::time::sleep(POLL_INTERVAL) => {}
                        () = shutdown.cancelled() => {}
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "failed to claim a build");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        }
        attempts.close();
        attempts.wait().await;
    }

    /// Runs one attempt and writes how it ended.
    async fn attempt(self, claimed: ClaimedBuild, release_all: CancellationToken) {
        tracing::info!(base = %claimed.spec.base, target = %claimed.spec.target, "started build");
        crash::pass(CrashPoint::Claimed);
        self.common.metrics.taken(&claimed);
        let started = Instant::now();
        let engine = claimed.build.engine.as_deref().unwrap_or(DEFAULT_ENGINE);
        let context = self.engines.context(engine).await;
        crash::pass(CrashPoint::SiteKnown);
        let outcome = match &context {
            Ok(context) => {
                self.run_supervised(&claimed, context.clone(), release_all)
                    .await
            }
            Err(failure) => outcome_without_engine(failure.clone()),
        };
        if let AttemptOutcome::Requeue(RequeueReason::EngineLost, failure) = &outcome {
            // Before the build is back in the queue, so that it is not given to the same engine.
            self.engines.report_lost(engine, failure).await;
        }
        let finished = self
            .finish_attempt(&claimed, context.as_ref().ok(), &outcome)
            .await;
        // An image that a lost attempt left has no name by now.
        if claimed.attempt.number > 1 || !matches!(outcome, AttemptOutcome::Pushed(_)) {
            self.engines.wake_orphan_sweep();
        }
        log_end(&outcome, &finished, started.elapsed());
        if finished.is_ok()
            && let Err(error) = self.common.store.archive_log(claimed.build.id).await
        {
            // A build that was requeued has nothing to archive yet.
            tracing::warn!(%error, "failed to compress the build's log; it stays uncompressed");
        }
    }

    /// Runs the steps in a task of their own: a panic in them must not keep the end from being
    /// written.
    async fn run_supervised(
        &self,
        claimed: &ClaimedBuild,
        context: EngineContext,
        release_all: CancellationToken,
    ) -> AttemptOutcome {
        let run = self
            .clone()
            .run_attempt(claimed.clone(), context, release_all);
        match tokio::spawn(run.in_current_span()).await {
            Ok(outcome) => outcome,
            Err(panic) => AttemptOutcome::Failed(BuildState::BuildAbort, internal(&panic)),
        }
    }

    async fn run_attempt(
        self,
        claimed: ClaimedBuild,
        context: EngineContext,
        shutdown: CancellationToken,
    ) -> AttemptOutcome {
        let cancelled = CancellationToken::new();
        let limits = claimed
            .build
            .limits
            .unwrap_or_else(|| self.common.options.limits.bounds().default);
        let label = self.engines.labels().attempt(claimed.attempt);
        let away = self
            .engines
            .monitor()
            .away(&context.name, self.common.now());
        let attempt = Attempt {
            worker: &self,
            claimed: &claimed,
            context: &context,
            label: &label,
            away: &away,
            cancelled: &cancelled,
            shutdown: &shutdown,
            limits,
            deadline: Instant::now() + Duration::from_secs(limits.total),
            log_budget: LogBudget::new(self.common.options.limits.log_bytes),
        };
        tokio::select! {
            outcome = Box::pin(attempt.run()) => outcome,
            fenced = self.renew_lease(&claimed, &cancelled) => AttemptOutcome::Fenced(fenced),
        }
    }

    /// Renews the lease until that is refused or failed for so long that the lease may have
    /// expired, and cancels the attempt when a user asked for it.
    async fn renew_lease(
        &self,
        claimed: &ClaimedBuild,
        cancelled: &CancellationToken,
    ) -> FencedError {
        let lease = self.common.options.limits.lease;
        let interval = lease / HEARTBEATS_PER_LEASE;
        let mut cancels = self.common.store.subscribe_cancels();
        // The lease lasts at least so long: its time began when it was written, which is later.
        let mut safe_until = Instant::now() + lease - interval;
        loop {
            cancels.mark_unchanged();
            let asked = Instant::now();
            let heartbeat = self
                .common
                .store
                .heartbeat(claimed.attempt, lease, self.common.now());
            let wait = match tokio::time::timeout_at(safe_until, heartbeat).await {
                Ok(Ok(heartbeat)) => {
                    if heartbeat.cancel_requested {
                        cancelled.cancel();
                    }
                    safe_until = asked + lease - interval;
                    interval
                }
                Ok(Err(error)) if error.is_lost() => return error,
                Ok(Err(error)) => {
                    tracing::error!(%error, "failed to renew the build's lease");
                    RETRY_DELAY
                }
                Err(_elapsed) => RETRY_DELAY,
            };
            if Instant::now() >= safe_until {
                // Another worker may claim the build from now on: this attempt must not push.
                tracing::error!("stopped the attempt: its lease could not be renewed in time");
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

/// How an attempt ends whose engine could not be looked up.
fn outcome_without_engine(failure: Failure) -> AttemptOutcome {
    match failure.code {
        ReasonCode::DatabaseUnavailable => {
            AttemptOutcome::Requeue(RequeueReason::DatabaseUnavailable, failure)
        }
        // Not the build's fault: the engine was removed as the build was claimed.
        ReasonCode::NotFound => AttemptOutcome::Requeue(RequeueReason::EngineRemoved, failure),
        _ => AttemptOutcome::Failed(BuildState::BuildAbort, failure),
    }
}

/// One line per attempt that says how it ended.
fn log_end(outcome: &AttemptOutcome, finished: &Result<Finished, FencedError>, elapsed: Duration) {
    let duration_ms = duration_ms(elapsed);
    match finished {
        Ok(Finished::Ended(build)) => {
            let failure = build.failure.as_ref().map(ToString::to_string);
            tracing::info!(state = %build.state, failure, duration_ms, "finished build");
        }
        Ok(Finished::Requeued(reason)) => {
            let failure = outcome.failure().map(ToString::to_string);
            tracing::warn!(%reason, failure, duration_ms, "requeued build");
        }
        Err(error) if error.is_lost() => {
            tracing::warn!(%error, duration_ms, "dropped the attempt: another one has the build");
        }
        Err(error) => {
            tracing::error!(%error, duration_ms, "failed to write the end of the attempt; the build is requeued when its lease expires");
        }
    }
}

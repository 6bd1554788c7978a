//! The workers: they take queued builds at once and run them within a limit per engine.

use std::time::Duration;

use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    state::BuildState,
};
use fastbuild_store::{Build, CancelOutcome, ClaimedBuild, FencedError, FinishedImage};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::{
    events::LogBudget,
    pipeline::{Run, Stop},
    service::{Builder, Site, internal, stored},
    settle::delivery_for,
};

/// How long a claim holds without a sign of life from its worker.
pub(crate) const LEASE: Duration = Duration::from_mins(1);
/// How often a worker gives that sign.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often a worker looks at the queue without having been woken; only a fallback.
const LOOK: Duration = Duration::from_secs(5);
/// How long a worker waits after a fault of the database before it asks again.
pub(crate) const AFTER_FAULT: Duration = Duration::from_secs(1);

impl Builder {
    /// Runs builds, deliveries, the upkeep and the cleaning until `shutdown`; running builds are stopped then
    /// and given back to the queue.
    pub async fn run(self, shutdown: CancellationToken) {
        // At its start a process that is alone on its database knows that whatever runs is lost.
        // Where others may share it, what is lost shows by its lease.
        let alone = !self.store().is_shared();
        self.take_back_orphans(alone).await;
        if alone {
            self.release_deliveries().await;
        }
        self.register_configured_base_images().await;
        let tracker = TaskTracker::new();
        for _ in 0..self.options().limits.builds_per_engine {
            tracker.spawn(self.clone().work(shutdown.clone()));
        }
        tracker.spawn(self.clone().reconcile(shutdown.clone()));
        tracker.spawn(self.clone().deliver(shutdown.clone()));
        tracker.spawn(self.clone().sweep(shutdown.clone()));
        tracker.spawn(self.clone().keep_clean(shutdown.clone()));
        tracker.close();
        tracker.wait().await;
    }

    /// Stops a build: a queued one ends at once, a running one as soon as its engine lets go.
    /// Says whether it has ended already.
    ///
    /// # Errors
    /// `NotFound` for an unknown build, `WrongState` for one that had ended before.
    pub async fn cancel(&self, task_id: i64) -> Result<bool, Failure> {
        let headers = self.callback_headers().await?;
        let now = self.clock().now();
        let outcome = self
            .store()
            .request_cancel(
                task_id,
                &|build: &Build| delivery_for(build, &headers, now),
                now,
            )
            .await
            .map_err(|error| stored(&error))?;
        match outcome {
            CancelOutcome::Ended(_) => Ok(true),
            CancelOutcome::Requested => Ok(false),
            CancelOutcome::NotFound => Err(Failure::new(
                ReasonCode::NotFound,
                format!("任务id<{task_id}>任务不存在。"),
                format!("There is no build {task_id}."),
            )),
            CancelOutcome::AlreadyEnded(state) => Err(Failure::new(
                ReasonCode::WrongState,
                format!("任务id<{task_id}>任务已经结束（{state}），无法取消。"),
                format!("The build {task_id} has ended already ({state})."),
            )),
        }
    }

    /// One worker: takes a build, runs it, takes the next.
    async fn work(self, shutdown: CancellationToken) {
        // Subscribed before the first look, so that nothing queued in between is missed.
        let mut queue = self.store().subscribe_queue();
        while !shutdown.is_cancelled() {
            queue.mark_unchanged();
            let claim = self
                .store()
                .claim(&self.options().worker, LEASE, self.clock().now())
                .await;
            match claim {
                Ok(Some(claimed)) => {
                    let span = tracing::info_span!(
                        "build",
                        build = claimed.build.task_id,
                        attempt = claimed.attempt.number
                    );
                    Box::pin(self.attempt(claimed, &shutdown))
                        .instrument(span)
                        .await;
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
                    tokio::time::sleep(AFTER_FAULT).await;
                }
            }
        }
    }

    /// Runs one attempt and settles how it ended.
    async fn attempt(&self, claimed: ClaimedBuild, shutdown: &CancellationToken) {
        tracing::info!(base = %claimed.spec.base, target = %claimed.spec.target, "build started");
        let started = Instant::now();
        let site = self.site().await;
        let ended = match &site {
            Ok(site) => {
                // A task of its own: a fault of ours in it must not take the worker along.
                let run = self
                    .clone()
                    .run_attempt(claimed.clone(), site.clone(), shutdown.clone());
                match tokio::spawn(run.in_current_span()).await {
                    Ok(ended) => ended,
                    Err(error) => Err(Stop::Ended(BuildState::BuildAbort, internal(&error))),
                }
            }
            Err(failure) if failure.code == ReasonCode::DatabaseUnavailable => {
                Err(Stop::Interrupted(failure.clone()))
            }
            Err(failure) => Err(Stop::Ended(BuildState::BuildAbort, failure.clone())),
        };
        let outcome = match &ended {
            Ok(_) => "pushed".to_owned(),
            Err(
                Stop::Ended(_, failure)
                | Stop::EngineLost(_, failure)
                | Stop::NotPushed(failure, _)
                | Stop::Interrupted(failure),
            ) => failure.to_string(),
            Err(Stop::ShuttingDown) => "given back to the queue".to_owned(),
            Err(Stop::Fenced(error)) => error.to_string(),
        };
        match self.settle(&claimed, site.as_ref().ok(), ended).await {
            Ok(()) => {
                tracing::info!(
                    outcome,
                    milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                    "build ended"
                );
                // One that goes on is left as it is.
                if let Err(error) = self.store().archive_log(claimed.build.task_id).await {
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
        site: Site,
        shutdown: CancellationToken,
    ) -> Result<FinishedImage, Stop> {
        let cancelled = CancellationToken::new();
        let limits = claimed
            .build
            .limits
            .unwrap_or_else(|| self.options().limits.bounds().default);
        let run = Run {
            builder: &self,
            claimed: &claimed,
            site: &site,
            cancelled: &cancelled,
            shutdown: &shutdown,
            limits,
            deadline: Instant::now() + Duration::from_secs(limits.total),
            log_budget: LogBudget::new(self.options().limits.log_bytes),
        };
        tokio::select! {
            ended = Box::pin(run.steps()) => ended,
            error = self.stay_alive(&claimed, &cancelled) => Err(Stop::Fenced(error)),
        }
    }

    /// Renews the lease until that is refused, and passes on a wish to cancel: at once when it
    /// was made in this process, with the next sign of life when elsewhere.
    async fn stay_alive(
        &self,
        claimed: &ClaimedBuild,
        cancelled: &CancellationToken,
    ) -> FencedError {
        let mut cancels = self.store().subscribe_cancels();
        loop {
            cancels.mark_unchanged();
            match self
                .store()
                .heartbeat(claimed.attempt, LEASE, self.clock().now())
                .await
            {
                Ok(beat) if beat.cancel_requested => cancelled.cancel(),
                Ok(_) => {}
                Err(error) if error.is_lost() => return error,
                Err(error) => tracing::error!(%error, "the build's lease could not be renewed"),
            }
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                _ = cancels.changed() => {}
            }
        }
    }
}

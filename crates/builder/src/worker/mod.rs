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
use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    state::BuildState,
};
use fastbuild_store::{
    Build, CancelOutcome, ClaimedBuild, DEFAULT_ENGINE, FencedError, FinishedImage,
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::{
    builder::{Builder, internal, stored},
    engines::context::Site,
    worker::attempt::{Run, Stop},
    worker::finish::delivery_for,
    worker::step_log::LogBudget,
};

/// Signs of life that an attempt gives within the time of a lease.
const HEARTBEATS: u32 = 4;
/// How often the queue is looked at without a wake-up; only a fallback.
const LOOK: Duration = Duration::from_secs(5);
/// How long is waited after a fault of the database before it is asked again.
pub(crate) const AFTER_FAULT: Duration = Duration::from_secs(1);

impl Builder {
    /// Runs builds, deliveries, the upkeep and the cleaning until `shutdown`. No build is begun
    /// after that; those that run may go on for the grace time, or until [`Builder::hurry`], and
    /// are then given back to the queue.
    pub async fn run(self, shutdown: CancellationToken) {
        // At its start a process that is alone on its database knows that whatever runs is lost.
        // Where others may share it, what is lost shows by its lease.
        let alone = !self.store().is_shared();
        self.take_back_orphans(alone).await;
        if alone {
            self.release_deliveries().await;
        }
        self.forget_findings(alone).await;
        self.show_life().await;
        self.register_configured_base_images().await;
        // No build is to find out that an engine is not there.
        self.ask_engines().await;
        let tracker = TaskTracker::new();
        let give_back = CancellationToken::new();
        let grace = tokio::spawn(self.clone().grace(shutdown.clone(), give_back.clone()));
        let cancels = tokio::spawn(self.clone().hear_lost_cancels());
        tracker.spawn(self.clone().dispatch(shutdown.clone(), give_back.clone()));
        tracker.spawn(self.clone().watch(shutdown.clone()));
        tracker.spawn(self.clone().reconcile(shutdown.clone()));
        tracker.spawn(self.clone().deliver(shutdown.clone()));
        tracker.spawn(self.clone().sweep(shutdown.clone()));
        tracker.spawn(self.clone().keep_clean(shutdown.clone()));
        tracker.spawn(self.clone().watch_disks(shutdown.clone()));
        tracker.close();
        tracker.wait().await;
        grace.abort();
        cancels.abort();
        self.end_life().await;
    }

    /// Ends the time that running builds have once the service was told to end.
    async fn grace(self, shutdown: CancellationToken, give_back: CancellationToken) {
        shutdown.cancelled().await;
        tokio::select! {
            () = tokio::time::sleep(self.options().limits.grace) => {}
            () = self.hurry().cancelled() => {}
        }
        give_back.cancel();
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
            CancelOutcome::Ended(build) => {
                self.metrics().build_ended(&build);
                Ok(true)
            }
            CancelOutcome::Requested => Ok(false),
            CancelOutcome::NotFound => Err(Failure::build_not_found(task_id)),
            CancelOutcome::AlreadyEnded(state) => Err(Failure::new(
                ReasonCode::WrongState,
                format!("任务id<{task_id}>任务已经结束（{state}），无法取消。"),
                format!("The build {task_id} has ended already ({state})."),
            )),
        }
    }

    /// Takes builds as long as any engine has a place for one, and lets each run by itself. A build
    /// that is queued or ends, an engine that is added, changed or returns wakes it.
    async fn dispatch(self, shutdown: CancellationToken, give_back: CancellationToken) {
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
                        build = claimed.build.task_id,
                        attempt = claimed.attempt.number,
                        engine = claimed.build.engine
                    );
                    let attempt = self.clone().attempt(claimed, give_back.clone());
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
                    tokio::time::sleep(AFTER_FAULT).await;
                }
            }
        }
        attempts.close();
        attempts.wait().await;
    }

    /// Runs one attempt and settles how it ended.
    async fn attempt(self, claimed: ClaimedBuild, give_back: CancellationToken) {
        tracing::info!(base = %claimed.spec.base, target = %claimed.spec.target, "build started");
        crash::pass(CrashPoint::Claimed);
        self.metrics().taken(&claimed);
        let started = Instant::now();
        let engine = claimed.build.engine.as_deref().unwrap_or(DEFAULT_ENGINE);
        let site = self.site_on(engine).await;
        crash::pass(CrashPoint::SiteKnown);
        let ended = match &site {
            Ok(site) => {
                // A task of its own: a fault of ours in it must not keep the end from being written.
                let run =
                    self.clone()
                        .run_attempt(claimed.clone(), site.clone(), give_back.clone());
                match tokio::spawn(run.in_current_span()).await {
                    Ok(ended) => ended,
                    Err(error) => Err(Stop::Ended(BuildState::BuildAbort, internal(&error))),
                }
            }
            // Nor is it the build's fault that its engine was removed as it was claimed.
            Err(failure)
                if matches!(
                    failure.code,
                    ReasonCode::DatabaseUnavailable | ReasonCode::NotFound
                ) =>
            {
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
        let lost = matches!(&ended, Err(Stop::EngineLost(..)));
        if let Err(Stop::EngineLost(_, failure)) = &ended {
            // Before the build is back in the queue, so that it is not given to the same engine.
            self.engine_lost(engine, failure).await;
        }
        let settled = self.settle(&claimed, site.as_ref().ok(), ended).await;
        // The image of an attempt before this one has lost its name by now.
        if lost || claimed.attempt.number > 1 {
            self.nudge();
        }
        match settled {
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
        let label = self.labels().attempt(claimed.attempt);
        let away = self.watched().away(&site.name, self.clock().now());
        let run = Run {
            builder: &self,
            claimed: &claimed,
            site: &site,
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
            error = self.stay_alive(&claimed, &cancelled) => Err(Stop::Fenced(error)),
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
                    AFTER_FAULT
                }
                Err(_elapsed) => AFTER_FAULT,
            };
            if Instant::now() >= safe_until {
                // Another may have the build from now on. What this attempt does is of no use,
                // and it must not push.
                tracing::error!(
                    "the database could not be reached for the time of a lease; the attempt stops"
                );
                return FencedError::Lost {
                    task_id: claimed.attempt.task_id,
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

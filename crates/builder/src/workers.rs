//! The workers: they take queued builds at once, run them within a limit per engine, and settle
//! how each attempt ended. Beside them run the delivery of callbacks and the sweeper.

use std::time::Duration;

use fastbuild_spec::{
    callback::CallbackBody,
    failure::{Failure, ReasonCode},
    settings::CallbackHeaders,
    state::BuildState,
};
use fastbuild_store::{
    Build, CancelOutcome, ClaimedBuild, End, FencedError, FinishedImage, MAX_ATTEMPTS, NewDelivery,
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::{
    pipeline::{Run, Stop},
    service::{Builder, Site, internal, stored},
};

/// How long a claim holds without a sign of life from its worker.
const LEASE: Duration = Duration::from_mins(1);
/// How often a worker gives that sign.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often a worker looks at the queue without having been woken; only a fallback.
const LOOK: Duration = Duration::from_secs(5);
/// How often leftovers are looked for.
const SWEEP: Duration = Duration::from_mins(10);
/// How long a worker waits after a fault of the database before it asks again.
const AFTER_FAULT: Duration = Duration::from_secs(1);

impl Builder {
    /// Runs builds, deliveries and the sweeper until `shutdown`; running builds are stopped then
    /// and given back to the queue.
    pub async fn run(self, shutdown: CancellationToken) {
        self.take_back_orphans().await;
        let tracker = TaskTracker::new();
        for _ in 0..self.options().limits.builds_per_engine {
            tracker.spawn(self.clone().work(shutdown.clone()));
        }
        tracker.spawn(self.clone().deliver(shutdown.clone()));
        tracker.spawn(self.clone().sweep(shutdown.clone()));
        tracker.close();
        tracker.wait().await;
    }

    /// Stops a build: a queued one ends at once, a running one as soon as its engine lets go.
    ///
    /// # Errors
    /// `Internal` when the database does not answer.
    pub async fn cancel(&self, task_id: i64) -> Result<CancelOutcome, Failure> {
        let headers = self.callback_headers().await?;
        let outcome = self
            .store()
            .request_cancel(
                task_id,
                &|build: &Build| delivery_for(build, &headers, self.clock().now()),
                self.clock().now(),
            )
            .await
            .map_err(|error| stored(&error))?;
        if outcome == CancelOutcome::Requested
            && let Some(token) = self.running().get(&task_id)
        {
            token.cancel();
        }
        Ok(outcome)
    }

    /// Builds whose process died go back to the queue, or end when that happened too often.
    async fn take_back_orphans(&self) {
        let taken = async {
            let headers = self.callback_headers().await?;
            self.store()
                .requeue_orphans(
                    true,
                    &|build: &Build| delivery_for(build, &headers, self.clock().now()),
                    self.clock().now(),
                )
                .await
                .map_err(|error| stored(&error))
        };
        match taken.await {
            Ok(taken) => {
                for task_id in taken.requeued {
                    tracing::warn!(
                        build = task_id,
                        "the build lost its worker and waits for another"
                    );
                }
                for build in taken.ended {
                    tracing::error!(build = build.task_id, state = %build.state, "the build lost its worker too often and has ended");
                }
            }
            Err(failure) => tracing::error!(%failure, "lost builds could not be looked for"),
        }
    }

    async fn callback_headers(&self) -> Result<CallbackHeaders, Failure> {
        let settings = self
            .store()
            .settings()
            .await
            .map_err(|error| stored(&error))?;
        Ok(settings.callback_headers)
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
                    Box::pin(self.attempt(&claimed, &shutdown))
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
    async fn attempt(&self, claimed: &ClaimedBuild, shutdown: &CancellationToken) {
        tracing::info!(base = %claimed.spec.base, target = %claimed.spec.target, "build started");
        let started = Instant::now();
        let cancelled = CancellationToken::new();
        if claimed.build.cancel_requested {
            cancelled.cancel();
        }
        let _registration = self.register(claimed.build.task_id, cancelled.clone());
        let ended = tokio::select! {
            ended = self.run_steps(claimed, &cancelled, shutdown) => ended,
            error = self.stay_alive(claimed, &cancelled) => Err(Stop::Fenced(error)),
        };
        let outcome = match &ended {
            Ok(_) => "pushed".to_owned(),
            Err(Stop::Ended(_, failure) | Stop::EngineLost(_, failure)) => failure.to_string(),
            Err(Stop::ShuttingDown) => "given back to the queue".to_owned(),
            Err(Stop::Fenced(error)) => error.to_string(),
        };
        match self.settle(claimed, ended).await {
            Ok(()) => tracing::info!(
                outcome,
                milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                "build ended"
            ),
            Err(error) if error.is_lost() => {
                tracing::warn!(%error, "another attempt has the build");
            }
            Err(error) => tracing::error!(%error, "how the build ended could not be written"),
        }
    }

    async fn run_steps(
        &self,
        claimed: &ClaimedBuild,
        cancelled: &CancellationToken,
        shutdown: &CancellationToken,
    ) -> Result<FinishedImage, Stop> {
        let folder = self
            .options()
            .folders
            .task_dir
            .join(&claimed.build.work_dir_name);
        if let Err(error) = tokio::fs::create_dir_all(&folder).await {
            tracing::warn!(folder = %folder.display(), %error, "the build's folder cannot be made");
        }
        let site: Site = match self.site().await {
            Ok(site) => site,
            Err(failure) => return Err(Stop::Ended(BuildState::PullFailed, failure)),
        };
        let run = Run {
            builder: self,
            claimed,
            site: &site,
            cancelled,
            shutdown,
            deadline: Instant::now() + self.options().limits.build_time,
        };
        run.steps().await
    }

    /// Renews the lease until that is refused.
    async fn stay_alive(
        &self,
        claimed: &ClaimedBuild,
        cancelled: &CancellationToken,
    ) -> FencedError {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
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
        }
    }

    /// Writes how an attempt ended: the end state, its image and its callback in one transaction.
    async fn settle(
        &self,
        claimed: &ClaimedBuild,
        ended: Result<FinishedImage, Stop>,
    ) -> Result<(), FencedError> {
        let now = self.clock().now();
        let (state, failure, image) = match ended {
            Ok(image) => (BuildState::PushSuccess, None, Some(image)),
            Err(Stop::Ended(state, failure)) => (state, Some(failure), None),
            Err(Stop::EngineLost(step, failure)) => {
                if self.store().retry(claimed.attempt, now).await? {
                    tracing::warn!(%step, %failure, "the engine was lost; the build is tried again");
                    return Ok(());
                }
                (BuildState::BuildAbort, Some(lost_for_good(failure)), None)
            }
            Err(Stop::ShuttingDown) => return self.store().give_back(claimed.attempt, now).await,
            Err(Stop::Fenced(error)) => return Err(error),
        };
        let (settings, settings_revisions) = self.store().settings_in_force().await?;
        let mut build = claimed.build.clone();
        build.state = state;
        build.failure.clone_from(&failure);
        if let Some(image) = &image {
            build.digest.clone_from(&image.digest);
            build.image_size = Some(image.size);
        }
        let delivery = delivery_for(&build, &settings.callback_headers, now);
        let end = End {
            state,
            failure,
            image,
            settings_revisions,
        };
        self.store()
            .finish(claimed.attempt, end, delivery, now)
            .await?;
        Ok(())
    }

    /// Removes from the engine what earlier processes of this service left there.
    async fn sweep(self, shutdown: CancellationToken) {
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

/// The callback of a build in its end state; `None` where nobody is to be told.
pub(crate) fn delivery_for(
    build: &Build,
    headers: &CallbackHeaders,
    now: jiff::Timestamp,
) -> Option<NewDelivery> {
    if build.callback_url.is_empty() {
        return None;
    }
    let mut body = CallbackBody::new(&build.target_image, build.task_id, build.state);
    body.task_name = (!build.task_name.is_empty()).then(|| build.task_name.clone());
    body.digest.clone_from(&build.digest);
    body.size = build.image_size;
    body.finished_at = Some(now);
    if let Some(failure) = &build.failure {
        body = body.failed_because(failure);
    }
    match serde_json::to_string(&body) {
        Ok(body) => Some(NewDelivery {
            url: build.callback_url.clone(),
            headers: headers.clone().into(),
            body,
        }),
        Err(error) => {
            internal(&error);
            None
        }
    }
}

fn lost_for_good(failure: Failure) -> Failure {
    Failure {
        message: fastbuild_spec::failure::Sentence::new(
            format!(
                "Docker 服务器在 {MAX_ATTEMPTS} 次尝试中都中断了：{}",
                failure.message.zh
            ),
            format!(
                "The Docker server was lost in each of {MAX_ATTEMPTS} attempts: {}",
                failure.message.en
            ),
        ),
        code: ReasonCode::EngineLost,
        hint: ReasonCode::EngineLost.hint(),
        ..failure
    }
}

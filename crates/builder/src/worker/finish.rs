//! How an attempt ended, written down: the end state, its image and its callback in one
//! transaction, and nothing half done left on the engine.

use fastbuild_engine::crash::{self, CrashPoint};
use fastbuild_spec::{
    callback::CallbackBody,
    failure::{Failure, ReasonCode},
    settings::CallbackHeaders,
    state::BuildState,
};
use fastbuild_store::{
    Build, ClaimedBuild, End, FencedError, FinishedImage, MAX_ATTEMPTS, NewDelivery, PutBack,
};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    builder::{Builder, internal, stored},
    clock::local_time,
    engines::context::Site,
    metrics::Lost,
    worker::AFTER_FAULT,
    worker::attempt::Stop,
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
        site: Option<&Site>,
        ended: Result<FinishedImage, Stop>,
    ) -> Result<(), FencedError> {
        let end = match ended {
            Ok(image) => Settled::End(BuildState::PushSuccess, None, Some(image)),
            Err(Stop::Ended(state, failure)) => Settled::End(state, Some(failure), None),
            Err(Stop::NotPushed(failure, image)) => {
                Settled::End(BuildState::PushFailed, Some(failure), Some(image))
            }
            Err(Stop::EngineLost(_, failure) | Stop::Interrupted(failure)) => {
                Settled::Retry(failure)
            }
            Err(Stop::ShuttingDown) => Settled::GiveBack,
            Err(Stop::Fenced(error)) => return Err(error),
        };
        if let (Settled::End(_, Some(failure), None), Some(site)) = (&end, site) {
            self.forget_image(site, &claimed.build).await;
            if was_stopped(failure) {
                // An engine that was about to finish the image may do so a moment later.
                self.look_later(site, &claimed.build).await;
            }
        }
        let until = Instant::now() + self.options().limits.lease;
        loop {
            match self.write_end(claimed, site, &end).await {
                Err(FencedError::Store(error)) if Instant::now() < until => {
                    tracing::error!(%error, "how the build ended cannot be written yet");
                    tokio::time::sleep(AFTER_FAULT).await;
                }
                written => return written,
            }
        }
    }

    async fn write_end(
        &self,
        claimed: &ClaimedBuild,
        site: Option<&Site>,
        end: &Settled,
    ) -> Result<(), FencedError> {
        let now = self.clock().now();
        let (state, failure, image) = match end.clone() {
            Settled::End(state, failure, image) => (state, failure, image),
            Settled::GiveBack => match self.store().give_back(claimed.attempt, now).await? {
                PutBack::CancelRequested => aborted(Failure::build_cancelled()),
                PutBack::Queued | PutBack::TooOften => {
                    self.metrics().put_back(Lost::ShutDown);
                    return Ok(());
                }
            },
            Settled::Retry(failure) => match self.store().retry(claimed.attempt, now).await? {
                PutBack::Queued => {
                    tracing::warn!(%failure, "the attempt came to nothing; the build is tried again");
                    self.metrics().put_back(Lost::To(failure.code));
                    return Ok(());
                }
                PutBack::TooOften => aborted(Failure::build_lost(MAX_ATTEMPTS, Some(failure))),
                PutBack::CancelRequested => aborted(Failure::build_cancelled()),
            },
        };
        // What an attempt that came to nothing left behind goes with the build's end.
        if !matches!(end, Settled::End(..))
            && let Some(site) = site
        {
            self.forget_image(site, &claimed.build).await;
        }
        let settings = self.store().settings().await?;
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
            settings_revisions: site.map(|site| site.revisions).unwrap_or_default(),
        };
        crash::pass(CrashPoint::BeforeEnd);
        let build = self
            .store()
            .finish(claimed.attempt, end, delivery, now)
            .await?;
        crash::pass(CrashPoint::AfterEnd);
        self.metrics().build_ended(&build);
        Ok(())
    }

    /// Takes an image that was not pushed off the engine, so that nothing half done stays: the
    /// one that carries this build's label, whichever attempt made it. Where the engine does not
    /// let go of it now, it is looked for later.
    async fn forget_image(&self, site: &Site, build: &Build) {
        let forget = async {
            if self.watched().is_down(&site.name) {
                return Err(self.watched().why_away(&site.name));
            }
            let Ok(target) = build.target_image.parse() else {
                return Ok(false);
            };
            let found = site.engine.find_image(&target).await;
            let Some(found) = found.map_err(|error| error.failure())? else {
                return Ok(false);
            };
            let ours = found
                .labels
                .get(fastbuild_engine::BUILD_LABEL)
                .is_some_and(|label| self.labels().attempt_of(label, build.task_id).is_some());
            if !ours {
                return Ok(false);
            }
            let removed = site.engine.remove_image(&target.to_string()).await;
            removed.map_err(|error| error.failure())
        };
        match forget.await {
            Ok(true) => tracing::info!(
                build = build.task_id,
                "the image that was not pushed is off the engine"
            ),
            Ok(false) => {}
            Err(failure) => {
                tracing::warn!(build = build.task_id, %failure, "an image that was not pushed may be on the engine; it is looked for later");
                self.look_later(site, build).await;
            }
        }
    }

    /// Has a build's image looked for on an engine, from now on and for a while.
    async fn look_later(&self, site: &Site, build: &Build) {
        let now = self.clock().now();
        let noted = self
            .store()
            .note_leftover(&site.name, build.task_id, &build.target_image, now)
            .await;
        match noted {
            Ok(()) => self.nudge(),
            Err(error) => {
                tracing::error!(build = build.task_id, %error, "that an image is to be looked for cannot be written");
            }
        }
    }

    /// The headers of callbacks that are in force.
    pub(crate) async fn callback_headers(&self) -> Result<CallbackHeaders, Failure> {
        let settings = self
            .store()
            .settings()
            .await
            .map_err(|error| stored(&error))?;
        Ok(settings.callback_headers)
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

/// The callback of a build in its end state; `None` where nobody is to be told.
pub(crate) fn delivery_for(
    build: &Build,
    headers: &CallbackHeaders,
    now: Timestamp,
) -> Option<NewDelivery> {
    if build.callback_url.is_empty() {
        return None;
    }
    let mut body = CallbackBody::new(&build.target_image, build.task_id, build.state);
    body.task_name = (!build.task_name.is_empty()).then(|| build.task_name.clone());
    body.digest.clone_from(&build.digest);
    body.size = build.image_size;
    body.finished_at = Some(local_time(now));
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

/// The end of a build that was stopped on the way.
fn aborted(failure: Failure) -> (BuildState, Option<Failure>, Option<FinishedImage>) {
    (BuildState::BuildAbort, Some(failure), None)
}

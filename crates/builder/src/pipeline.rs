//! One build from claim to end: pull, check, prepare, build, push.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use fastbuild_engine::{
    BuildFile, BuildRequest, Built, FileSource, ImageFound, ProgressSender, progress_channel,
};
use fastbuild_spec::{
    diagnose::diagnose,
    failure::{Failure, ReasonCode},
    plan::{self, BuildPlan, ContextSource},
    profile::ImageProfile,
    state::{BuildState, Step, StepStatus},
};
use fastbuild_store::{ClaimedBuild, FencedError, FinishedImage};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    catalog,
    events::{Activity, EventWriter, Mask},
    files::{DOCKERFILE, log_file},
    hash::secret_value,
    images::log,
    means::Means,
    service::{Builder, Site, internal},
};

/// Why a build stopped before its image was pushed.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It ended in a terminal state.
    Ended(BuildState, Failure),
    /// The engine went away under it; another attempt may succeed.
    EngineLost(Step, Failure),
    /// The service is told to end.
    ShuttingDown,
    /// Another attempt has the build, or the database does not answer: nothing may be written.
    Fenced(FencedError),
}

impl From<FencedError> for Stop {
    fn from(error: FencedError) -> Self {
        Self::Fenced(error)
    }
}

/// One attempt at a build.
pub(crate) struct Run<'a> {
    pub(crate) builder: &'a Builder,
    pub(crate) claimed: &'a ClaimedBuild,
    pub(crate) site: &'a Site,
    /// Somebody cancelled this build.
    pub(crate) cancelled: &'a CancellationToken,
    /// The service is told to end.
    pub(crate) shutdown: &'a CancellationToken,
    pub(crate) deadline: Instant,
}

impl Run<'_> {
    /// Takes the build through its steps.
    pub(crate) async fn steps(&self) -> Result<FinishedImage, Stop> {
        let folder = self.folder();
        if let Err(error) = tokio::fs::create_dir_all(&folder).await {
            tracing::warn!(folder = %folder.display(), %error, "the build's folder cannot be made");
        }
        let found = self
            .step(Step::Pull, async |progress| {
                self.wait_for_engine(progress).await?;
                // Under the lock no cleaning takes the image away between a look and its use.
                let lock = self.builder.image_lock(&self.claimed.spec.base.to_string());
                let _one_at_a_time = lock.lock().await;
                self.builder
                    .bring(self.site, &self.claimed.spec.base, progress)
                    .await
            })
            .await?;
        self.reach(BuildState::PullSuccess).await?;

        let profile = self
            .step(Step::Check, async |progress| {
                self.check(&found, progress).await
            })
            .await?;
        self.reach(BuildState::CheckSuccess).await?;

        let (plan, means) = self
            .step(Step::Prepare, async |progress| {
                self.prepare(&profile, progress).await
            })
            .await?;
        self.builder
            .store()
            .set_dockerfile(self.claimed.attempt, &plan.dockerfile)
            .await?;
        self.reach(BuildState::PrepareSuccess).await?;

        self.reach(BuildState::Building).await?;
        let built = self
            .step(Step::Build, async |progress| {
                Box::pin(self.build(&plan, means, progress)).await
            })
            .await?;
        self.reach(BuildState::BuildSuccess).await?;

        self.check_size(&built)?;
        self.reach(BuildState::CheckImageSizeSuccess).await?;

        let pushed = self
            .step(Step::Push, async |progress| self.push(progress).await)
            .await?;
        Ok(FinishedImage {
            id: built.image_id,
            size: built.size,
            digest: Some(pushed.digest),
        })
    }

    /// A build whose engine was lost waits for it to come back; a first attempt takes it as it is.
    async fn wait_for_engine(&self, progress: &ProgressSender) -> Result<(), Failure> {
        let patience = self.builder.options().limits.engine_return;
        let until = Instant::now() + patience;
        loop {
            match self.site.engine.ping().await {
                Ok(_) => return Ok(()),
                Err(error) => {
                    let failure = error.failure();
                    if self.claimed.attempt.number <= 1 || Instant::now() >= until {
                        return Err(failure);
                    }
                    log(
                        progress,
                        &format!("{} Waiting for it to return.\n", failure.message.en),
                    );
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn check(
        &self,
        found: &ImageFound,
        progress: &ProgressSender,
    ) -> Result<ImageProfile, Failure> {
        let spec = &self.claimed.spec;
        let lock = self.builder.image_lock(&spec.base.to_string());
        let _one_at_a_time = lock.lock().await;
        let (profile, was_known) = self
            .builder
            .profile_of(&self.site.engine, &spec.base, found)
            .await?;
        let how = if was_known { "known" } else { "probed" };
        log(
            progress,
            &format!(
                "{} ({how}): {} {} {}\n",
                spec.base, profile.os.name, profile.os.version, profile.architecture
            ),
        );
        plan::check(spec, Some(&profile), &self.builder.catalog().await?)?;
        Ok(profile)
    }

    async fn prepare(
        &self,
        profile: &ImageProfile,
        progress: &ProgressSender,
    ) -> Result<(BuildPlan, Means), Failure> {
        let info = self
            .site
            .engine
            .ping()
            .await
            .map_err(|error| error.failure())?;
        let means = Means::of(&info, &self.builder.options().making);
        log(
            progress,
            &format!("{}\n{}\n", info.summary(), means.summary()),
        );
        let plan = plan::plan(
            &self.claimed.spec,
            profile,
            &self.builder.catalog().await?,
            &means.plan_context(self.claimed.build.task_id),
        )?;
        let path = self.folder().join(DOCKERFILE);
        // A copy for operators; the build's row holds the same.
        if let Err(error) = tokio::fs::write(&path, &plan.dockerfile).await {
            tracing::warn!(path = %path.display(), %error, "the Dockerfile's copy cannot be written");
        }
        log(progress, &plan.dockerfile);
        for file in &plan.files {
            log(progress, &format!("context: {}\n", file.path));
        }
        Ok((plan, means))
    }

    async fn build(
        &self,
        plan: &BuildPlan,
        means: Means,
        progress: &ProgressSender,
    ) -> Result<Built, Failure> {
        let folders = &self.builder.options().folders;
        let files = plan
            .files
            .iter()
            .map(|file| BuildFile {
                path: file.path.clone(),
                mode: file.mode,
                source: match (&file.source, catalog::locate(folders, &file.source)) {
                    (ContextSource::Inline(text), _) => {
                        FileSource::Memory(Bytes::copy_from_slice(text.as_bytes()))
                    }
                    (_, Some(path)) => FileSource::Disk(path),
                    (_, None) => FileSource::Memory(Bytes::new()),
                },
            })
            .collect();
        let passwords = self.claimed.passwords.clone();
        let wanted = plan.secrets.clone();
        let secrets = tokio::task::spawn_blocking(move || {
            wanted
                .into_iter()
                .map(|secret| Ok((secret.id().to_owned(), secret_value(secret, &passwords)?)))
                .collect::<Result<Vec<_>, Failure>>()
        })
        .await
        .map_err(|error| internal(&error))??;
        let request = BuildRequest {
            dockerfile: plan.dockerfile.clone(),
            files,
            secrets,
            base: self.claimed.spec.base.clone(),
            tag: self.claimed.spec.target.clone(),
            registry: Some(self.site.registry.clone()),
            builder: means.builder,
            packing: means.packing,
            no_cache: false,
            build_id: self.builder.label(&self.claimed.build.task_id.to_string()),
        };
        self.site
            .engine
            .build(request, progress)
            .await
            .map_err(|error| error.failure())
    }

    fn check_size(&self, built: &Built) -> Result<(), Stop> {
        let limit = self.builder.options().limits.image_bytes;
        if built.size <= limit {
            return Ok(());
        }
        let failure = Failure::new(
            ReasonCode::ImageTooLarge,
            format!(
                "镜像 {} 的大小为 {} 字节，超过上限 {limit} 字节，未推送。",
                self.claimed.spec.target, built.size
            ),
            format!(
                "The image {} has {} bytes, more than the limit of {limit}; it was not pushed.",
                self.claimed.spec.target, built.size
            ),
        );
        Err(Stop::Ended(BuildState::CheckImageSizeFailed, failure))
    }

    /// Runs one step: its rows and events, its time limits, and what its failure means.
    async fn step<T>(
        &self,
        step: Step,
        work: impl AsyncFnOnce(&ProgressSender) -> Result<T, Failure>,
    ) -> Result<T, Stop> {
        let store = self.builder.store();
        let attempt = self.claimed.attempt;
        store.step_started(attempt, step, self.now()).await?;
        tracing::info!(%step, "step started");
        let started = Instant::now();
        let (sender, receiver) = progress_channel();
        let activity = Activity::new();
        let writer = EventWriter {
            store: store.clone(),
            clock: self.builder.clock().clone(),
            attempt,
            step,
            mask: self.mask(),
            activity: activity.clone(),
            log_file: self.folder().join(log_file(step)),
        };
        let writing = tokio::spawn(writer.run(receiver));
        let outcome = self.bounded(step, &activity, work(&sender)).await;
        if let Err(Stop::Ended(_, failure) | Stop::EngineLost(_, failure)) = &outcome {
            log(
                &sender,
                &format!("{} {}\n", failure.message.en, failure.hint.en),
            );
        }
        drop(sender);
        let last_lines = match writing.await {
            Ok(result) => result?,
            Err(error) => {
                tracing::error!(%error, "the writer of a step's events ended");
                Vec::new()
            }
        };
        let status = match &outcome {
            Ok(_) => StepStatus::Success,
            Err(_) => StepStatus::Fail,
        };
        tracing::info!(
            %step,
            %status,
            milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "step ended"
        );
        if let Err(Stop::ShuttingDown | Stop::Fenced(_)) = &outcome {
            return outcome;
        }
        store
            .step_finished(attempt, step, status, self.now())
            .await?;
        outcome.map_err(|stop| match stop {
            Stop::Ended(state, failure) => Stop::Ended(state, place(failure, step, last_lines)),
            Stop::EngineLost(step, failure) => {
                Stop::EngineLost(step, place(failure, step, last_lines))
            }
            other => other,
        })
    }

    /// The work, or whatever ends it first. Dropping the work stops it on the engine.
    async fn bounded<T>(
        &self,
        step: Step,
        activity: &Activity,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Stop> {
        let limits = &self.builder.options().limits;
        let ended = |failure| Err(Stop::Ended(BuildState::failed_at(step), failure));
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(Stop::ShuttingDown),
            () = self.cancelled.cancelled() => Err(Stop::Ended(BuildState::BuildAbort, cancelled())),
            outcome = work => match outcome {
                Ok(value) => Ok(value),
                Err(failure) if failure.code == ReasonCode::EngineLost => {
                    Err(Stop::EngineLost(step, failure))
                }
                Err(failure) => ended(failure),
            },
            () = tokio::time::sleep_until(self.deadline) => ended(timed_out(
                format!("构建超过了 {} 秒的总时间上限。", limits.build_time.as_secs()),
                format!("The build took longer than its limit of {} seconds.", limits.build_time.as_secs()),
            )),
            () = activity.silent_for(limits.silence) => ended(timed_out(
                format!("步骤 {step} 连续 {} 秒没有任何输出。", limits.silence.as_secs()),
                format!("Nothing was heard of the step {step} for {} seconds.", limits.silence.as_secs()),
            )),
        }
    }

    async fn reach(&self, state: BuildState) -> Result<(), Stop> {
        self.builder
            .store()
            .transition(self.claimed.attempt, state, self.now())
            .await?;
        Ok(())
    }

    fn mask(&self) -> Mask {
        let passwords = &self.claimed.passwords;
        Mask::new(
            passwords
                .ssh
                .iter()
                .chain(&passwords.jupyter_lab)
                .chain([&self.site.registry.password])
                .cloned(),
        )
    }

    fn folder(&self) -> PathBuf {
        self.builder
            .options()
            .folders
            .task_dir
            .join(&self.claimed.build.work_dir_name)
    }

    fn now(&self) -> jiff::Timestamp {
        self.builder.clock().now()
    }
}

/// Puts a failure into its step; a failed step of the Dockerfile is told by what its last lines
/// say rather than by its exit code.
fn place(failure: Failure, step: Step, mut last_lines: Vec<String>) -> Failure {
    let known = (failure.code == ReasonCode::StepFailed)
        .then(|| diagnose(&last_lines))
        .flatten();
    // The log's last line is this very failure, told once already.
    last_lines.pop();
    known.unwrap_or(failure).in_step(step, last_lines)
}

/// Somebody did not want the build any more.
fn cancelled() -> Failure {
    Failure::new(
        ReasonCode::Cancelled,
        "构建已被取消。",
        "The build was cancelled.",
    )
}

fn timed_out(zh: String, en: String) -> Failure {
    Failure::new(ReasonCode::TimedOut, zh, en)
}

//! One build from claim to end: pull, check, prepare, build, push.

use std::{path::PathBuf, time::Duration};

use fastbuild_engine::{
    BuildFile, Built, ImageBuild, ImageFound, ProgressSender, Pushed,
    crash::{self, CrashPoint},
};
use fastbuild_spec::{
    build_reason::BuildReason,
    failure::{Failure, ReasonCode},
    limits::BuildLimits,
    log_line::Mask,
    plan::{self, BuildPlan, ContextFile, PlanSecret},
    profile::ImageProfile,
    state::{BuildState, Step},
};
use fastbuild_store::{ClaimedBuild, FencedError, FinishedImage};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    builder::Builder,
    builds::files::DOCKERFILE,
    common::{internal, stored},
    engines::context::EngineContext,
    engines::labels::Label,
    images::log,
    metrics::Made,
    worker::password_hash::secret_value,
    worker::reuse::{Before, Fresh, Identity, Image},
    worker::step::{is_of_engine, timed_out},
    worker::step_log::LogBudget,
    worker::strategy::BuildStrategy,
};

/// Why a build stopped before its image was pushed.
#[derive(Debug)]
pub(crate) enum AttemptError {
    /// It ended in a terminal state.
    Failed(BuildState, Failure),
    /// The engine went away under it; another attempt may succeed.
    EngineLost(Step, Failure),
    /// The service is told to end.
    ShuttingDown,
    /// The image was built and could not be pushed; it stays on the engine for another try.
    NotPushed(Failure, FinishedImage),
    /// The database did not answer in the middle of it, or its engine was removed; another attempt
    /// may succeed.
    Interrupted(Failure),
    /// Another attempt has the build: nothing may be written.
    Fenced(FencedError),
}

impl From<FencedError> for AttemptError {
    fn from(error: FencedError) -> Self {
        match error {
            FencedError::Store(error) => Self::Interrupted(stored(&error)),
            refused => Self::Fenced(refused),
        }
    }
}

/// One attempt at a build.
pub(crate) struct Attempt<'a> {
    pub(crate) builder: &'a Builder,
    pub(crate) claimed: &'a ClaimedBuild,
    pub(crate) context: &'a EngineContext,
    /// Somebody cancelled this build.
    pub(crate) cancelled: &'a CancellationToken,
    /// What it makes on the engine carries this.
    pub(crate) label: &'a Label,
    /// The engine does not answer any more.
    pub(crate) away: &'a CancellationToken,
    /// The service is told to end.
    pub(crate) shutdown: &'a CancellationToken,
    pub(crate) limits: BuildLimits,
    pub(crate) deadline: Instant,
    /// What this attempt may write into its log.
    pub(crate) log_budget: LogBudget,
}

impl Attempt<'_> {
    /// Takes the build through its steps.
    pub(crate) async fn steps(&self) -> Result<FinishedImage, AttemptError> {
        let folder = self.folder();
        if let Err(error) = tokio::fs::create_dir_all(&folder).await {
            tracing::warn!(folder = %folder.display(), %error, "the build's folder cannot be made");
        }
        let image = match self.image_to_push().await? {
            Some(built) => {
                self.builder.metrics().image_made(Made::Kept);
                Image::Built(Fresh::kept(built))
            }
            None => self.image().await?,
        };
        crash::pass(CrashPoint::Built);
        self.reach(BuildState::BuildSuccess).await?;

        self.check_size(image.size())?;
        self.reach(BuildState::CheckImageSizeSuccess).await?;

        // While the turn is held, equal builds wait for this one.
        let fresh = match image {
            Image::Built(fresh) => fresh,
            Image::Named(named) => {
                let noted = async |progress: &ProgressSender| {
                    log(
                        progress,
                        "It lies in the registry already; nothing is pushed.\n",
                    );
                    Ok(named)
                };
                return self.step(Step::Push, noted).await;
            }
        };
        match self
            .step(Step::Push, async |progress| {
                self.push_in_time(progress).await
            })
            .await
        {
            Ok(pushed) => {
                crash::pass(CrashPoint::Pushed);
                let image = fresh.finished(Some(pushed.digest));
                self.remember_built(fresh.identity.as_ref(), &image).await;
                Ok(image)
            }
            Err(AttemptError::Failed(BuildState::PushFailed, failure)) => {
                Err(AttemptError::NotPushed(failure, fresh.finished(None)))
            }
            Err(stop) => Err(stop),
        }
    }

    /// The image that an earlier attempt made, when this one is to push it and nothing else. Where
    /// it has gone since, the build begins from its start.
    async fn image_to_push(&self) -> Result<Option<Built>, AttemptError> {
        if self.claimed.build.retried_from.is_none() {
            return Ok(None);
        }
        let made = self
            .builder
            .builds()
            .image_of_build(self.context, &self.claimed.build);
        match made.await {
            Ok(Some(built)) => return Ok(Some(built)),
            Err(failure) if is_of_engine(failure.code) => {
                return Err(self.lost(Step::Push, failure));
            }
            Ok(None) | Err(_) => {}
        }
        self.builder
            .store()
            .fall_back_to_full_build(self.claimed.attempt, self.now())
            .await?;
        Ok(None)
    }

    /// Takes the build from its base image to its own.
    async fn image(&self) -> Result<Image, AttemptError> {
        let found = self
            .step(Step::Pull, async |progress| {
                // Under the lock no cleaning takes the image away between a look and its use.
                let base = self.claimed.spec.base.to_string();
                let lock = self.builder.images().lock(self.context, &base);
                let _one_at_a_time = lock.lock().await;
                self.builder
                    .images()
                    .bring(self.context, &self.claimed.spec.base, progress)
                    .await
            })
            .await?;
        crash::pass(CrashPoint::Pulled);
        self.reach(BuildState::PullSuccess).await?;

        let profile = self
            .step(Step::Check, async |progress| {
                self.check(&found, progress).await
            })
            .await?;
        self.reach(BuildState::CheckSuccess).await?;

        let (plan, means, identity) = self
            .step(Step::Prepare, async |progress| {
                self.prepare(&profile, progress).await
            })
            .await?;
        self.builder
            .store()
            .set_dockerfile(self.claimed.attempt, &plan.dockerfile)
            .await?;
        crash::pass(CrashPoint::Planned);
        self.reach(BuildState::PrepareSuccess).await?;

        self.reach(BuildState::Building).await?;
        self.step(Step::Build, async |progress| {
            match self.before_building(identity, progress).await? {
                Before::Named(image) => {
                    self.builder.metrics().image_made(Made::Reused);
                    Ok(Image::Named(image))
                }
                Before::Build(order) => {
                    let built = Box::pin(self.build(&plan, means, progress)).await?;
                    self.builder.metrics().image_made(Made::Built);
                    Ok(Image::Built(order.made(built)))
                }
            }
        })
        .await
    }

    /// The push within its own time limit.
    async fn push_in_time(&self, progress: &ProgressSender) -> Result<Pushed, Failure> {
        let seconds = self.limits.push;
        let limit = Duration::from_secs(seconds);
        let Ok(pushed) = tokio::time::timeout(limit, self.push(progress)).await else {
            let target = &self.claimed.spec.target;
            return Err(timed_out(
                format!("推送镜像 {target} 超过了 {seconds} 秒的时间上限。"),
                format!("The push of {target} took longer than its limit of {seconds} seconds."),
            ));
        };
        pushed
    }

    async fn check(
        &self,
        found: &ImageFound,
        progress: &ProgressSender,
    ) -> Result<ImageProfile, Failure> {
        let spec = &self.claimed.spec;
        let lock = self
            .builder
            .images()
            .lock(self.context, &spec.base.to_string());
        let _one_at_a_time = lock.lock().await;
        let (profile, was_known) = self
            .builder
            .images()
            .profile(&self.context.engine, &spec.base, found, self.label)
            .await?;
        let how = if was_known { "known" } else { "probed" };
        log(
            progress,
            &format!(
                "{} ({how}): {} {} {}\n",
                spec.base, profile.os.name, profile.os.version, profile.architecture
            ),
        );
        plan::check(spec, Some(&profile), &self.builder.catalog().list().await?)?;
        Ok(profile)
    }

    async fn prepare(
        &self,
        profile: &ImageProfile,
        progress: &ProgressSender,
    ) -> Result<(BuildPlan, BuildStrategy, Result<Identity, BuildReason>), Failure> {
        let info = self
            .context
            .engine
            .ping()
            .await
            .map_err(|error| error.failure())?;
        let means = BuildStrategy::of(&info, &self.builder.options().builds);
        log(
            progress,
            &format!("{}\n{}\n", info.summary(), means.summary()),
        );
        let plan = plan::plan(
            &self.claimed.spec,
            profile,
            &self.builder.catalog().list().await?,
            &means.plan_context(self.claimed.build.id),
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
        let identity = self.identity(profile, &info, means).await?;
        Ok((plan, means, identity))
    }

    async fn build(
        &self,
        plan: &BuildPlan,
        means: BuildStrategy,
        progress: &ProgressSender,
    ) -> Result<Built, Failure> {
        let catalog = self.builder.catalog().clone();
        let planned = plan.files.clone();
        let passwords = self.claimed.passwords.clone();
        let wanted = plan.secrets.clone();
        let (files, secrets) = tokio::task::spawn_blocking(move || {
            let file = |file: ContextFile| {
                Ok(BuildFile {
                    source: catalog.context_file(&file.source)?,
                    path: file.path,
                    mode: file.mode,
                })
            };
            let secret = |secret: PlanSecret| {
                Ok((secret.id().to_owned(), secret_value(secret, &passwords)?))
            };
            Ok::<_, Failure>((
                planned
                    .into_iter()
                    .map(file)
                    .collect::<Result<_, Failure>>()?,
                wanted
                    .into_iter()
                    .map(secret)
                    .collect::<Result<_, Failure>>()?,
            ))
        })
        .await
        .map_err(|error| internal(&error))??;
        let request = ImageBuild {
            dockerfile: plan.dockerfile.clone(),
            files,
            secrets,
            base: self.claimed.spec.base.clone(),
            tag: self.claimed.spec.target.clone(),
            registry: Some(self.context.registry.clone()),
            dialect: means.dialect,
            packing: means.packing,
            no_cache: self.claimed.spec.no_cache,
            build_id: self.label.text().to_owned(),
        };
        self.context
            .engine
            .build(request, progress)
            .await
            .map_err(|error| error.failure())
    }

    fn check_size(&self, size: u64) -> Result<(), AttemptError> {
        let limit = self.builder.options().limits.image_bytes;
        if size <= limit {
            return Ok(());
        }
        let failure = Failure::new(
            ReasonCode::ImageTooLarge,
            format!(
                "镜像 {} 的大小为 {} 字节，超过上限 {limit} 字节，未推送。",
                self.claimed.spec.target, size
            ),
            format!(
                "The image {} has {} bytes, more than the limit of {limit}; it was not pushed.",
                self.claimed.spec.target, size
            ),
        );
        Err(AttemptError::Failed(
            BuildState::CheckImageSizeFailed,
            failure,
        ))
    }

    async fn reach(&self, state: BuildState) -> Result<(), AttemptError> {
        self.builder
            .store()
            .transition(self.claimed.attempt, state, self.now())
            .await?;
        Ok(())
    }

    pub(crate) fn mask(&self) -> Mask {
        let passwords = &self.claimed.passwords;
        Mask::new(
            passwords
                .ssh
                .iter()
                .chain(&passwords.jupyter_lab)
                .chain([&self.context.registry.password])
                .cloned(),
        )
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.builder
            .options()
            .folders
            .task_dir
            .join(&self.claimed.build.work_dir_name)
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.builder.clock().now()
    }
}

//! One attempt at a build: pull, check, prepare, build, push. Runs in the worker that claimed the
//! build; every write goes through the fence of its lease.

use std::path::PathBuf;

use fastbuild_engine::{
    BuildFile, Built, EngineInfo, ImageBuild, ImageFound, ProgressSender,
    crash::{self, CrashPoint},
};
use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    limits::BuildLimits,
    log_line::Mask,
    plan::{self, BuildPlan, ContextFile, PlanSecret},
    profile::ImageProfile,
    state::{BuildState, Step},
};
use fastbuild_store::{AttemptOutcome, ClaimedBuild, FinishedImage};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    builds::files::DOCKERFILE,
    common::internal,
    engines::{context::EngineContext, labels::Label},
    images::log,
    metrics::Made,
    worker::{
        Worker,
        password_hash::secret_value,
        reuse::{BuiltImage, PlanGuard, ReuseDecision},
        step::is_engine_unreachable,
        step_log::LogBudget,
        strategy::BuildStrategy,
    },
};

/// One attempt at a build.
pub(crate) struct Attempt<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) claimed: &'a ClaimedBuild,
    pub(crate) context: &'a EngineContext,
    /// Marks what the attempt makes on the engine.
    pub(crate) label: &'a Label,
    /// A user cancelled the build.
    pub(crate) cancelled: &'a CancellationToken,
    /// The engine does not answer any more.
    pub(crate) away: &'a CancellationToken,
    /// The service stops.
    pub(crate) shutdown: &'a CancellationToken,
    pub(crate) limits: BuildLimits,
    pub(crate) deadline: Instant,
    /// Bytes that this attempt may still write to its log.
    pub(crate) log_budget: LogBudget,
}

/// What the prepare step found out.
struct Prepared {
    plan: BuildPlan,
    info: EngineInfo,
    strategy: BuildStrategy,
}

impl Attempt<'_> {
    /// Runs the five steps.
    pub(crate) async fn run(&self) -> AttemptOutcome {
        Box::pin(self.steps())
            .await
            .map_or_else(|outcome| outcome, AttemptOutcome::Pushed)
    }

    async fn steps(&self) -> Result<FinishedImage, AttemptOutcome> {
        self.create_folder().await;
        let built = if let Some(built) = self.image_of_earlier_attempt().await? {
            built
        } else {
            let base = self.pull().await?;
            let profile = self.check(&base).await?;
            let prepared = self.prepare(&profile).await?;
            self.build(&profile, prepared).await?
        };
        self.check_size(built.image.size).await?;
        self.push(built).await
    }

    /// The image that an earlier attempt built, when this one only has to push it. Where it is gone
    /// from the engine, all steps run again.
    async fn image_of_earlier_attempt(&self) -> Result<Option<BuiltImage>, AttemptOutcome> {
        if self.claimed.build.retried_from.is_none() {
            return Ok(None);
        }
        let found = self
            .context
            .built_image(self.worker.engines.labels(), &self.claimed.build);
        match found.await {
            Ok(Some(built)) => {
                self.worker.common.metrics.image_made(Made::Kept);
                let built = BuiltImage::on_engine(built, None, PlanGuard::default());
                return Ok(Some(built));
            }
            Err(failure) if is_engine_unreachable(failure.code) => {
                return Err(self.engine_lost(Step::Push, failure));
            }
            Ok(None) | Err(_) => {}
        }
        self.worker
            .common
            .store
            .fall_back_to_full_build(self.claimed.attempt, self.now())
            .await?;
        Ok(None)
    }

    /// Step 1: the base image is on the engine.
    async fn pull(&self) -> Result<ImageFound, AttemptOutcome> {
        let base = &self.claimed.spec.base;
        let found = self
            .step(Step::Pull, async |progress| {
                // Under the lock no cleanup removes the image between the check and its use.
                let lock = self.worker.images.lock(self.context, &base.to_string());
                let _guard = lock.lock().await;
                self.worker.images.bring(self.context, base, progress).await
            })
            .await?;
        crash::pass(CrashPoint::Pulled);
        self.enter(BuildState::PullSuccess).await?;
        Ok(found)
    }

    /// Step 2: the request fits the base image.
    async fn check(&self, base: &ImageFound) -> Result<ImageProfile, AttemptOutcome> {
        let profile = self
            .step(Step::Check, async |progress| {
                self.check_base(base, progress).await
            })
            .await?;
        self.enter(BuildState::CheckSuccess).await?;
        Ok(profile)
    }

    /// Step 3: the Dockerfile is written.
    async fn prepare(&self, profile: &ImageProfile) -> Result<Prepared, AttemptOutcome> {
        let prepared = self
            .step(Step::Prepare, async |progress| {
                self.write_plan(profile, progress).await
            })
            .await?;
        self.worker
            .common
            .store
            .set_dockerfile(self.claimed.attempt, &prepared.plan.dockerfile)
            .await?;
        crash::pass(CrashPoint::Planned);
        self.enter(BuildState::PrepareSuccess).await?;
        Ok(prepared)
    }

    /// Step 4: the image is built, or an equal build's image is reused.
    async fn build(
        &self,
        profile: &ImageProfile,
        prepared: Prepared,
    ) -> Result<BuiltImage, AttemptOutcome> {
        self.enter(BuildState::Building).await?;
        let Prepared {
            plan,
            info,
            strategy,
        } = prepared;
        let built = self
            .step(Step::Build, async |progress| {
                let decision = self
                    .decide_reuse(profile, &info, strategy, progress)
                    .await?;
                let (how, image) = match decision {
                    ReuseDecision::Reused(image) => (Made::Reused, BuiltImage::reused(image)),
                    ReuseDecision::Build { reason, guard } => {
                        let built =
                            Box::pin(self.build_on_engine(&plan, strategy, progress)).await?;
                        (
                            Made::Built,
                            BuiltImage::on_engine(built, Some(reason), guard),
                        )
                    }
                };
                self.worker.common.metrics.image_made(how);
                Ok(image)
            })
            .await?;
        Ok(built)
    }

    /// Step 5: the image is in the registry. Equal builds wait until it is.
    async fn push(&self, built: BuiltImage) -> Result<FinishedImage, AttemptOutcome> {
        let BuiltImage { mut image, guard } = built;
        if image.digest.is_some() {
            let skipped = async |progress: &ProgressSender| {
                log(
                    progress,
                    "The image is in the registry already; nothing is pushed.\n",
                );
                Ok(())
            };
            self.step(Step::Push, skipped).await?;
            return Ok(image);
        }
        let pushed = self
            .step(Step::Push, async |progress| {
                self.push_in_time(progress).await
            })
            .await;
        match pushed {
            Ok(pushed) => {
                crash::pass(CrashPoint::Pushed);
                image.digest = Some(pushed.digest);
                self.record_provenance(&guard, &image).await;
                Ok(image)
            }
            Err(AttemptOutcome::Failed(BuildState::PushFailed, failure)) => {
                Err(AttemptOutcome::PushFailed(failure, image))
            }
            Err(outcome) => Err(outcome),
        }
    }

    async fn check_base(
        &self,
        found: &ImageFound,
        progress: &ProgressSender,
    ) -> Result<ImageProfile, Failure> {
        let spec = &self.claimed.spec;
        let lock = self
            .worker
            .images
            .lock(self.context, &spec.base.to_string());
        let _guard = lock.lock().await;
        let (profile, was_known) = self
            .worker
            .images
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
        plan::check(spec, Some(&profile), &self.worker.catalog.list().await?)?;
        Ok(profile)
    }

    async fn write_plan(
        &self,
        profile: &ImageProfile,
        progress: &ProgressSender,
    ) -> Result<Prepared, Failure> {
        let info = self
            .context
            .engine
            .ping()
            .await
            .map_err(|error| error.failure())?;
        let strategy = BuildStrategy::of(&info, &self.worker.common.options.builds);
        log(
            progress,
            &format!("{}\n{}\n", info.summary(), strategy.summary()),
        );
        let plan = plan::plan(
            &self.claimed.spec,
            profile,
            &self.worker.catalog.list().await?,
            &strategy.plan_context(self.claimed.build.id),
        )?;
        let path = self.folder().join(DOCKERFILE);
        // A copy for operators; the build's row holds the same.
        if let Err(error) = tokio::fs::write(&path, &plan.dockerfile).await {
            tracing::warn!(path = %path.display(), %error, "failed to write the copy of the Dockerfile");
        }
        log(progress, &plan.dockerfile);
        for file in &plan.files {
            log(progress, &format!("context: {}\n", file.path));
        }
        Ok(Prepared {
            plan,
            info,
            strategy,
        })
    }

    async fn build_on_engine(
        &self,
        plan: &BuildPlan,
        strategy: BuildStrategy,
        progress: &ProgressSender,
    ) -> Result<Built, Failure> {
        let catalog = self.worker.catalog.clone();
        let planned = plan.files.clone();
        let passwords = self.claimed.passwords.clone();
        let wanted = plan.secrets.clone();
        let index_logins = self
            .worker
            .common
            .options
            .sources
            .netrc(&self.claimed.spec.pip.files.options.logins);
        let (files, secrets) = tokio::task::spawn_blocking(move || {
            let file = |file: ContextFile| {
                Ok(BuildFile {
                    source: catalog.context_file(&file.source)?,
                    path: file.path,
                    mode: file.mode,
                })
            };
            let secret = |secret: PlanSecret| {
                Ok((
                    secret.id().to_owned(),
                    secret_value(secret, &passwords, &index_logins)?,
                ))
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
            dialect: strategy.dialect,
            packing: strategy.packing,
            no_cache: self.claimed.spec.no_cache,
            build_id: self.label.text().to_owned(),
        };
        self.context
            .engine
            .build(request, progress)
            .await
            .map_err(|error| named_by_purpose(error.failure(), &plan.dockerfile))
    }

    /// Between build and push: the image is not too large.
    async fn check_size(&self, size: u64) -> Result<(), AttemptOutcome> {
        crash::pass(CrashPoint::Built);
        self.enter(BuildState::BuildSuccess).await?;
        let limit = self.worker.common.options.limits.image_bytes;
        if size <= limit {
            return self.enter(BuildState::CheckImageSizeSuccess).await;
        }
        let target = &self.claimed.spec.target;
        let failure = Failure::new(
            ReasonCode::ImageTooLarge,
            format!("镜像 {target} 的大小为 {size} 字节，超过上限 {limit} 字节，未推送。"),
            format!(
                "The image {target} has {size} bytes, more than the limit of {limit}; it was not pushed."
            ),
        );
        Err(AttemptOutcome::Failed(
            BuildState::CheckImageSizeFailed,
            failure,
        ))
    }

    async fn enter(&self, state: BuildState) -> Result<(), AttemptOutcome> {
        self.worker
            .common
            .store
            .transition(self.claimed.attempt, state, self.now())
            .await?;
        Ok(())
    }

    async fn create_folder(&self) {
        let folder = self.folder();
        if let Err(error) = tokio::fs::create_dir_all(&folder).await {
            tracing::warn!(folder = %folder.display(), %error, "failed to create the build's folder");
        }
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
        self.worker
            .common
            .options
            .folders
            .task_dir
            .join(&self.claimed.build.work_dir_name)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.worker.common.now()
    }
}

/// The failure of a step of the Dockerfile, which the engine names by its whole script, named by what the step is for.
fn named_by_purpose(mut failure: Failure, dockerfile: &str) -> Failure {
    let Some(step) = failure.culprit.clone() else {
        return failure;
    };
    if let Some(purpose) = plan::purpose(dockerfile, &step) {
        failure.message.zh = failure
            .message
            .zh
            .replace(&step, &format!("“{}”", purpose.zh));
        failure.message.en = failure
            .message
            .en
            .replace(&step, &format!("\"{}\"", purpose.en));
        failure.culprit = Some(purpose.en);
    }
    failure
}

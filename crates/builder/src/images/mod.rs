//! The verbs that need an engine right now, any one: pull an image, and find out what it contains.

pub(crate) mod delete;
pub(crate) mod registry_monitor;
pub(crate) mod registry_retry;

use std::{sync::Arc, time::Duration};

use fastbuild_engine::{
    Engine, EngineError, ImageFound, InsecureRegistries, ProgressSender, RegistryClient,
    RegistryProblem,
    crash::{self, CrashPoint},
};
use fastbuild_spec::{
    event::Progress,
    failure::{Failure, FieldError, ReasonCode},
    plan, probe,
    profile::ImageProfile,
    reference::ImageReference,
};
use fastbuild_store::{Image, ImageKind, ImageSeen, NewBaseImage};
use tokio::sync::OnceCell;

use crate::{
    common::{Common, internal},
    engines::{Engines, context::EngineContext, labels::Label},
    images::{registry_monitor::RegistryMonitor, registry_retry::RetrySchedule},
    keyed_locks::KeyedLocks,
};

/// What a registered base image is for, when nobody says; as the old protocol has it.
const DEFAULT_DESCRIPTION: &str = "预置镜像";

/// An image that is on the engine now.
#[derive(Debug)]
pub struct PulledImage {
    /// Its name, with a tag.
    pub image: ImageReference,
    /// The engine's id of it, `sha256:...`.
    pub image_id: String,
    /// Whether the engine had this very image before.
    pub was_present: bool,
}

/// An image and what it contains.
#[derive(Debug)]
pub struct CheckedImage {
    /// Its name, with a tag.
    pub image: ImageReference,
    /// What it contains.
    pub profile: ImageProfile,
    /// Whether the profile was known before.
    pub was_known: bool,
}

/// The images on the engines, and the base images on the list. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Images {
    common: Common,
    engines: Engines,
    /// One lock per image and engine.
    locks: Arc<KeyedLocks>,
    /// Made when first used: reading this machine's authorities takes time and memory.
    registry_client: Arc<OnceCell<RegistryClient>>,
    registry_monitor: RegistryMonitor,
}

impl Images {
    pub(crate) fn new(common: Common, engines: Engines) -> Self {
        Self {
            registry_monitor: RegistryMonitor::new(common.clone(), engines.clone()),
            common,
            engines,
            locks: Arc::default(),
            registry_client: Arc::default(),
        }
    }

    /// The lock under which an image is pulled and probed on an engine, and removed from it.
    pub(crate) fn lock(&self, context: &EngineContext, image: &str) -> Arc<tokio::sync::Mutex<()>> {
        let address = context.engine.address();
        self.locks.get(format!("{image} on {address}"))
    }

    /// Whether the registry is down.
    pub(crate) fn registry_monitor(&self) -> &RegistryMonitor {
        &self.registry_monitor
    }

    /// The client of the registry.
    ///
    /// # Errors
    /// A sentence that names the file of authorities that cannot be read.
    pub(crate) async fn registry_client(&self) -> Result<&RegistryClient, String> {
        self.registry_client
            .get_or_try_init(|| async {
                let authorities = match &self.common.options.builds.registry_ca_file {
                    Some(file) => Some(
                        tokio::fs::read(file)
                            .await
                            .map_err(|error| format!("{}: {error}", file.display()))?,
                    ),
                    None => None,
                };
                tokio::task::spawn_blocking(move || RegistryClient::new(authorities.as_deref()))
                    .await
                    .map_err(|error| error.to_string())?
            })
            .await
    }

    /// Brings an image to the engine.
    ///
    /// # Errors
    /// `SpecInvalid` for a name that is none, `NotConfigured`, or what the engine or the registry
    /// answered.
    pub async fn pull(&self, name: &str) -> Result<PulledImage, Failure> {
        let image = parse_image("image_name", name)?;
        let context = self.engines.available_context().await?;
        let lock = self.lock(&context, &image.to_string());
        let _one_at_a_time = lock.lock().await;
        let before = find(&context.engine, &image).await?;
        let found = self.bring_in_time(&context, &image).await?;
        Ok(PulledImage {
            was_present: before.is_some_and(|before| before.id == found.id),
            image_id: found.id,
            image,
        })
    }

    /// Brings an image to the engine and finds out what it contains; a known image is not
    /// probed again.
    ///
    /// # Errors
    /// As [`Builder::pull_image`], and `BaseImageUnsupported` for an image that cannot be probed.
    pub async fn check(&self, name: &str) -> Result<CheckedImage, Failure> {
        let image = parse_image("image_name", name)?;
        let context = self.engines.available_context().await?;
        let lock = self.lock(&context, &image.to_string());
        let _one_at_a_time = lock.lock().await;
        let found = self.bring_in_time(&context, &image).await?;
        let label = self.engines.labels().probe();
        let (profile, was_known) = self
            .profile(&context.engine, &image, &found, &label)
            .await?;
        Ok(CheckedImage {
            image,
            profile,
            was_known,
        })
    }

    /// Brings an image for a caller who waits, within the time a whole build may take.
    async fn bring_in_time(
        &self,
        context: &EngineContext,
        image: &ImageReference,
    ) -> Result<ImageFound, Failure> {
        let limit = self.common.options.limits.build_time;
        let progress = ProgressSender::discarding();
        match tokio::time::timeout(limit, self.bring(context, image, &progress)).await {
            Ok(brought) => brought,
            Err(_elapsed) => Err(Failure::new(
                ReasonCode::TimedOut,
                format!("拉取镜像 {image} 超过了 {} 秒的时间上限。", limit.as_secs()),
                format!(
                    "Pulling {image} took longer than the limit of {} seconds.",
                    limit.as_secs()
                ),
            )),
        }
    }

    /// Makes sure the engine has the image. An image of our registry is asked for there each
    /// time, so that a tag that moved is followed; any other is taken as the engine has it, since
    /// its registry may be out of reach.
    pub(crate) async fn bring(
        &self,
        context: &EngineContext,
        image: &ImageReference,
        progress: &ProgressSender,
    ) -> Result<ImageFound, Failure> {
        let ours = context.is_ours(image);
        let present = find(&context.engine, image).await?;
        if let Some(found) = &present
            && !ours
        {
            log(
                progress,
                &format!("{image} is on the engine already ({})\n", found.id),
            );
            self.note_use(context, image, found, false).await?;
            return Ok(found.clone());
        }
        let pulled = async {
            let credentials = ours.then_some(&context.registry);
            // With a copy on the engine nobody waits: that is used instead.
            let delays: &[Duration] = match &present {
                Some(_) => &[],
                None => &self.common.options.builds.registry_retry_delays,
            };
            let mut schedule = RetrySchedule::new(delays, "pull");
            loop {
                match context.engine.pull(image, credentials, progress).await {
                    Ok(found) => break Ok::<_, EngineError>(found),
                    Err(error) => {
                        let asked = self.retry_after(context, image, &error).await;
                        schedule.wait_after(error, asked, progress).await?;
                    }
                }
            }
        };
        let unchanged = async {
            match &present {
                Some(found) if self.is_in_registry(context, image, found).await => found.clone(),
                // Then the pull decides.
                _ => std::future::pending().await,
            }
        };
        // The registry answers faster than the engine finds that there is nothing to pull.
        let brought = tokio::select! {
            biased;
            found = unchanged => {
                log(progress, &format!("{image} on the engine is what the registry has ({})\n", found.id));
                Ok(found)
            }
            pulled = pulled => pulled,
        };
        match brought {
            Ok(found) => {
                self.note_use(context, image, &found, true).await?;
                Ok(found)
            }
            Err(error) => {
                let failure = error.failure();
                // An image loaded by hand, or a registry that is down for a moment, need not
                // stop a build whose base is at hand. A refused login does: the account may
                // have lost its right to the image.
                match (present, failure.code) {
                    (
                        Some(found),
                        ReasonCode::BaseImageNotFound
                        | ReasonCode::RegistryUnavailable
                        | ReasonCode::RateLimited
                        | ReasonCode::RegistryDiskFull
                        | ReasonCode::NotARegistry,
                    ) => {
                        log(
                            progress,
                            &format!(
                                "{} Using the copy on the engine ({}).\n",
                                failure.message.en, found.id
                            ),
                        );
                        self.note_use(context, image, &found, false).await?;
                        Ok(found)
                    }
                    _ => Err(failure),
                }
            }
        }
    }

    /// How long our registry asks to wait, where it limits the rate: engines do not pass that on.
    async fn retry_after(
        &self,
        context: &EngineContext,
        image: &ImageReference,
        error: &EngineError,
    ) -> Option<Duration> {
        let is_limited = matches!(
            error,
            EngineError::RegistryUnavailable {
                problem: RegistryProblem::RateLimited { .. },
                ..
            }
        );
        if !is_limited || !context.is_ours(image) {
            return None;
        }
        let client = self.registry_client().await.ok()?;
        client
            .retry_after(&context.registry, image, &InsecureRegistries::default())
            .await
    }

    /// Whether an image of our registry that the engine has is what its name stands for there now. `false` where the
    /// registry does not tell it to us, too.
    async fn is_in_registry(
        &self,
        context: &EngineContext,
        image: &ImageReference,
        found: &ImageFound,
    ) -> bool {
        let Ok(distribution) = self.registry_client().await else {
            return false;
        };
        match distribution.digest_of(&context.registry, image).await {
            Ok(digest) => {
                let there = format!("{}@{digest}", image.name());
                found.repo_digests.contains(&there)
            }
            Err(reason) => {
                tracing::debug!(%image, %reason, "the registry was not asked for the image");
                false
            }
        }
    }

    /// Remembers that an image on the engine is used, so that cleaning leaves it there.
    async fn note_use(
        &self,
        context: &EngineContext,
        image: &ImageReference,
        found: &ImageFound,
        pulled: bool,
    ) -> Result<(), Failure> {
        let seen = ImageSeen {
            engine: context.engine.address(),
            image,
            image_id: &found.id,
            size: found.size,
            pulled,
        };
        self.common
            .store
            .image_seen(seen, self.common.now())
            .await
            .map_err(Failure::from)
    }

    /// Registers an image as a base image that people choose from, or renews what is known of it.
    /// An image that the engine does not have is pulled, so that a name that is none of an image
    /// is refused. An empty description becomes the default one.
    ///
    /// # Errors
    /// As [`Builder::pull_image`].
    pub async fn register_base(&self, name: &str, description: &str) -> Result<Image, Failure> {
        let reference = parse_image("image_name", name)?;
        let context = self.engines.available_context().await?;
        let lock = self.lock(&context, &reference.to_string());
        let _one_at_a_time = lock.lock().await;
        let found = match find(&context.engine, &reference).await? {
            Some(found) => found,
            None => {
                self.bring(&context, &reference, &ProgressSender::discarding())
                    .await?
            }
        };
        let description = match description.trim() {
            "" => DEFAULT_DESCRIPTION,
            given => given,
        };
        let new = NewBaseImage {
            image_id: found.id,
            size: found.size,
            description: description.to_owned(),
            reference,
        };
        self.common
            .store
            .put_base_image(&new, self.common.now())
            .await?;
        tracing::info!(image = %new.reference, "base image registered");
        self.base_image(&new.reference).await?.ok_or_else(|| {
            internal(&format!(
                "the base image {} is gone as soon as it was registered",
                new.reference
            ))
        })
    }

    /// Registers the configured base images that are not registered yet. Their ids and sizes are
    /// learnt when they are first used.
    pub(crate) async fn register_configured(&self) {
        for reference in &self.common.options.base_images {
            let registered = async {
                if self.base_image(reference).await?.is_some() {
                    return Ok(());
                }
                let new = NewBaseImage {
                    reference: reference.clone(),
                    image_id: String::new(),
                    size: 0,
                    description: DEFAULT_DESCRIPTION.to_owned(),
                };
                self.common
                    .store
                    .put_base_image(&new, self.common.now())
                    .await
                    .map_err(Failure::from)
            };
            if let Err(failure) = registered.await {
                tracing::error!(image = %reference, %failure, "the configured base image could not be registered");
            }
        }
    }

    async fn base_image(&self, reference: &ImageReference) -> Result<Option<Image>, Failure> {
        let named = self
            .common
            .store
            .images_named(&reference.name(), reference.tag())
            .await?;
        Ok(named
            .into_iter()
            .find(|image| image.kind == ImageKind::Base))
    }

    /// What an image on the engine contains, and whether that was known before.
    pub(crate) async fn profile(
        &self,
        engine: &Engine,
        image: &ImageReference,
        found: &ImageFound,
        label: &Label,
    ) -> Result<(ImageProfile, bool), Failure> {
        let known = self.common.store.profile(&found.id).await?;
        let was_known = known.is_some();
        engine.require_platform(image, found).await?;
        plan::check_base_image(image, &found.config)?;
        let profile = if let Some(known) = known {
            // A profile that an earlier version stored knows less of the configuration.
            ImageProfile {
                config: found.config.clone(),
                ..known.profile
            }
        } else {
            let output = engine
                .run_probe(&found.id, probe::SCRIPT, label.text())
                .await
                .map_err(|error| error.failure())?;
            crash::pass(CrashPoint::Probed);
            probe::parse(
                &output,
                &found.id,
                found.size,
                &found.architecture,
                found.config.clone(),
            )
            .map_err(|error| error.failure(&image.to_string()))?
        };
        self.common
            .store
            .put_profile(&profile, &image.to_string(), self.common.now())
            .await?;
        self.common.metrics.profiled(was_known);
        Ok((profile, was_known))
    }
}

/// Parses an image name that came in a request; `path` is its place there.
///
/// # Errors
/// `SpecInvalid` for one that is none.
pub fn parse_image(path: &str, name: &str) -> Result<ImageReference, Failure> {
    ImageReference::parse_pullable(name.trim())
        .map_err(|error| Failure::invalid_fields(&[FieldError::new(path, name, error.allowed())]))
}

/// Says something in the step's log.
pub(crate) fn log(progress: &ProgressSender, text: &str) {
    progress.send(Progress::Log {
        text: text.to_owned(),
    });
}

async fn find(engine: &Engine, image: &ImageReference) -> Result<Option<ImageFound>, Failure> {
    engine
        .find_image(image)
        .await
        .map_err(|error| error.failure())
}

//! Decides whether an image must be built: an image that an equal build made, and that is still in
//! the registry, gets the new name there instead. Equal builds that run at the same time wait for
//! the first of them.

use fastbuild_engine::{Built, EngineInfo, InsecureRegistries, ProgressSender, RegistryError};
use fastbuild_spec::{
    build_reason::BuildReason,
    failure::Failure,
    plan::{self, KeyFacts},
    profile::ImageProfile,
};
use fastbuild_store::{FinishedImage, ImageProvenance};
use jiff::Timestamp;

use crate::{
    common::internal,
    images::log,
    worker::{attempt::Attempt, plan_lock::PlanLock, strategy::BuildStrategy},
};

/// Images of equal builds that are tried before the image is built.
const MAX_CANDIDATES: u64 = 3;

/// Whether an image is to be built.
pub(crate) enum ReuseDecision {
    /// No: the image of an equal build has the new name in the registry now.
    Reused(FinishedImage),
    /// Yes. Equal builds wait until the guard is dropped.
    Build {
        reason: BuildReason,
        guard: PlanGuard,
    },
}

/// What a build holds while equal builds wait for its image; nothing where no build can reuse it.
#[derive(Debug, Default)]
pub(crate) struct PlanGuard {
    key: Option<PlanKey>,
    _lock: PlanLock,
}

/// The plan by which equal builds find each other's images, and the engine it was made for.
#[derive(Debug, Clone)]
struct PlanKey {
    key: String,
    engine: String,
    insecure_registries: InsecureRegistries,
}

/// The image of a build before its push.
pub(crate) struct BuiltImage {
    /// With a digest where it is in the registry already.
    pub(crate) image: FinishedImage,
    pub(crate) guard: PlanGuard,
}

impl BuiltImage {
    /// An image on the engine. `reason` is `None` for one that an earlier attempt built.
    pub(crate) fn on_engine(built: Built, reason: Option<BuildReason>, guard: PlanGuard) -> Self {
        let image = FinishedImage {
            id: built.image_id,
            size: built.size,
            digest: None,
            on_engine: true,
            build_reason: reason,
        };
        Self { image, guard }
    }

    /// An image of an equal build, in the registry.
    pub(crate) fn reused(image: FinishedImage) -> Self {
        Self {
            image,
            guard: PlanGuard::default(),
        }
    }
}

/// Why there is no plan key.
enum NoPlanKey {
    /// No equal build can share the image.
    NotShared(BuildReason),
    Failed(Failure),
}

impl From<Failure> for NoPlanKey {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<BuildReason> for NoPlanKey {
    fn from(reason: BuildReason) -> Self {
        Self::NotShared(reason)
    }
}

impl Attempt<'_> {
    /// Waits until no equal build runs and reuses the image of one; else the image is to be built.
    pub(crate) async fn decide_reuse(
        &self,
        profile: &ImageProfile,
        info: &EngineInfo,
        strategy: BuildStrategy,
        progress: &ProgressSender,
    ) -> Result<ReuseDecision, Failure> {
        let build = |reason: BuildReason, guard| {
            log(
                progress,
                &format!("To be built: {}\n", reason.sentence().en),
            );
            Ok(ReuseDecision::Build { reason, guard })
        };
        let key = match self.plan_key(profile, info, strategy).await {
            Ok(key) => key,
            Err(NoPlanKey::NotShared(reason)) => return build(reason, PlanGuard::default()),
            Err(NoPlanKey::Failed(failure)) => return Err(failure),
        };
        let waiting = || log(progress, "An equal build runs; waiting for its image.\n");
        let lock = self
            .worker
            .lock_plan(&key.key, self.label.text(), waiting)
            .await?;
        let reuse = self.worker.common.options.builds.reuse;
        let since = self.now().checked_sub(reuse).unwrap_or(Timestamp::MIN);
        let candidates = self
            .worker
            .common
            .store
            .made_by_plan(&key.key, since, MAX_CANDIDATES)
            .await?;
        let mut reason = BuildReason::NoneEqual;
        for candidate in candidates {
            let maker = candidate.made_by.unwrap_or(candidate.build_id);
            match self.reuse(&key, &candidate, maker).await {
                Ok(image) => {
                    log(
                        progress,
                        &format!(
                            "Not built: the build {maker} made an equal image at {}, which has the name {} in the registry now.\n",
                            candidate.made_at, self.claimed.spec.target
                        ),
                    );
                    return Ok(ReuseDecision::Reused(image));
                }
                Err(rejected) => {
                    reason = rejected.reason;
                    log(
                        progress,
                        &format!(
                            "The image of the build {maker} is not used: {}.\n",
                            rejected.detail
                        ),
                    );
                }
            }
        }
        let guard = PlanGuard {
            key: Some(key),
            _lock: lock,
        };
        build(reason, guard)
    }

    async fn plan_key(
        &self,
        profile: &ImageProfile,
        info: &EngineInfo,
        strategy: BuildStrategy,
    ) -> Result<PlanKey, NoPlanKey> {
        let spec = &self.claimed.spec;
        if spec.no_cache {
            return Err(BuildReason::NoCache.into());
        }
        if self.worker.common.options.builds.reuse.is_zero() {
            return Err(BuildReason::ReuseOff.into());
        }
        if !self.context.is_ours(&spec.target) {
            return Err(BuildReason::OtherRegistry.into());
        }
        let catalog = self.worker.catalog.list().await?;
        let nameless = plan::nameless(spec, profile, &catalog, &strategy.plan_context(0))?
            .ok_or(BuildReason::HoldsPassword)?;
        let files = self.worker.catalog.clone();
        let base_id = profile.image_id.clone();
        let platform = format!("{}/{}", info.os, info.arch);
        let means = strategy.identity();
        let key = tokio::task::spawn_blocking(move || {
            let facts = KeyFacts {
                base_id: &base_id,
                platform: &platform,
                means: &means,
            };
            plan::key(&nameless, facts, |source| files.content_key(source))
        })
        .await
        .map_err(|error| internal(&error))?
        .ok_or(BuildReason::FileUnreadable)?;
        Ok(PlanKey {
            key,
            engine: info.summary(),
            insecure_registries: info.insecure_registries.clone(),
        })
    }

    /// Gives the image of an equal build the new name in the registry.
    async fn reuse(
        &self,
        key: &PlanKey,
        candidate: &ImageProvenance,
        maker: i64,
    ) -> Result<FinishedImage, Rejected> {
        let name = &candidate.image_name;
        let from = name
            .parse()
            .map_err(|_| Rejected::before_asking(format!("{name} is no image name")))?;
        let client = self.worker.images.registry_client().await;
        client
            .map_err(Rejected::before_asking)?
            .retag(
                &self.context.registry,
                &from,
                &candidate.digest,
                &self.claimed.spec.target,
                &key.insecure_registries,
            )
            .await?;
        let image = FinishedImage {
            id: candidate.image_id.clone(),
            size: candidate.image_size,
            digest: Some(candidate.digest.clone()),
            on_engine: false,
            build_reason: None,
        };
        self.write_provenance(key, &image, Some(maker), candidate.made_at)
            .await;
        Ok(image)
    }

    /// Records by which plan a pushed image was built, while equal builds still wait for it.
    pub(crate) async fn record_provenance(&self, guard: &PlanGuard, image: &FinishedImage) {
        if let Some(key) = &guard.key {
            self.write_provenance(key, image, None, self.now()).await;
        }
    }

    async fn write_provenance(
        &self,
        key: &PlanKey,
        image: &FinishedImage,
        made_by: Option<i64>,
        made_at: Timestamp,
    ) {
        let provenance = ImageProvenance {
            build_id: self.claimed.build.id,
            key: key.key.clone(),
            engine: key.engine.clone(),
            made_by,
            image_name: self.claimed.spec.target.to_string(),
            image_id: image.id.clone(),
            image_size: image.size,
            digest: image.digest.clone().unwrap_or_default(),
            made_at,
        };
        let written = self
            .worker
            .common
            .store
            .put_plan(&provenance, self.now())
            .await;
        // The image is there all the same; the next equal build is built.
        if let Err(error) = written {
            tracing::warn!(%error, "failed to record image provenance");
        }
    }
}

/// The image of an equal build could not be given the new name.
struct Rejected {
    reason: BuildReason,
    /// In the words of the registry.
    detail: String,
}

impl Rejected {
    fn before_asking(detail: String) -> Self {
        Self {
            reason: BuildReason::RegistryRefused,
            detail,
        }
    }
}

impl From<RegistryError> for Rejected {
    fn from(error: RegistryError) -> Self {
        let reason = match error {
            RegistryError::Gone(_) => BuildReason::EqualGone,
            RegistryError::NotMounted(_) | RegistryError::Refused { .. } => {
                BuildReason::RegistryRefused
            }
        };
        Self {
            reason,
            detail: error.to_string(),
        }
    }
}

//! No build where none is needed: an image that an equal build made, and that still lies in the registry, gets the
//! new name there. Equal builds at the same time wait for the first of them.

use fastbuild_engine::{Built, EngineInfo, InsecureRegistries, ProgressSender, RegistryError};
use fastbuild_spec::{
    build_reason::BuildReason,
    failure::Failure,
    plan::{self, KeyFacts},
    profile::ImageProfile,
};
use fastbuild_store::{FinishedImage, ImageProvenance};

use crate::{
    common::{internal, stored},
    images::log,
    worker::attempt::Attempt,
    worker::plan_lock::PlanLock,
    worker::strategy::BuildStrategy,
};

/// Images of one key that are asked for in the registry before the build is done anew.
const CANDIDATES: u64 = 3;

/// By which plan a build is made.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    key: String,
    engine: String,
    insecure_registries: InsecureRegistries,
}

/// What a build found when its turn came.
pub(crate) enum Before {
    /// Its image is to be built.
    Build(Order),
    /// An equal build's image has its name now.
    Named(FinishedImage),
}

/// That an image is to be built.
pub(crate) struct Order {
    because: BuildReason,
    identity: Option<Identity>,
    turn: PlanLock,
}

impl Order {
    /// The image that was built upon it.
    pub(crate) fn made(self, built: Built) -> Fresh {
        Fresh {
            built,
            because: Some(self.because),
            identity: self.identity,
            _turn: self.turn,
        }
    }
}

/// An image on the engine that is to be pushed. Until it is let go, equal builds wait for it.
pub(crate) struct Fresh {
    built: Built,
    /// `None` for one of an earlier attempt.
    because: Option<BuildReason>,
    /// `None` where no equal build can use it.
    pub(crate) identity: Option<Identity>,
    _turn: PlanLock,
}

impl Fresh {
    /// One that an earlier attempt built.
    pub(crate) fn kept(built: Built) -> Self {
        Self {
            built,
            because: None,
            identity: None,
            _turn: PlanLock::default(),
        }
    }

    /// What is to be written of it; the digest is there once it is pushed.
    pub(crate) fn finished(&self, digest: Option<String>) -> FinishedImage {
        FinishedImage {
            id: self.built.image_id.clone(),
            size: self.built.size,
            digest,
            on_engine: true,
            build_reason: self.because,
        }
    }
}

/// An image that has come so far.
pub(crate) enum Image {
    /// It was built.
    Built(Fresh),
    /// It lies in the registry under its name.
    Named(FinishedImage),
}

impl Image {
    /// Its bytes.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Built(fresh) => fresh.built.size,
            Self::Named(named) => named.size,
        }
    }
}

impl Attempt<'_> {
    /// The identity of the build's plan; or why its image is made anew in any case.
    pub(crate) async fn identity(
        &self,
        profile: &ImageProfile,
        info: &EngineInfo,
        means: BuildStrategy,
    ) -> Result<Result<Identity, BuildReason>, Failure> {
        let spec = &self.claimed.spec;
        if spec.no_cache {
            return Ok(Err(BuildReason::NoCache));
        }
        if self.builder.options().builds.reuse.is_zero() {
            return Ok(Err(BuildReason::ReuseOff));
        }
        let ours = self.context.registry.is_ours(spec.target.host());
        if !ours {
            return Ok(Err(BuildReason::OtherRegistry));
        }
        let catalog = self.builder.catalog().list().await?;
        let context = means.plan_context(0);
        let Some(nameless) = plan::nameless(spec, profile, &catalog, &context)? else {
            return Ok(Err(BuildReason::HoldsPassword));
        };
        let files = self.builder.catalog().clone();
        let base_id = profile.image_id.clone();
        let platform = format!("{}/{}", info.os, info.arch);
        let means = means.identity();
        let key = tokio::task::spawn_blocking(move || {
            let facts = KeyFacts {
                base_id: &base_id,
                platform: &platform,
                means: &means,
            };
            plan::key(&nameless, facts, |source| files.content_key(source))
        })
        .await
        .map_err(|error| internal(&error))?;
        Ok(key
            .map(|key| Identity {
                key,
                engine: info.summary(),
                insecure_registries: info.insecure_registries.clone(),
            })
            .ok_or(BuildReason::FileUnreadable))
    }

    /// Waits for the build's turn among its equals, and takes what an equal one made. Without an
    /// identity, for the reason given in its place, the image is built in any case.
    pub(crate) async fn before_building(
        &self,
        identity: Result<Identity, BuildReason>,
        progress: &ProgressSender,
    ) -> Result<Before, Failure> {
        let build = |because: BuildReason, identity, turn| {
            log(
                progress,
                &format!("To be built: {}\n", because.sentence().en),
            );
            Ok(Before::Build(Order {
                because,
                identity,
                turn,
            }))
        };
        let identity = match identity {
            Ok(identity) => identity,
            Err(because) => return build(because, None, PlanLock::default()),
        };
        let waiting = || {
            log(
                progress,
                "An equal build makes this image; waiting for it.\n",
            );
        };
        let turn = self
            .builder
            .turn(&identity.key, self.label.text(), waiting)
            .await?;
        let reuse = self.builder.options().builds.reuse;
        let now = self.builder.clock().now();
        let since = now.checked_sub(reuse).unwrap_or(jiff::Timestamp::MIN);
        let made = self
            .builder
            .store()
            .made_by_plan(&identity.key, since, CANDIDATES)
            .await
            .map_err(|error| stored(&error))?;
        let mut because = BuildReason::NoneEqual;
        for made in made {
            let maker = made.made_by.unwrap_or(made.build_id);
            match self.take(&identity, &made, maker).await {
                Ok(image) => {
                    log(
                        progress,
                        &format!(
                            "Not built: the build {maker} made an equal image at {}, which has the name {} in the registry now.\n",
                            made.made_at, self.claimed.spec.target
                        ),
                    );
                    return Ok(Before::Named(image));
                }
                Err(NotTaken { why, detail }) => {
                    because = why;
                    log(
                        progress,
                        &format!("The image of the build {maker} is not used: {detail}.\n"),
                    );
                }
            }
        }
        build(because, Some(identity), turn)
    }

    async fn take(
        &self,
        identity: &Identity,
        made: &ImageProvenance,
        maker: i64,
    ) -> Result<FinishedImage, NotTaken> {
        let from = made
            .image_name
            .parse()
            .map_err(|_| NotTaken::of_us(format!("{} is no image name", made.image_name)))?;
        let distribution = self.builder.images().registry_client().await;
        distribution
            .map_err(NotTaken::of_us)?
            .retag(
                &self.context.registry,
                &from,
                &made.digest,
                &self.claimed.spec.target,
                &identity.insecure_registries,
            )
            .await?;
        let image = FinishedImage {
            id: made.image_id.clone(),
            size: made.image_size,
            digest: Some(made.digest.clone()),
            on_engine: false,
            build_reason: None,
        };
        self.remember(identity, &image, Some(maker), made.made_at)
            .await;
        Ok(image)
    }

    /// Remembers what was built, before the next of its equals has its turn.
    pub(crate) async fn remember_built(&self, identity: Option<&Identity>, image: &FinishedImage) {
        if let Some(identity) = identity {
            let now = self.builder.clock().now();
            self.remember(identity, image, None, now).await;
        }
    }

    async fn remember(
        &self,
        identity: &Identity,
        image: &FinishedImage,
        made_by: Option<i64>,
        made_at: jiff::Timestamp,
    ) {
        let made = ImageProvenance {
            build_id: self.claimed.build.id,
            key: identity.key.clone(),
            engine: identity.engine.clone(),
            made_by,
            image_name: self.claimed.spec.target.to_string(),
            image_id: image.id.clone(),
            image_size: image.size,
            digest: image.digest.clone().unwrap_or_default(),
            made_at,
        };
        let now = self.builder.clock().now();
        // The image is there all the same; the next equal build is merely built.
        if let Err(error) = self.builder.store().put_plan(&made, now).await {
            tracing::warn!(%error, "by which plan the image was made cannot be written");
        }
    }
}

/// That the image of an equal build did not get its new name.
struct NotTaken {
    why: BuildReason,
    /// In the words of who was asked.
    detail: String,
}

impl NotTaken {
    /// The registry was not asked.
    fn of_us(detail: String) -> Self {
        Self {
            why: BuildReason::RegistryRefused,
            detail,
        }
    }
}

impl From<RegistryError> for NotTaken {
    fn from(error: RegistryError) -> Self {
        Self {
            why: match error {
                RegistryError::Gone(_) => BuildReason::EqualGone,
                RegistryError::NotMounted(_) | RegistryError::Refused { .. } => {
                    BuildReason::RegistryRefused
                }
            },
            detail: error.to_string(),
        }
    }
}

//! Taking a build request: parse it, refuse what can be refused now, store the rest as a queued
//! build.

use fastbuild_engine::crash::{self, CrashPoint};
use fastbuild_spec::{
    catalog::Catalog,
    failure::Failure,
    image_spec::ImageSpec,
    plan,
    profile::ImageProfile,
    request::{self, BuildRequest},
};
use fastbuild_store::{Build, EnqueueError, IdempotencyKey, NewBuild};
use serde_json::Value;

use crate::{builds::Builds, builds::files::REQUEST_FILE, clock::work_dir_name, common::internal};

/// A build that was taken.
#[derive(Debug)]
pub struct Submitted {
    /// Its row.
    pub build: Build,
    /// The request with its defaults filled in and its secrets masked.
    pub request: Value,
    /// What the base image contains, where that is known already.
    pub profile: Option<ImageProfile>,
}

impl Builds {
    /// Takes a build request in either wire shape.
    ///
    /// # Errors
    /// Everything that can be refused before queueing: `NotConfigured`, `SpecInvalid` with every
    /// bad field, `MirrorMismatch`, `ToolMissing`, `TargetTaken`.
    pub async fn submit(&self, body: &Value) -> Result<Submitted, Failure> {
        self.engines.default_context().await?;
        let request = request::parse_legacy(body, &self.common.options.request_policy())?;
        self.accept(request, None).await
    }

    /// Takes a parsed request: refuses what can be refused now and queues the rest.
    pub(crate) async fn accept(
        &self,
        request: BuildRequest,
        key: Option<IdempotencyKey>,
    ) -> Result<Submitted, Failure> {
        let catalog = self.catalog.list().await?;
        plan::check(&request.spec, None, &catalog)?;
        let profile = self.fitting_profile(&request.spec, &catalog).await?;

        let text =
            serde_json::to_string_pretty(&request.completed).map_err(|error| internal(&error))?;
        let build = self
            .common
            .store
            .enqueue(
                NewBuild {
                    name: request.name,
                    request: text.clone(),
                    spec: request.spec,
                    passwords: request.passwords,
                    callback_url: request.callback_url.unwrap_or_default(),
                    key,
                    owner: request.owner,
                    priority: request.priority,
                    limits: request.limits,
                },
                &work_dir_name,
                self.common.now(),
            )
            .await
            .map_err(|error| match error {
                EnqueueError::Store(error) => error.into(),
                taken @ EnqueueError::TargetTaken { .. } => taken.failure(),
            })?;
        crash::pass(CrashPoint::Queued);
        tracing::info!(build = build.id, target = %build.target_image, "build queued");
        let folder = self
            .common
            .options
            .folders
            .task_dir
            .join(&build.work_dir_name);
        // The folder is a convenience for operators; the build's row holds the same.
        if let Err(error) = write_request(&folder, &text).await {
            tracing::warn!(build = build.id, folder = %folder.display(), %error, "the build's folder cannot be written");
        }
        Ok(Submitted {
            build,
            request: request.completed,
            profile,
        })
    }

    /// The base image's profile, and a refusal when the request does not fit it. A request whose
    /// fit only the image itself can tell (it names a mirror of the system's packages) waits a
    /// bounded time for the image to be pulled and probed; what cannot be told by then shows in
    /// the build's check step.
    async fn fitting_profile(
        &self,
        spec: &ImageSpec,
        catalog: &Catalog,
    ) -> Result<Option<ImageProfile>, Failure> {
        let base = spec.base.to_string();
        let known = self
            .common
            .store
            .profile_by_name(&base)
            .await?
            .map(|known| known.profile);
        let fits = |profile: &ImageProfile| plan::check(spec, Some(profile), catalog);
        match known {
            Some(profile) if fits(&profile).is_ok() => Ok(Some(profile)),
            // Before a refusal the image is looked at anew: its tag may have moved since.
            Some(profile) => {
                let profile = self.profile_soon(&base).await.unwrap_or(profile);
                fits(&profile)?;
                Ok(Some(profile))
            }
            None if spec.system.mirror.is_some() => {
                let profile = self.profile_soon(&base).await;
                profile.as_ref().map_or(Ok(()), fits)?;
                Ok(profile)
            }
            None => Ok(None),
        }
    }

    /// The profile of an image, pulled and probed now if that does not take long.
    async fn profile_soon(&self, base: &str) -> Option<ImageProfile> {
        let check = self.images.check(base);
        match tokio::time::timeout(self.common.options.limits.preflight, check).await {
            Ok(Ok(checked)) => Some(checked.profile),
            Ok(Err(failure)) => {
                tracing::info!(%base, %failure, "the base image could not be checked before queueing");
                None
            }
            Err(_elapsed) => None,
        }
    }
}

async fn write_request(folder: &std::path::Path, text: &str) -> std::io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    tokio::fs::write(folder.join(REQUEST_FILE), text).await
}

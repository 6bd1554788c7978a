//! Builds an image on an engine, with BuildKit or with the classic builder.

mod buildkit;
mod classic;
pub(crate) mod request;

use fastbuild_spec::plan::Dialect;

pub use request::{BuildFile, Built, Compression, DiskFile, FileSource, ImageBuild};

use crate::{Engine, EngineError, ProgressSender};

impl Engine {
    /// Builds an image and names it; pulls its base first where the engine does not have it. Dropping the future stops the build on the engine.
    ///
    /// # Errors
    /// `StepFailed`, `OutOfMemory` or `NoSpaceLeft` when a step of the Dockerfile fails; the errors of
    /// [`Engine::pull`] for the base image; `Unsupported` when the builder cannot take the request;
    /// `Lost` when the connection breaks before the end.
    pub async fn build(
        &self,
        request: ImageBuild,
        progress: &ProgressSender,
    ) -> Result<Built, EngineError> {
        self.ensure_base(&request, progress).await?;
        match request.dialect {
            Dialect::BuildKit => buildkit::build(self, request, progress).await,
            Dialect::Classic => classic::build(self, request, progress).await,
        }
    }

    /// Pulls the base image if the engine does not have it. Both builders would pull it themselves, but each
    /// words its errors differently, and BuildKit uses plain HTTP for every registry on a loopback address.
    async fn ensure_base(
        &self,
        request: &ImageBuild,
        progress: &ProgressSender,
    ) -> Result<(), EngineError> {
        let base = &request.base;
        let nothing = base.registry().is_none() && base.repository() == "scratch";
        if nothing {
            return Ok(());
        }
        match self.find_image(base).await? {
            Some(found) => self.require_platform(base, &found).await,
            None => self
                .pull(base, request.registry.as_ref(), progress)
                .await
                .map(drop),
        }
    }
}

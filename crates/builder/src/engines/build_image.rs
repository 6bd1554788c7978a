//! The image of a build on its engine, and whose registry an image belongs to.

use fastbuild_engine::{BUILD_LABEL, Built, ImageFound};
use fastbuild_spec::{failure::Failure, reference::ImageReference};
use fastbuild_store::Build;

use crate::engines::{context::EngineContext, labels::Labels};

/// The image that a build made, as its engine has it.
#[derive(Debug)]
pub(crate) struct ImageOfBuild {
    pub(crate) image: ImageFound,
    /// The attempt that built it; 0 where its label does not say.
    pub(crate) attempt: i64,
}

impl EngineContext {
    /// Whether an image belongs to the configured registry.
    pub(crate) fn is_ours(&self, image: &ImageReference) -> bool {
        self.registry.is_ours(image.host())
    }

    /// The image under the build's target name, if that build made it: the name may be another
    /// build's by now.
    ///
    /// # Errors
    /// What the engine answered.
    pub(crate) async fn image_of_build(
        &self,
        labels: &Labels,
        build_id: i64,
        target: &str,
    ) -> Result<Option<ImageOfBuild>, Failure> {
        // A name that an old installation stored may be none.
        let Ok(target) = target.parse::<ImageReference>() else {
            return Ok(None);
        };
        let found = self.engine.find_image(&target).await;
        Ok(found.map_err(|error| error.failure())?.and_then(|image| {
            let label = image.labels.get(BUILD_LABEL)?;
            let attempt = labels.attempt_of(label, build_id)?;
            Some(ImageOfBuild { image, attempt })
        }))
    }

    /// The image that a build's row names, while it is on the engine.
    ///
    /// # Errors
    /// What the engine answered.
    pub(crate) async fn built_image(
        &self,
        labels: &Labels,
        build: &Build,
    ) -> Result<Option<Built>, Failure> {
        let found = self
            .image_of_build(labels, build.id, &build.target_image)
            .await?;
        Ok(found
            .filter(|found| build.image_id.as_deref() == Some(found.image.id.as_str()))
            .map(|found| Built {
                image_id: found.image.id,
                size: found.image.size,
            }))
    }
}

//! Pulls an image onto an engine.

use bytes::Bytes;
use fastbuild_spec::{reference::ImageReference, settings::RegistrySettings};
use http::Method;
use http_body_util::Full;

use crate::{
    Engine, EngineError, ImageFound, ProgressSender, UnsupportedImage,
    crash::{self, CrashPoint},
    error::classify::{self, Subject},
    images::image_ref_on_engine,
    json_stream::StreamError,
    registry::{auth_header, registry_of},
};

impl Engine {
    /// Pulls an image and returns what came. The credentials are used only if they are for the image's
    /// registry. Dropping the future stops the pull.
    ///
    /// # Errors
    /// `ImageNotFound`, `PullDenied`, `PullForbidden`, `RegistryLogin`, `RegistryUnavailable`, `NoSpaceLeft`, `Lost`;
    /// `ImageUnsupported` for what cannot be a base image on this engine.
    pub async fn pull(
        &self,
        image: &ImageReference,
        credentials: Option<&RegistrySettings>,
        progress: &ProgressSender,
    ) -> Result<ImageFound, EngineError> {
        if image.registry().is_none() && image.repository() == "scratch" {
            return Err(EngineError::ImageUnsupported {
                image: image.to_string(),
                reason: UnsupportedImage::Scratch,
                detail: "it is empty".to_owned(),
            });
        }
        let name = image.name();
        let query = serde_urlencoded::to_string([
            ("fromImage", name.as_str()),
            ("tag", image.digest().unwrap_or(image.tag())),
        ])
        .map_err(|error| self.internal(error.to_string()))?;
        let mut request = self
            .request(Method::POST, &format!("/images/create?{query}"))
            .await?;
        if let Some(value) = auth_header(image, credentials) {
            request = request.header("x-registry-auth", value);
        }
        let request = request
            .body(Full::<Bytes>::default())
            .map_err(|error| self.internal(error.to_string()))?;
        let pulled = async {
            let mut messages = self.stream_json(request).await?;
            while let Some(message) = messages.next().await? {
                message.report(progress);
                crash::pass(CrashPoint::Pulling);
            }
            Ok::<_, StreamError>(())
        };
        match pulled.await {
            Ok(()) => {}
            Err(StreamError::Broken(error)) => return Err(error),
            Err(StreamError::Refused(message)) => {
                let name = image.to_string();
                let subject = Subject {
                    address: self.address(),
                    image: &name,
                    registry: registry_of(image),
                };
                let error = classify::pull_error(subject, &message);
                return Err(self
                    .check_login(error, registry_of(image), credentials)
                    .await);
            }
        }
        let found = self
            .inspect(&image_ref_on_engine(image))
            .await?
            .ok_or_else(|| EngineError::ImageLost {
                address: self.address().to_owned(),
                image: image.to_string(),
                detail: "it was pulled and is not there".to_owned(),
            })?;
        self.require_platform(image, &found).await?;
        Ok(found)
    }
}

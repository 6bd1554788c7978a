//! Pulling an image onto an engine.

use bytes::Bytes;
use fastbuild_spec::{reference::ImageReference, settings::RegistrySettings};
use http::Method;
use http_body_util::Full;

use crate::{
    Engine, EngineError, ImageFound, ProgressSender,
    crash::{self, CrashPoint},
    error::classify::{self, Subject},
    images::engine_name,
    json_stream::Trouble,
    registry::{auth_header, registry_of},
};

impl Engine {
    /// Pulls an image and returns what came. The credentials are used only if they are for the image's
    /// registry. Dropping the future stops the pull.
    ///
    /// # Errors
    /// `ImageNotFound`, `PullDenied`, `RegistryLogin`, `RegistryUnavailable`, `NoSpaceLeft`, `Lost`.
    pub async fn pull(
        &self,
        image: &ImageReference,
        credentials: Option<&RegistrySettings>,
        progress: &ProgressSender,
    ) -> Result<ImageFound, EngineError> {
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
            let mut messages = self.converse(request).await?;
            while let Some(message) = messages.next().await? {
                message.report(progress);
                crash::pass(CrashPoint::Pulling);
            }
            Ok::<_, Trouble>(())
        };
        match pulled.await {
            Ok(()) => {}
            Err(Trouble::Broken(error)) => return Err(error),
            Err(Trouble::Refused(message)) => {
                let name = image.to_string();
                let subject = Subject {
                    address: self.address(),
                    image: &name,
                    registry: registry_of(image),
                };
                let error = classify::pull_error(subject, &message);
                return Err(self
                    .blame_login(error, registry_of(image), credentials)
                    .await);
            }
        }
        self.inspect(&engine_name(image))
            .await?
            .ok_or_else(|| self.internal(format!("the image {image} was pulled and is not there")))
    }
}

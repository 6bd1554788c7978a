//! The images an engine holds.

use std::collections::BTreeMap;

use bollard::{models::ImageInspect, query_parameters::RemoveImageOptions};
use fastbuild_spec::{profile::ImageConfig, reference::ImageReference};

use crate::{Engine, EngineError};

/// An image an engine holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFound {
    /// The engine's id of it, `sha256:...`.
    pub id: String,
    /// Bytes it takes on the engine.
    pub size: u64,
    /// `amd64`, `arm64`, ... (OCI image specification, `architecture`).
    pub architecture: String,
    /// `linux`, `windows` (OCI image specification, `os`).
    pub os: String,
    /// What it says about running it.
    pub config: ImageConfig,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The digests it is known under in registries, `registry/repository@sha256:...`.
    pub repo_digests: Vec<String>,
}

impl ImageFound {
    fn from_inspect(inspect: ImageInspect) -> Option<Self> {
        let config = inspect.config.unwrap_or_default();
        let labels = config.labels.unwrap_or_default().into_iter().collect();
        Some(Self {
            id: inspect.id?,
            size: inspect
                .size
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or_default(),
            architecture: inspect.architecture.unwrap_or_default(),
            os: inspect.os.unwrap_or_default(),
            config: ImageConfig {
                user: config.user.unwrap_or_default(),
                entrypoint: config.entrypoint.unwrap_or_default(),
                command: config.cmd.unwrap_or_default(),
                working_dir: config.working_dir.unwrap_or_default(),
                env: config.env.unwrap_or_default(),
            },
            labels,
            repo_digests: inspect.repo_digests.unwrap_or_default(),
        })
    }
}

/// The name an engine finds an image under: with a digest, the digest alone decides.
pub(crate) fn image_ref_on_engine(image: &ImageReference) -> String {
    match image.digest() {
        Some(digest) => format!("{}@{digest}", image.name()),
        None => image.to_string(),
    }
}

impl Engine {
    /// Looks for an image on the engine; asks no registry.
    pub async fn find_image(
        &self,
        image: &ImageReference,
    ) -> Result<Option<ImageFound>, EngineError> {
        self.inspect(&image_ref_on_engine(image)).await
    }

    /// Looks for an image by its id or name.
    pub(crate) async fn inspect(&self, name: &str) -> Result<Option<ImageFound>, EngineError> {
        let docker = self.docker().await?;
        let found = self
            .short(async {
                match docker.inspect_image(name).await {
                    Err(error) if is_missing(&error) => Ok(None),
                    other => other.map(Some),
                }
            })
            .await?;
        match found {
            None => Ok(None),
            Some(inspect) => {
                let found = ImageFound::from_inspect(inspect);
                found.map(Some).ok_or_else(|| {
                    self.internal(format!("the image {name} was described without an id"))
                })
            }
        }
    }

    /// Removes an image by its name (`ImageReference`'s text) or its id. Of an image with several names
    /// only the given name goes. Returns whether there was one.
    ///
    /// # Errors
    /// `Internal` when a container still uses it.
    pub async fn remove_image(&self, name_or_id: &str) -> Result<bool, EngineError> {
        let docker = self.docker().await?;
        let options = RemoveImageOptions {
            force: false,
            noprune: false,
            ..Default::default()
        };
        self.short(async {
            match docker.remove_image(name_or_id, Some(options), None).await {
                Ok(_) => Ok(true),
                Err(error) if is_missing(&error) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }
}

/// Whether an error says that there is no such thing.
pub(crate) fn is_missing(error: &bollard::errors::Error) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

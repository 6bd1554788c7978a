//! The images an engine holds.

use std::collections::BTreeMap;

use bollard::query_parameters::RemoveImageOptions;
use fastbuild_spec::{profile::ImageConfig, reference::ImageReference};
use http::StatusCode;
use serde::Deserialize;

use crate::{Engine, EngineError, UnsupportedImage, engine::Platform};

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

/// The answer to `GET /images/NAME/json` (Docker Engine API), the parts of interest. Every part may be missing: an
/// OCI artifact that is no image has none of them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Inspect {
    id: Option<String>,
    size: Option<i64>,
    architecture: Option<String>,
    os: Option<String>,
    config: Option<InspectConfig>,
    #[serde(rename = "RootFS")]
    root_fs: Option<RootFs>,
    repo_digests: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct InspectConfig {
    user: Option<String>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    env: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    on_build: Option<Vec<String>>,
    shell: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RootFs {
    layers: Option<Vec<String>>,
}

impl Inspect {
    fn into_found(self) -> Option<ImageFound> {
        let config = self.config.unwrap_or_default();
        let layers = self
            .root_fs
            .and_then(|root| root.layers)
            .unwrap_or_default();
        Some(ImageFound {
            id: self.id?,
            size: self
                .size
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or_default(),
            architecture: self.architecture.unwrap_or_default(),
            os: self.os.unwrap_or_default(),
            config: ImageConfig {
                user: config.user.unwrap_or_default(),
                entrypoint: config.entrypoint.unwrap_or_default(),
                command: config.cmd.unwrap_or_default(),
                working_dir: config.working_dir.unwrap_or_default(),
                env: config.env.unwrap_or_default(),
                on_build: config.on_build.unwrap_or_default(),
                shell: config.shell.unwrap_or_default(),
                layers: u32::try_from(layers.len()).unwrap_or(u32::MAX),
            },
            labels: config.labels.unwrap_or_default(),
            repo_digests: self.repo_digests.unwrap_or_default(),
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
        let response = self.get_versioned(&format!("/images/{name}/json")).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let found = self.read::<Inspect>(&response)?.into_found();
        found
            .map(Some)
            .ok_or_else(|| self.internal(format!("the image {name} was described without an id")))
    }

    /// Refuses an image that cannot be extended on this engine: one of another platform, which would fail at its
    /// first step or be built without a word, or one that is no container image.
    ///
    /// # Errors
    /// `ImageUnsupported`.
    pub async fn require_platform(
        &self,
        image: &ImageReference,
        found: &ImageFound,
    ) -> Result<(), EngineError> {
        let unsupported = |reason, detail: &str| EngineError::ImageUnsupported {
            image: image.to_string(),
            reason,
            detail: detail.to_owned(),
        };
        if found.os.is_empty() && found.architecture.is_empty() && found.config.layers == 0 {
            return Err(unsupported(
                UnsupportedImage::Format,
                "it has no platform and no layers, so it is another kind of OCI artifact",
            ));
        }
        let engine = self.platform().await?;
        if runs_on(found, engine) {
            return Ok(());
        }
        let reason = UnsupportedImage::Platform {
            image: Some(format!("{}/{}", found.os, found.architecture)),
            engine: Some(format!("{}/{}", engine.os, engine.arch)),
        };
        Err(unsupported(reason, "the platforms differ"))
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

/// Whether an image's platform is the engine's, or one that its processor runs as well. An image that does not say
/// its platform is taken.
fn runs_on(found: &ImageFound, engine: &Platform) -> bool {
    let os = found.os.is_empty() || found.os == engine.os;
    let own = (engine.arch.as_str(), found.architecture.as_str());
    os && (own.1.is_empty() || own.0 == own.1 || matches!(own, ("amd64", "386") | ("arm64", "arm")))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(answer: serde_json::Value) -> ImageFound {
        let inspect: Inspect = serde_json::from_value(answer).unwrap();
        inspect.into_found().unwrap()
    }

    #[test]
    fn inspect_reads_onbuild_shell_and_the_number_of_layers() {
        let found = found(json!({
            "Id": "sha256:ab", "Os": "linux", "Architecture": "amd64",
            "Config": {"OnBuild": ["COPY . /app"], "Shell": ["/bin/bash"], "Entrypoint": null, "Labels": null},
            "RootFS": {"Type": "layers", "Layers": ["sha256:1", "sha256:2"]},
        }));
        assert_eq!(found.config.on_build, ["COPY . /app"]);
        assert_eq!(found.config.shell, ["/bin/bash"]);
        assert_eq!(found.config.layers, 2);
    }

    #[test]
    fn image_runs_on_its_own_platform_and_on_the_larger_one_of_its_family() {
        for (engine, os, architecture, runs) in [
            ("amd64", "linux", "amd64", true),
            ("amd64", "linux", "386", true),
            ("amd64", "", "", true),
            ("amd64", "linux", "arm64", false),
            ("arm64", "linux", "arm", true),
            ("arm64", "linux", "amd64", false),
            ("amd64", "windows", "amd64", false),
        ] {
            let found = found(json!({"Id": "sha256:ab", "Os": os, "Architecture": architecture}));
            let platform = Platform {
                os: "linux".to_owned(),
                arch: engine.to_owned(),
            };
            assert_eq!(
                runs_on(&found, &platform),
                runs,
                "{os}/{architecture} on {engine}"
            );
        }
    }
}

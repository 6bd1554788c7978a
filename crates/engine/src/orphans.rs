//! Removes containers and images that crashed builds left on an engine, found by their labels.

use std::collections::HashMap;

use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, RemoveContainerOptions,
    RemoveImageOptions,
};

use crate::{Engine, EngineError, images::is_missing};

/// The label that marks containers and images as ours; its value is [`OWNER`].
pub const OWNER_LABEL: &str = "org.fastbuild.owner";
/// The value of [`OWNER_LABEL`].
pub const OWNER: &str = "fastbuild";
/// The label that says for which build something was made.
pub const BUILD_LABEL: &str = "org.fastbuild.build";

/// The label that only containers of ours carry. [`OWNER_LABEL`] does not tell them: a container that
/// somebody starts from an image of ours inherits the image's labels, and is not ours to remove.
pub const CONTAINER_LABEL: &str = "org.fastbuild.container";

/// The labels of something made for `build`.
pub(crate) fn labels(build: &str) -> HashMap<String, String> {
    HashMap::from([
        (OWNER_LABEL.to_owned(), OWNER.to_owned()),
        (BUILD_LABEL.to_owned(), build.to_owned()),
    ])
}

/// What [`Engine::remove_orphans`] removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Orphans {
    /// Ids of containers.
    pub containers: Vec<String>,
    /// Ids of images that had lost their names.
    pub images: Vec<String>,
}

impl Engine {
    /// Removes containers, running or not, and nameless images of ours, except those whose
    /// [`BUILD_LABEL`] is one that `keep` wants. What is in use stays. Doing it again does no harm.
    pub async fn remove_orphans(
        &self,
        keep: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<Orphans, EngineError> {
        let docker = self.docker().await?;
        let ours = format!("{OWNER_LABEL}={OWNER}");
        let wanted = |labels: &Option<HashMap<String, String>>| {
            labels
                .as_ref()
                .and_then(|labels| labels.get(BUILD_LABEL))
                .is_some_and(|build| keep(build))
        };
        let mut swept = Orphans::default();

        let both = vec![ours.clone(), CONTAINER_LABEL.to_owned()];
        let filters = HashMap::from([("label".to_owned(), both)]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        for container in self.short(docker.list_containers(Some(options))).await? {
            let Some(id) = container.id.filter(|_| !wanted(&container.labels)) else {
                continue;
            };
            let options = RemoveContainerOptions {
                force: true,
                v: true,
                ..Default::default()
            };
            if self
                .try_remove(docker.remove_container(&id, Some(options)))
                .await?
            {
                swept.containers.push(id);
            }
        }

        let filters = HashMap::from([
            ("label".to_owned(), vec![ours]),
            ("dangling".to_owned(), vec!["true".to_owned()]),
        ]);
        let options = ListImagesOptionsBuilder::default()
            .filters(&filters)
            .build();
        for image in self.short(docker.list_images(Some(options))).await? {
            if wanted(&Some(image.labels)) {
                continue;
            }
            if self
                .try_remove(docker.remove_image(&image.id, None::<RemoveImageOptions>, None))
                .await?
            {
                swept.images.push(image.id);
            }
        }
        Ok(swept)
    }

    /// Runs a removal; whether it removed something. A conflict (in use, or already being removed) and
    /// a thing that is gone are no errors here.
    async fn try_remove<T>(
        &self,
        removal: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<bool, EngineError> {
        self.short(async {
            match removal.await {
                Ok(_) => Ok(true),
                Err(error) if is_missing(&error) || is_conflict(&error) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }
}

/// Whether an error says that something is in use.
pub(crate) fn is_conflict(error: &bollard::errors::Error) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError {
            status_code: 409,
            ..
        }
    )
}

//! Frees disk space on an engine: images in use by containers, removal of an image's name, build cache limit.

use std::{collections::HashSet, time::Duration};

use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveImageOptions};
use bytes::Bytes;
use fastbuild_spec::reference::ImageReference;
use http::Method;
use http_body_util::Full;
use serde::Deserialize;

use crate::{
    Engine, EngineError,
    images::{image_ref_on_engine, is_missing},
    orphans::is_conflict,
};

/// How long an engine may take to throw cache away; it deletes every file of it before it answers.
const PRUNE_TIMEOUT: Duration = Duration::from_mins(10);

/// Result of removing an image's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discarded {
    /// Its name is gone, and its layers with it unless something else needs them.
    Removed,
    /// There was none of this name.
    Missing,
    /// A container was made from it; it stays.
    InUse,
}

/// The answer to `POST /build/prune` (Docker Engine API).
#[derive(Debug, Deserialize)]
struct Pruned {
    #[serde(rename = "SpaceReclaimed")]
    space_reclaimed: Option<u64>,
}

impl Engine {
    /// Removes an image's name from the engine, unless a container uses the image.
    pub async fn discard_image(&self, image: &ImageReference) -> Result<Discarded, EngineError> {
        let docker = self.docker().await?;
        let options = RemoveImageOptions {
            force: false,
            noprune: false,
            ..Default::default()
        };
        self.short(async {
            match docker
                .remove_image(&image_ref_on_engine(image), Some(options), None)
                .await
            {
                Ok(_) => Ok(Discarded::Removed),
                Err(error) if is_missing(&error) => Ok(Discarded::Missing),
                Err(error) if is_conflict(&error) => Ok(Discarded::InUse),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// The ids (`sha256:...`) of images that containers were made from, running or not.
    pub async fn images_in_containers(&self) -> Result<HashSet<String>, EngineError> {
        let docker = self.docker().await?;
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let containers = self.short(docker.list_containers(Some(options))).await?;
        Ok(containers
            .into_iter()
            .filter_map(|container| container.image_id)
            .collect())
    }

    /// Prunes build cache, least recently used first, until at most `keep_bytes` are left; cache of running
    /// builds stays. Returns the bytes freed.
    ///
    /// # Errors
    /// `TimedOut` when the engine does not get it done in ten minutes.
    pub async fn prune_build_cache(&self, keep_bytes: u64) -> Result<u64, EngineError> {
        // Written out, as the client's own options have only the newer `reserved-space`: an engine
        // that does not know it would throw everything away. Newer engines still take this name.
        let path = format!("/build/prune?all=true&keep-storage={keep_bytes}");
        let request = self
            .request(Method::POST, &path)
            .await?
            .body(Full::<Bytes>::default())
            .map_err(|error| self.internal(error.to_string()))?;
        let (status, body) = self
            .long(request, "pruning the build cache", PRUNE_TIMEOUT)
            .await?;
        let pruned: Pruned = self.read_long(status, &body)?;
        Ok(pruned.space_reclaimed.unwrap_or_default())
    }
}

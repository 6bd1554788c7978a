//! Removes images from the engines when somebody asks to.

use fastbuild_engine::Discarded;
use fastbuild_spec::{
    failure::{Failure, ReasonCode, Sentence},
    reference::ImageReference,
};
use fastbuild_store::{ImageKind, LifetimeKind};
use jiff::Timestamp;

use crate::{
    engines::context::EngineContext,
    images::{Images, parse_image},
};

/// An image that was removed.
#[derive(Debug)]
pub struct DeletedImage {
    /// Its name, with its tag.
    pub image: ImageReference,
    /// What went and what stays.
    pub said: Sentence,
}

impl Images {
    /// Removes an image from every engine and from the list of images. The registry keeps it.
    ///
    /// # Errors
    /// `SpecInvalid` for a name that is none, `NotConfigured`, `InUse` while a queued or running
    /// build or a container uses it, `NotFound`, or what an engine answered; then it is gone from
    /// the engines before that one, and stays on the list.
    pub async fn delete(&self, name: &str) -> Result<DeletedImage, Failure> {
        let image = parse_image("image_name", name)?;
        let contexts = self.engines.contexts().await?;
        self.refuse_while_used(&image).await?;
        let mut rows = self
            .common
            .store
            .images_named(&image.name(), image.tag())
            .await?;
        // A name with a digest is one image; the tag it lacks is nobody else's to lose.
        rows.retain(|row| image.digest().is_none() || row.digest.as_deref() == image.digest());
        let built = rows.iter().any(|row| row.kind == ImageKind::Customized);
        let kind = if built {
            LifetimeKind::Build
        } else {
            LifetimeKind::Pull
        };
        let since = rows.iter().map(|row| row.created_at).min();
        let mut was_there = false;
        for context in &contexts {
            let lock = self.lock(context, &image.to_string());
            let _one_at_a_time = lock.lock().await;
            // A build may have been queued since the engine before.
            self.refuse_while_used(&image).await?;
            was_there |= self.discard(context, &image, kind, since).await?;
        }
        if !was_there && rows.is_empty() {
            return Err(no_such_image(&image));
        }
        for row in &rows {
            self.common.store.delete_image(row.id).await?;
        }
        tracing::info!(%image, was_there, "image removed");
        Ok(DeletedImage {
            said: removed(&image, was_there, built),
            image,
        })
    }

    /// Takes an image's name off the engine and notes the end of its life; whether it was there.
    pub(crate) async fn discard(
        &self,
        context: &EngineContext,
        image: &ImageReference,
        kind: LifetimeKind,
        since: Option<Timestamp>,
    ) -> Result<bool, Failure> {
        let outcome = context
            .engine
            .discard_image(image)
            .await
            .map_err(|error| error.failure())?;
        match outcome {
            Discarded::Missing => return Ok(false),
            Discarded::InUse => {
                return Err(Failure::new(
                    ReasonCode::InUse,
                    format!("镜像 {image} 正被 Docker 服务器上的容器使用，无法删除。"),
                    format!(
                        "The image {image} cannot be removed: a container on the Docker server uses it."
                    ),
                )
                .with_culprit(image.to_string()));
            }
            Discarded::Removed => {}
        }
        let now = self.common.now();
        self.common
            .store
            .image_removed(
                context.engine.address(),
                &image.to_string(),
                kind,
                since.unwrap_or(now),
                now,
            )
            .await?;
        Ok(true)
    }

    /// Refuses while a queued or running build names the image.
    ///
    /// # Errors
    /// `InUse`.
    pub(crate) async fn refuse_while_used(&self, image: &ImageReference) -> Result<(), Failure> {
        let user = self.common.store.build_using(&image.to_string()).await?;
        match user {
            None => Ok(()),
            Some(build_id) => Err(Failure::new(
                ReasonCode::InUse,
                format!("镜像 {image} 正被任务id<{build_id}>使用，无法删除。"),
                format!("The image {image} cannot be removed: task <{build_id}> uses it."),
            )
            .with_culprit(image.to_string())),
        }
    }
}

fn removed(image: &ImageReference, was_there: bool, built: bool) -> Sentence {
    let (zh, en) = if was_there {
        (
            format!("镜像 {image} 已从 Docker 服务器删除"),
            format!("The image {image} has been removed from the Docker server"),
        )
    } else {
        (
            format!("镜像 {image} 不在 Docker 服务器上，已从列表中移除"),
            format!(
                "The image {image} was not on the Docker server; it has been taken off the list"
            ),
        )
    };
    if built {
        Sentence::new(
            format!("{zh}；已推送到镜像仓库的 {image} 仍然保留。"),
            format!("{en}; {image} stays in the registry it was pushed to."),
        )
    } else {
        Sentence::new(
            format!("{zh}；镜像仓库中的内容不受影响。"),
            format!("{en}; what its registry holds stays there."),
        )
    }
}

fn no_such_image(image: &ImageReference) -> Failure {
    Failure::new(
        ReasonCode::NotFound,
        format!("镜像 {image} 不存在：它既不在列表中，也不在 Docker 服务器上。"),
        format!("There is no image {image}, neither in the list nor on the Docker server."),
    )
    .with_culprit(image.to_string())
}

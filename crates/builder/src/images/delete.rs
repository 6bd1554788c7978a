//! Removing images from the engines and builds from the record, when somebody asks to.

use std::path::{Component, Path, PathBuf};

use fastbuild_engine::Discarded;
use fastbuild_spec::{
    failure::{Failure, ReasonCode, Sentence},
    reference::ImageReference,
};
use fastbuild_store::{Build, DEFAULT_ENGINE, DeleteOutcome, ImageKind, LifetimeKind};
use jiff::Timestamp;

use crate::{
    builder::{Builder, internal, stored},
    engines::context::EngineContext,
    images::parse_image,
};

/// An image that was removed.
#[derive(Debug)]
pub struct DeletedImage {
    /// Its name, with its tag.
    pub image: ImageReference,
    /// What went and what stays.
    pub said: Sentence,
}

impl Builder {
    /// Removes an image from every engine and from the list of images. The registry keeps it.
    ///
    /// # Errors
    /// `SpecInvalid` for a name that is none, `NotConfigured`, `InUse` while a queued or running
    /// build or a container uses it, `NotFound`, or what an engine answered; then it is gone from
    /// the engines before that one, and stays on the list.
    pub async fn delete_image(&self, name: &str) -> Result<DeletedImage, Failure> {
        let image = parse_image("image_name", name)?;
        let contexts = self.engine_contexts().await?;
        self.refuse_while_used(&image).await?;
        let mut rows = self
            .store()
            .images_named(&image.name(), image.tag())
            .await
            .map_err(|error| stored(&error))?;
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
            let lock = self.image_lock(context, &image.to_string());
            let _one_at_a_time = lock.lock().await;
            // A build may have been queued since the engine before.
            self.refuse_while_used(&image).await?;
            was_there |= self.discard(context, &image, kind, since).await?;
        }
        if !was_there && rows.is_empty() {
            return Err(no_such_image(&image));
        }
        for row in &rows {
            self.store()
                .delete_image(row.id)
                .await
                .map_err(|error| stored(&error))?;
        }
        tracing::info!(%image, was_there, "image removed");
        Ok(DeletedImage {
            said: removed(&image, was_there, built),
            image,
        })
    }

    /// Removes the image that a build made from the engine. Its row and the registry keep it.
    ///
    /// # Errors
    /// `NotFound` for an unknown build or one whose image is not there, `InUse` while the build
    /// runs or another one or a container uses its image, or what the engine answered.
    pub async fn delete_image_of_task(&self, build_id: i64) -> Result<(), Failure> {
        let build = self
            .store()
            .build(build_id)
            .await
            .map_err(|error| stored(&error))?
            .ok_or_else(|| Failure::build_not_found(build_id))?;
        if !build.state.is_terminal() {
            return Err(still_running(build_id));
        }
        let image = parse_image("image_name", &build.target_image)?;
        let engine = build.engine.as_deref().unwrap_or(DEFAULT_ENGINE);
        let removed = match self.engine_context(engine).await {
            Ok(context) => self.discard_of_build(&context, &image, &build).await?,
            // With its engine the image is out of reach.
            Err(removed) if removed.code == ReasonCode::NotFound => false,
            Err(failure) => return Err(failure),
        };
        if !removed {
            return Err(Failure::new(
                ReasonCode::NotFound,
                format!("Docker 服务器上没有任务id<{build_id}>构建的镜像 {image}。"),
                format!(
                    "The Docker server does not have the image {image} that task <{build_id}> built."
                ),
            )
            .with_hint("", "")
            .with_culprit(image.to_string()));
        }
        tracing::info!(build = build_id, %image, "image removed");
        Ok(())
    }

    /// Takes the image that a build made off its engine; whether it was there.
    async fn discard_of_build(
        &self,
        context: &EngineContext,
        image: &ImageReference,
        build: &Build,
    ) -> Result<bool, Failure> {
        let lock = self.image_lock(context, &image.to_string());
        let _one_at_a_time = lock.lock().await;
        self.refuse_while_used(image).await?;
        let found = context
            .engine
            .find_image(image)
            .await
            .map_err(|error| error.failure())?;
        // The name may be another build's by now.
        if found.is_none_or(|found| Some(found.id) != build.image_id) {
            return Ok(false);
        }
        let since = Some(build.finished_at.unwrap_or(build.updated_at));
        self.discard(context, image, LifetimeKind::Build, since)
            .await
    }

    /// Forgets a build that has ended: its record, its logs and its folder.
    ///
    /// # Errors
    /// `NotFound`; `InUse` for one that has not ended; `Internal` when its folder cannot be
    /// removed, and then its record stays.
    pub async fn delete_task(&self, build_id: i64) -> Result<(), Failure> {
        let build = self
            .store()
            .build(build_id)
            .await
            .map_err(|error| stored(&error))?
            .ok_or_else(|| Failure::build_not_found(build_id))?;
        if !build.state.is_terminal() {
            return Err(still_running(build_id));
        }
        // The folder first: with the record gone, nobody would find it again.
        if let Err(error) = self.remove_folder(&build.work_dir_name).await {
            return Err(folder_stays(&self.folder(&build.work_dir_name), &error));
        }
        let outcome = self
            .store()
            .delete_build(build_id)
            .await
            .map_err(|error| stored(&error))?;
        match outcome {
            DeleteOutcome::Deleted(_) => {
                tracing::info!(build = build_id, "build forgotten");
                Ok(())
            }
            DeleteOutcome::NotFound => Err(Failure::build_not_found(build_id)),
            DeleteOutcome::UnderWay(_) => Err(still_running(build_id)),
        }
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
        let now = self.clock().now();
        self.store()
            .image_removed(
                context.engine.address(),
                &image.to_string(),
                kind,
                since.unwrap_or(now),
                now,
            )
            .await
            .map_err(|error| stored(&error))?;
        Ok(true)
    }

    async fn refuse_while_used(&self, image: &ImageReference) -> Result<(), Failure> {
        let user = self
            .store()
            .build_using(&image.to_string())
            .await
            .map_err(|error| stored(&error))?;
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

    /// Removes a build's folder with all in it, if there is one.
    pub(crate) async fn remove_folder(&self, work_dir_name: &str) -> std::io::Result<()> {
        // Names come from the database, some from an old installation's: one that leads
        // elsewhere must not be followed.
        let mut parts = Path::new(work_dir_name).components();
        if !matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        ) {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "its name is no name of a folder",
            ));
        }
        match tokio::fs::remove_dir_all(self.folder(work_dir_name)).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    pub(crate) fn folder(&self, work_dir_name: &str) -> PathBuf {
        self.options().folders.task_dir.join(work_dir_name)
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

fn folder_stays(folder: &Path, error: &std::io::Error) -> Failure {
    internal(error);
    Failure::new(
        ReasonCode::Internal,
        format!("任务目录 {} 无法删除：{error}。", folder.display()),
        format!(
            "The folder {} cannot be removed: {error}.",
            folder.display()
        ),
    )
    .with_hint(
        "请管理员检查该目录的权限后重试。",
        "Ask the operator to check the folder's permissions, then try again.",
    )
}

fn no_such_image(image: &ImageReference) -> Failure {
    Failure::new(
        ReasonCode::NotFound,
        format!("镜像 {image} 不存在：它既不在列表中，也不在 Docker 服务器上。"),
        format!("There is no image {image}, neither in the list nor on the Docker server."),
    )
    .with_culprit(image.to_string())
}

fn still_running(build_id: i64) -> Failure {
    Failure::new(
        ReasonCode::InUse,
        format!("任务id<{build_id}>任务仍在进行，无法删除。"),
        format!("Task <{build_id}> has not ended yet and cannot be deleted."),
    )
    .with_hint(
        "请等待任务结束后再试。",
        "Wait for it to end, then try again.",
    )
    .with_culprit(build_id.to_string())
}

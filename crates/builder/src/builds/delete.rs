//! Removes builds from the record, and the images they made from their engines, when somebody asks
//! to.

use std::path::Path;

use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    reference::ImageReference,
};
use fastbuild_store::{Build, DEFAULT_ENGINE, DeleteOutcome, LifetimeKind};

use crate::{
    builds::{Builds, files},
    common::internal,
    engines::context::EngineContext,
    images::parse_image,
};

impl Builds {
    /// Removes the image that a build made from the engine. Its row and the registry keep it.
    ///
    /// # Errors
    /// `NotFound` for an unknown build or one whose image is not there, `InUse` while the build
    /// runs or another one or a container uses its image, or what the engine answered.
    pub async fn delete_image(&self, build_id: i64) -> Result<(), Failure> {
        let build = self
            .common
            .store
            .build(build_id)
            .await?
            .ok_or_else(|| Failure::build_not_found(build_id))?;
        if !build.state.is_terminal() {
            return Err(still_running(build_id));
        }
        let image = parse_image("image_name", &build.target_image)?;
        let engine = build.engine.as_deref().unwrap_or(DEFAULT_ENGINE);
        let removed = match self.engines.context(engine).await {
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
        let lock = self.images.lock(context, &image.to_string());
        let _one_at_a_time = lock.lock().await;
        self.images.refuse_while_used(image).await?;
        let found = context.built_image(self.engines.labels(), build).await?;
        if found.is_none() {
            return Ok(false);
        }
        let since = Some(build.finished_at.unwrap_or(build.updated_at));
        self.images
            .discard(context, image, LifetimeKind::Build, since)
            .await
    }

    /// Forgets a build that has ended: its record, its logs and its folder.
    ///
    /// # Errors
    /// `NotFound`; `InUse` for one that has not ended; `Internal` when its folder cannot be
    /// removed, and then its record stays.
    pub async fn delete(&self, build_id: i64) -> Result<(), Failure> {
        let build = self
            .common
            .store
            .build(build_id)
            .await?
            .ok_or_else(|| Failure::build_not_found(build_id))?;
        if !build.state.is_terminal() {
            return Err(still_running(build_id));
        }
        // The folder first: with the record gone, nobody would find it again.
        let task_dir = &self.common.options.folders.task_dir;
        if let Err(error) = files::remove_folder(task_dir, &build.work_dir_name).await {
            return Err(folder_stays(&task_dir.join(&build.work_dir_name), &error));
        }
        let outcome = self.common.store.delete_build(build_id).await?;
        match outcome {
            DeleteOutcome::Deleted(_) => {
                tracing::info!(build = build_id, "build forgotten");
                Ok(())
            }
            DeleteOutcome::NotFound => Err(Failure::build_not_found(build_id)),
            DeleteOutcome::UnderWay(_) => Err(still_running(build_id)),
        }
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

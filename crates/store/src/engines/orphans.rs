//! What an attempt may have left on an engine that could not be asked at once: a record, written
//! with the fact that made it so, until somebody has looked there.

use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, sea_query::OnConflict,
};

use super::DEFAULT_ENGINE;
use crate::{
    BuildId, Store, StoreError,
    db::time::{micros, timestamp},
    entity::{build, orphaned_image},
};

/// A build of which an engine may hold something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanedImage {
    /// The record's number.
    pub id: i64,
    /// The engine.
    pub engine: String,
    /// The build.
    pub build_id: BuildId,
    /// Its target image.
    pub image: String,
    /// When the attempt was lost.
    pub since: Timestamp,
}

/// Notes that the build's last attempt may have left something on its engine.
pub(crate) async fn note<C: ConnectionTrait>(
    connection: &C,
    row: &build::Model,
    now: Timestamp,
) -> Result<(), StoreError> {
    let engine = row.engine.as_deref().unwrap_or(DEFAULT_ENGINE);
    insert(connection, engine, row.id, &row.target_image, now).await
}

async fn insert<C: ConnectionTrait>(
    connection: &C,
    engine: &str,
    build_id: BuildId,
    image: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    orphaned_image::Entity::insert(orphaned_image::ActiveModel {
        engine: Set(engine.to_owned()),
        build_id: Set(build_id),
        image: Set(image.to_owned()),
        created_at: Set(micros(now)),
        ..Default::default()
    })
    .on_conflict(
        // Lost there once more: it is looked for from now on.
        OnConflict::columns([
            orphaned_image::Column::Engine,
            orphaned_image::Column::BuildId,
        ])
        .update_column(orphaned_image::Column::CreatedAt)
        .to_owned(),
    )
    .exec_without_returning(connection)
    .await?;
    Ok(())
}

impl Store {
    /// Notes that a build may have left its image on an engine that did not let go of it.
    pub async fn record_orphaned_image(
        &self,
        engine: &str,
        build_id: BuildId,
        image: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        insert(&tx, engine, build_id, image, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What may lie on an engine, oldest first.
    pub async fn orphaned_images(&self, engine: &str) -> Result<Vec<OrphanedImage>, StoreError> {
        let rows = orphaned_image::Entity::find()
            .filter(orphaned_image::Column::Engine.eq(engine))
            .order_by_asc(orphaned_image::Column::Id)
            .all(self.reader())
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(OrphanedImage {
                    id: row.id,
                    engine: row.engine,
                    build_id: row.build_id,
                    image: row.image,
                    since: timestamp(row.created_at)?,
                })
            })
            .collect()
    }

    /// Forgets a record: the engine was looked at. One that was renewed since stays.
    pub async fn forget_orphaned_image(&self, leftover: &OrphanedImage) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        orphaned_image::Entity::delete_many()
            .filter(orphaned_image::Column::Id.eq(leftover.id))
            .filter(orphaned_image::Column::CreatedAt.eq(micros(leftover.since)))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

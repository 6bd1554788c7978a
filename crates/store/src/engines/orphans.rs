//! What an attempt may have left on an engine that could not be asked at once: a record, written
//! with the fact that made it so, until somebody has looked there.

use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, sea_query::OnConflict,
};

use super::DEFAULT_ENGINE;
use crate::{
    Store, StoreError, TaskId,
    db::time::{micros, timestamp},
    entity::{build, leftover},
};

/// A build of which an engine may hold something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The record's number.
    pub primary_id: i64,
    /// The engine.
    pub engine: String,
    /// The build.
    pub task_id: TaskId,
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
    insert(connection, engine, row.task_id, &row.target_image, now).await
}

async fn insert<C: ConnectionTrait>(
    connection: &C,
    engine: &str,
    task_id: TaskId,
    image: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    leftover::Entity::insert(leftover::ActiveModel {
        engine: Set(engine.to_owned()),
        task_id: Set(task_id),
        image: Set(image.to_owned()),
        created_at: Set(micros(now)),
        ..Default::default()
    })
    .on_conflict(
        // Lost there once more: it is looked for from now on.
        OnConflict::columns([leftover::Column::Engine, leftover::Column::TaskId])
            .update_column(leftover::Column::CreatedAt)
            .to_owned(),
    )
    .exec_without_returning(connection)
    .await?;
    Ok(())
}

impl Store {
    /// Notes that a build may have left its image on an engine that did not let go of it.
    pub async fn note_leftover(
        &self,
        engine: &str,
        task_id: TaskId,
        image: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        insert(&tx, engine, task_id, image, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What may lie on an engine, oldest first.
    pub async fn leftovers(&self, engine: &str) -> Result<Vec<Leftover>, StoreError> {
        let rows = leftover::Entity::find()
            .filter(leftover::Column::Engine.eq(engine))
            .order_by_asc(leftover::Column::Id)
            .all(self.reader())
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Leftover {
                    primary_id: row.id,
                    engine: row.engine,
                    task_id: row.task_id,
                    image: row.image,
                    since: timestamp(row.created_at)?,
                })
            })
            .collect()
    }

    /// Forgets a record: the engine was looked at. One that was renewed since stays.
    pub async fn leftover_gone(&self, leftover: &Leftover) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        leftover::Entity::delete_many()
            .filter(leftover::Column::Id.eq(leftover.primary_id))
            .filter(leftover::Column::CreatedAt.eq(micros(leftover.since)))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

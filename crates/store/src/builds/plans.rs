//! By which plan each build's image was made, on what engine, and whether it was built for it or for an equal
//! build before.

use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, sea_query::OnConflict,
};

use crate::{
    BuildId, Store, StoreError,
    builds::stored_size,
    db::time::{micros, timestamp},
    entity::plan,
};

/// An image in its registry and the plan it was made by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageProvenance {
    /// The build whose image it is.
    pub build_id: BuildId,
    /// The plan's key; builds with one key have one image.
    pub key: String,
    /// What the engine is and can do, in a line.
    pub engine: String,
    /// The build that made it where that was another one.
    pub made_by: Option<BuildId>,
    /// The image's name in the registry.
    pub image_name: String,
    /// The engine's id of it.
    pub image_id: String,
    /// Its bytes as the engine that built it tells them.
    pub image_size: u64,
    /// Its digest in the registry.
    pub digest: String,
    /// When it was built.
    pub made_at: Timestamp,
}

impl TryFrom<plan::Model> for ImageProvenance {
    type Error = StoreError;

    fn try_from(row: plan::Model) -> Result<Self, StoreError> {
        Ok(Self {
            build_id: row.build_id,
            key: row.plan_key,
            engine: row.engine,
            made_by: row.made_by,
            image_name: row.image_name,
            image_id: row.image_id,
            image_size: u64::try_from(row.image_size).unwrap_or_default(),
            digest: row.digest,
            made_at: timestamp(row.made_at)?,
        })
    }
}

impl Store {
    /// Remembers by which plan a build's image was made.
    pub async fn put_plan(&self, made: &ImageProvenance, now: Timestamp) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        plan::Entity::insert(plan::ActiveModel {
            build_id: Set(made.build_id),
            plan_key: Set(made.key.clone()),
            engine: Set(made.engine.clone()),
            made_by: Set(made.made_by),
            image_name: Set(made.image_name.clone()),
            image_id: Set(made.image_id.clone()),
            image_size: Set(stored_size(made.image_size)),
            digest: Set(made.digest.clone()),
            made_at: Set(micros(made.made_at)),
            created_at: Set(micros(now)),
        })
        // A build that lost its worker at the very end makes its image twice.
        .on_conflict(
            OnConflict::column(plan::Column::BuildId)
                .update_columns([
                    plan::Column::PlanKey,
                    plan::Column::Engine,
                    plan::Column::MadeBy,
                    plan::Column::ImageName,
                    plan::Column::ImageId,
                    plan::Column::ImageSize,
                    plan::Column::Digest,
                    plan::Column::MadeAt,
                    plan::Column::CreatedAt,
                ])
                .to_owned(),
        )
        .exec_without_returning(&tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The images made by a plan with this key since a time, those named last first; at most `limit`.
    pub async fn made_by_plan(
        &self,
        key: &str,
        since: Timestamp,
        limit: u64,
    ) -> Result<Vec<ImageProvenance>, StoreError> {
        plan::Entity::find()
            .filter(plan::Column::PlanKey.eq(key))
            .filter(plan::Column::MadeAt.gte(micros(since)))
            .order_by_desc(plan::Column::CreatedAt)
            .limit(limit)
            .all(self.reader())
            .await?
            .into_iter()
            .map(ImageProvenance::try_from)
            .collect()
    }

    /// By which plan a build's image was made, where it ended with one.
    pub async fn plan_of(&self, build_id: BuildId) -> Result<Option<ImageProvenance>, StoreError> {
        plan::Entity::find_by_id(build_id)
            .one(self.reader())
            .await?
            .map(ImageProvenance::try_from)
            .transpose()
    }
}

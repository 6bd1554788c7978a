//! What is kept of builds that ended long ago: their records stay, what their engines printed
//! goes; and of callbacks that ended long ago nothing. Also the time of the last cleaning, which outlives the process.

use fastbuild_spec::state::BuildState;
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, OnConflict},
};
use strum::IntoEnumIterator as _;

use crate::{
    BuildId, DeliveryStatus, Store, StoreError,
    builds::fence::PRINTED,
    db::time::{micros, timestamp},
    entity::{build, counter, delivery, event, event_archive},
};

/// The counter that holds when the last cleaning ended.
const CLEANED: &str = "cleaned_at";

/// An ended build whose files and logs were not cleaned away yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UncleanedBuild {
    /// The build.
    pub build_id: BuildId,
    /// Its folder's name.
    pub work_dir_name: String,
}

/// The builds that work with an image, as their base or as their target.
fn using(image_name: &str) -> Condition {
    Condition::all().add(under_way()).add(
        Condition::any()
            .add(build::Column::BaseImage.eq(image_name))
            .add(build::Column::TargetImage.eq(image_name)),
    )
}

fn under_way() -> sea_orm::sea_query::SimpleExpr {
    build::Column::State.is_in(
        BuildState::iter()
            .filter(|state| !state.is_terminal())
            .map(|state| state.to_string()),
    )
}

impl Store {
    /// A queued or running build whose base or target is this image (its name with its tag).
    pub async fn build_using(&self, image_name: &str) -> Result<Option<BuildId>, StoreError> {
        let build_id = build::Entity::find()
            .select_only()
            .column(build::Column::Id)
            .filter(using(image_name))
            .order_by_asc(build::Column::Id)
            .into_tuple()
            .one(self.reader())
            .await?;
        Ok(build_id)
    }

    /// At most `limit` builds that ended before `cutoff` and were not cleaned yet, with numbers
    /// greater than `after`, oldest first. Whether they printed anything is no matter: one that was
    /// cancelled in the queue may have a folder all the same.
    pub async fn uncleaned_builds(
        &self,
        cutoff: Timestamp,
        after: BuildId,
        limit: u64,
    ) -> Result<Vec<UncleanedBuild>, StoreError> {
        let rows: Vec<(BuildId, String)> = build::Entity::find()
            .select_only()
            .column(build::Column::Id)
            .column(build::Column::WorkDirName)
            .filter(build::Column::Id.gt(after))
            .filter(build::Column::CleanedAt.is_null())
            .filter(build::Column::FinishedAt.lt(micros(cutoff)))
            .order_by_asc(build::Column::Id)
            .limit(limit)
            .into_tuple()
            .all(self.reader())
            .await?;
        Ok(rows
            .into_iter()
            .map(|(build_id, work_dir_name)| UncleanedBuild {
                build_id,
                work_dir_name,
            })
            .collect())
    }

    /// Drops what the engine printed during a build that has ended (log lines, stages, transfers)
    /// and marks the build as cleaned, once and for all. Its states and steps stay. Says whether it
    /// was this call that did it.
    pub async fn clean_build(&self, build_id: BuildId, now: Timestamp) -> Result<bool, StoreError> {
        let tx = self.begin().await?;
        let marked = build::Entity::update_many()
            .filter(build::Column::Id.eq(build_id))
            .filter(build::Column::FinishedAt.is_not_null())
            .filter(build::Column::CleanedAt.is_null())
            .col_expr(build::Column::CleanedAt, Expr::value(micros(now)))
            .exec(&tx)
            .await?;
        if marked.rows_affected == 0 {
            return Ok(false);
        }
        event::Entity::delete_many()
            .filter(event::Column::BuildId.eq(build_id))
            .filter(event::Column::Kind.is_in(PRINTED))
            .exec(&tx)
            .await?;
        event_archive::Entity::delete_many()
            .filter(event_archive::Column::BuildId.eq(build_id))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Forgets at most `limit` deliveries that ended before `cutoff`, with their tries; how many
    /// that were. The history taken over from an old installation stays: it was never tried from
    /// here, is old from the start, and does not grow.
    pub async fn prune_deliveries(&self, cutoff: Timestamp, limit: u64) -> Result<u64, StoreError> {
        let ended = DeliveryStatus::ENDED.map(|status| status.to_string());
        let tx = self.begin().await?;
        let numbers: Vec<i64> = delivery::Entity::find()
            .select_only()
            .column(delivery::Column::Id)
            .filter(delivery::Column::Status.is_in(ended))
            .filter(delivery::Column::UpdatedAt.lt(micros(cutoff)))
            .filter(delivery::Column::Tries.gt(0))
            .order_by_asc(delivery::Column::Id)
            .limit(limit)
            .into_tuple()
            .all(&tx)
            .await?;
        // Their tries go by the foreign key.
        let deleted = delivery::Entity::delete_many()
            .filter(delivery::Column::Id.is_in(numbers))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(deleted.rows_affected)
    }

    /// When the last cleaning ended.
    pub async fn last_cleanup(&self) -> Result<Option<Timestamp>, StoreError> {
        counter::Entity::find_by_id(CLEANED.to_owned())
            .one(self.reader())
            .await?
            .map(|row| timestamp(row.value))
            .transpose()
    }

    /// Remembers when a cleaning ended.
    pub async fn cleaned(&self, now: Timestamp) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        counter::Entity::insert(counter::ActiveModel {
            name: Set(CLEANED.to_owned()),
            value: Set(micros(now)),
        })
        .on_conflict(
            OnConflict::column(counter::Column::Name)
                .update_column(counter::Column::Value)
                .to_owned(),
        )
        .exec_without_returning(&tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

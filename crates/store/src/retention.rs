//! What is kept of builds that ended long ago: their records stay, what their engines printed
//! goes. Also the time of the last cleaning, which outlives the process.

use fastbuild_spec::state::BuildState;
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, OnConflict, Query},
};
use strum::IntoEnumIterator as _;

use crate::{
    Store, StoreError, TaskId,
    builds::fence::PRINTED,
    entity::{build, counter, event},
    time::{micros, timestamp},
};

/// The counter that holds when the last cleaning ended.
const CLEANED: &str = "cleaned_at";

/// An ended build whose log is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLog {
    /// The build.
    pub task_id: TaskId,
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
    pub async fn build_using(&self, image_name: &str) -> Result<Option<TaskId>, StoreError> {
        let task_id = build::Entity::find()
            .select_only()
            .column(build::Column::TaskId)
            .filter(using(image_name))
            .order_by_asc(build::Column::TaskId)
            .into_tuple()
            .one(self.reader())
            .await?;
        Ok(task_id)
    }

    /// At most `limit` builds that ended before `cutoff` and whose log is still there, with
    /// numbers greater than `after`, oldest first.
    pub async fn kept_logs(
        &self,
        cutoff: Timestamp,
        after: TaskId,
        limit: u64,
    ) -> Result<Vec<KeptLog>, StoreError> {
        // Asked build by build: most builds of a long list have no log any more.
        let printed = Query::select()
            .expr(Expr::val(1))
            .from(event::Entity)
            .and_where(
                Expr::col((event::Entity, event::Column::TaskId))
                    .equals((build::Entity, build::Column::TaskId)),
            )
            .and_where(event::Column::Kind.is_in(PRINTED))
            .take();
        let rows: Vec<(TaskId, String)> = build::Entity::find()
            .select_only()
            .column(build::Column::TaskId)
            .column(build::Column::WorkDirName)
            .filter(build::Column::TaskId.gt(after))
            .filter(build::Column::FinishedAt.lt(micros(cutoff)))
            .filter(Expr::exists(printed))
            .order_by_asc(build::Column::TaskId)
            .limit(limit)
            .into_tuple()
            .all(self.reader())
            .await?;
        Ok(rows
            .into_iter()
            .map(|(task_id, work_dir_name)| KeptLog {
                task_id,
                work_dir_name,
            })
            .collect())
    }

    /// Drops what the engine printed during a build that has ended: log lines, stages, transfers.
    /// Its states and steps stay. Says whether there was anything.
    pub async fn drop_log(&self, task_id: TaskId) -> Result<bool, StoreError> {
        let tx = self.begin().await?;
        let deleted = event::Entity::delete_many()
            .filter(event::Column::TaskId.eq(task_id))
            .filter(event::Column::Kind.is_in(PRINTED))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(deleted.rows_affected > 0)
    }

    /// When the last cleaning ended.
    pub async fn last_cleaning(&self) -> Result<Option<Timestamp>, StoreError> {
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

//! Where a build stands in the queue, and how long builds like it took.

use std::time::Duration;

use fastbuild_spec::state::BuildState;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use super::{BuildId, read};
use crate::{
    Store, StoreError,
    entity::{build, lane},
};

/// Builds and owners that are counted one by one at the most; a place far behind is told as such
/// and no more exactly.
const COUNTED: u64 = 10_000;
/// Builds that an estimate is made from at the most, the newest ones.
const SAMPLE: u64 = 25;

/// Where a queued build stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePosition {
    /// Its place if nothing else were queued or cancelled: 1 is the next to be taken.
    pub position: u64,
    /// Whether that is all; a place behind some ten thousand is told as the least it can be.
    pub exact: bool,
    /// Builds that workers have at this moment.
    pub running: u64,
}

impl Store {
    /// Where a build stands in the queue; `None` when it is not queued. What it reads is bounded,
    /// however long the queue is.
    pub async fn queue_position(
        &self,
        build_id: BuildId,
    ) -> Result<Option<QueuePosition>, StoreError> {
        let connection = self.reader();
        let Some(row) = read::find(connection, build_id).await? else {
            return Ok(None);
        };
        if row.state != BuildState::Queued.to_string() {
            return Ok(None);
        }
        let before = before_of_its_owner(connection, &row).await?;
        let lanes = lane::Entity::find()
            .filter(lane::Column::Priority.gte(row.priority))
            .order_by_desc(lane::Column::Priority)
            .limit(COUNTED)
            .all(connection)
            .await?;
        let own_turn = lanes
            .iter()
            .find(|lane| lane.priority == row.priority && lane.owner == row.owner)
            .map_or(i64::MAX, |lane| lane.turn);
        let others: u64 = lanes
            .iter()
            .filter(|lane| lane.priority > row.priority || lane.owner != row.owner)
            .map(|lane| {
                let queued = u64::try_from(lane.queued).unwrap_or_default();
                if lane.priority > row.priority {
                    return queued;
                }
                // One in each round before the build's own, and in that one if its turn is sooner.
                queued.min(before + u64::from(lane.turn < own_turn))
            })
            .sum();
        let running = build::Entity::find()
            .filter(build::Column::LeaseUntil.is_not_null())
            .count(connection)
            .await?;
        Ok(Some(QueuePosition {
            position: before + others + 1,
            exact: before < COUNTED && (lanes.len() as u64) < COUNTED,
            running,
        }))
    }

    /// How long the newest builds took that succeeded and are like this one, or, when there are
    /// none such, the newest of all; the median, and how many builds it is made from.
    pub async fn typical_duration(
        &self,
        build_id: BuildId,
    ) -> Result<Option<TypicalDuration>, StoreError> {
        let connection = self.reader();
        let Some(row) = read::find(connection, build_id).await? else {
            return Ok(None);
        };
        let alike = Condition::all()
            .add(build::Column::SimilarityKey.eq(row.similarity_key.as_str()))
            .add(build::Column::SimilarityKey.ne(""));
        for (alike, which) in [(true, alike), (false, Condition::all())] {
            let durations = durations(connection, which).await?;
            if let Some(median) = median(durations.clone()) {
                return Ok(Some(TypicalDuration {
                    median,
                    builds: durations.len() as u64,
                    alike,
                }));
            }
        }
        Ok(None)
    }
}

/// How long builds of a kind take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypicalDuration {
    /// The median from the start of the last attempt to the end.
    pub median: Duration,
    /// So many builds it is made from.
    pub builds: u64,
    /// Whether they had the same base image and installers; else they are the newest of any kind.
    pub alike: bool,
}

/// Builds of the same owner and priority that come before one.
async fn before_of_its_owner<C: ConnectionTrait>(
    connection: &C,
    row: &build::Model,
) -> Result<u64, DbErr> {
    let older = Condition::any()
        .add(build::Column::QueuedAt.lt(row.queued_at))
        .add(
            Condition::all()
                .add(build::Column::QueuedAt.eq(row.queued_at))
                .add(build::Column::Id.lt(row.id)),
        );
    // Counted in a query around this one, which ends at the limit.
    build::Entity::find()
        .filter(build::Column::State.eq(BuildState::Queued.to_string()))
        .filter(build::Column::Priority.eq(row.priority))
        .filter(build::Column::Owner.eq(row.owner.as_str()))
        .filter(build::Column::QueuedAt.lte(row.queued_at))
        .filter(older)
        .select_only()
        .column(build::Column::Id)
        .limit(COUNTED)
        .into_tuple::<i64>()
        .count(connection)
        .await
}

async fn durations<C: ConnectionTrait>(
    connection: &C,
    which: Condition,
) -> Result<Vec<Duration>, DbErr> {
    let rows: Vec<(Option<i64>, Option<i64>)> = build::Entity::find()
        .select_only()
        .column(build::Column::StartedAt)
        .column(build::Column::FinishedAt)
        .filter(build::Column::State.eq(BuildState::PushSuccess.to_string()))
        // A push alone tells nothing of a build.
        .filter(build::Column::RetriedFrom.is_null())
        .filter(which)
        .order_by_desc(build::Column::FinishedAt)
        .limit(SAMPLE)
        .into_tuple()
        .all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|(started, finished)| {
            let took = finished?.checked_sub(started?)?;
            Some(Duration::from_micros(u64::try_from(took).ok()?))
        })
        .collect())
}

fn median(mut durations: Vec<Duration>) -> Option<Duration> {
    durations.sort_unstable();
    let middle = durations.len() / 2;
    let upper = *durations.get(middle)?;
    if durations.len() % 2 == 1 {
        return Some(upper);
    }
    Some((durations[middle - 1] + upper) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        let seconds =
            |list: &[u64]| median(list.iter().copied().map(Duration::from_secs).collect());
        assert_eq!(seconds(&[]), None);
        assert_eq!(seconds(&[9]), Some(Duration::from_secs(9)));
        assert_eq!(seconds(&[60, 1, 2]), Some(Duration::from_secs(2)));
        assert_eq!(seconds(&[8, 1, 2, 4]), Some(Duration::from_secs(3)));
    }
}

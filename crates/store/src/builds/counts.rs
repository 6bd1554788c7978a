//! What is under way at this moment, in numbers. What it takes to count them grows with the engines
//! and with the owners who wait, not with the builds that wait or ever were.

use std::collections::BTreeMap;

use fastbuild_spec::state::BuildState;
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::{
    Store, StoreError,
    builds::parse_state,
    db::time::maybe_timestamp,
    entity::{build, lane},
};

/// What is under way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueCounts {
    /// Builds that wait for a worker.
    pub queued: u64,
    /// Since when the one has been waiting that has waited longest.
    pub waiting_since: Option<Timestamp>,
    /// Builds that workers have, by state; those without one are left out.
    pub running: Vec<(BuildState, u64)>,
}

impl Store {
    /// Counts what is under way, of all processes on this database.
    pub async fn queue_counts(&self) -> Result<QueueCounts, StoreError> {
        let tx = self.begin_read().await?;
        let lanes: Vec<i64> = lane::Entity::find()
            .select_only()
            .column(lane::Column::Queued)
            .into_tuple()
            .all(&tx)
            .await?;
        let oldest: Option<i64> = build::Entity::find()
            .select_only()
            .column(build::Column::UpdatedAt)
            .filter(build::Column::State.eq(BuildState::Queued.to_string()))
            .order_by_asc(build::Column::UpdatedAt)
            .into_tuple()
            .one(&tx)
            .await?;
        // Counted here: a database that groups by state walks over every build there ever was.
        let states: Vec<String> = build::Entity::find()
            .select_only()
            .column(build::Column::State)
            .filter(build::Column::LeaseUntil.is_not_null())
            .into_tuple()
            .all(&tx)
            .await?;
        tx.commit().await?;
        let mut running: BTreeMap<String, u64> = BTreeMap::new();
        for state in states {
            *running.entry(state).or_default() += 1;
        }
        Ok(QueueCounts {
            queued: lanes
                .into_iter()
                .map(|queued| u64::try_from(queued).unwrap_or_default())
                .sum(),
            waiting_since: maybe_timestamp(oldest)?,
            running: running
                .into_iter()
                .map(|(state, count)| Ok((parse_state(&state)?, count)))
                .collect::<Result<_, StoreError>>()?,
        })
    }
}

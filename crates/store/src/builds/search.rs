//! Builds from the newest on, a piece at a time: each piece begins where the one before it ended,
//! so that it costs the same wherever it is in the list.

use fastbuild_spec::state::BuildState;
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use super::{Build, BuildId, read::contains};
use crate::{
    Store, StoreError,
    db::{dialect, time::micros},
    entity::build,
};

/// Which builds are wanted. What is empty does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildSearch {
    /// In one of these states.
    pub states: Vec<BuildState>,
    /// Part of the target image's name with its tag, upper and lower case alike.
    pub image: Option<String>,
    /// For this owner.
    pub owner: Option<String>,
    /// Asked for at this time or later.
    pub since: Option<Timestamp>,
    /// Older than this one.
    pub before: Option<BuildId>,
}

impl Store {
    /// At most `limit` builds that are wanted, newest first.
    pub async fn search_builds(
        &self,
        search: &BuildSearch,
        limit: u64,
    ) -> Result<Vec<Build>, StoreError> {
        let mut condition = Condition::all();
        if !search.states.is_empty() {
            let states = search.states.iter().map(BuildState::to_string);
            condition = condition.add(build::Column::State.is_in(states));
        }
        if let Some(part) = search.image.as_deref().filter(|part| !part.is_empty()) {
            condition = condition.add(contains(build::Column::TargetImage, part));
        }
        if let Some(owner) = &search.owner {
            condition = condition.add(build::Column::Owner.eq(dialect::storable(owner)));
        }
        if let Some(since) = search.since {
            // A build's number is never before the time it was asked for, and has an index: the
            // walk ends there.
            condition = condition
                .add(build::Column::Id.gte(since.as_millisecond()))
                .add(build::Column::CreatedAt.gte(micros(since)));
        }
        if let Some(before) = search.before {
            condition = condition.add(build::Column::Id.lt(before));
        }
        build::Entity::find()
            .filter(condition)
            .order_by_desc(build::Column::Id)
            .limit(limit)
            .all(self.reader())
            .await?
            .into_iter()
            .map(Build::try_from)
            .collect()
    }
}

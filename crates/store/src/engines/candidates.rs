//! The engines as a claim sees them, inside its transaction: who may take a build, how many run
//! where, and the lock under which the last place of an engine is given to one build only.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QuerySelect as _,
};

use super::{
    DEFAULT_ENGINE, change, docker_server, health, live,
    placement::{Candidate, choose},
    read_capacity,
};
use crate::{StoreError, db::time::micros, entity::build};

/// How many builds run on each engine, of all processes.
pub(super) async fn running<C: ConnectionTrait>(
    connection: &C,
) -> Result<HashMap<String, u32>, StoreError> {
    let rows: Vec<(Option<String>, i64)> = build::Entity::find()
        .select_only()
        .column(build::Column::Engine)
        .column_as(build::Column::RowId.count(), "running")
        .filter(build::Column::LeaseUntil.is_not_null())
        .group_by(build::Column::Engine)
        .into_tuple()
        .all(connection)
        .await?;
    let mut running = HashMap::new();
    for (engine, count) in rows {
        // A build that an earlier version began names no engine.
        let engine = engine.unwrap_or_else(|| DEFAULT_ENGINE.to_owned());
        *running.entry(engine).or_default() += u32::try_from(count).unwrap_or(u32::MAX);
    }
    Ok(running)
}

/// The engines that may take a build now.
#[derive(Debug)]
pub(crate) struct Fleet {
    candidates: Vec<Candidate>,
    /// Whether there is any engine at all. Without one a build is let through to be told so.
    is_empty: bool,
}

impl Fleet {
    /// Reads them for `worker`: not removed, not draining, and answering `worker` when it last
    /// looked. Where nobody reaches any of them for so long that waiting is over, all count, and a
    /// build that goes there is told why it fails.
    pub(crate) async fn load(
        tx: &DatabaseTransaction,
        worker: &str,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let rows = live(tx).await?;
        let is_empty = rows.is_empty();
        let has_default = docker_server(tx).await?.is_some();
        let running = running(tx).await?;
        let mut candidates = Vec::new();
        for row in rows {
            if !row.draining && (row.name != DEFAULT_ENGINE || has_default) {
                candidates.push(Candidate {
                    running: running.get(&row.name).copied().unwrap_or_default(),
                    capacity: read_capacity(row.capacity)?,
                    name: row.name,
                });
            }
        }
        let found = health::fresh(tx, now).await?;
        let (mut unreachable, mut hopeless, mut up) =
            (HashSet::new(), HashSet::new(), HashSet::new());
        for row in found {
            if row.up {
                up.insert(row.engine.clone());
            }
            if row.worker == worker && !row.up {
                if row.given_up_at.is_some_and(|at| at <= micros(now)) {
                    hopeless.insert(row.engine.clone());
                }
                unreachable.insert(row.engine);
            }
        }
        let all_hopeless = candidates
            .iter()
            .all(|one| hopeless.contains(&one.name) && !up.contains(&one.name));
        if !all_hopeless {
            candidates.retain(|one| !unreachable.contains(&one.name));
        }
        Ok(Self {
            candidates,
            is_empty,
        })
    }

    /// Whether a build can be taken now.
    pub(crate) fn has_room(&self) -> bool {
        self.is_empty || self.candidates.iter().any(Candidate::has_room)
    }

    /// The engine for a build.
    pub(crate) fn place(&self, row: &build::Model) -> Option<&str> {
        if self.is_empty {
            return Some(DEFAULT_ENGINE);
        }
        // A push alone is tried where the image is.
        let made_on = row.retried_from.as_ref().and(row.engine.as_deref());
        if let Some(engine) = self
            .candidates
            .iter()
            .find(|one| Some(one.name.as_str()) == made_on && one.has_room())
        {
            return Some(&engine.name);
        }
        let lost_on = (row.attempt > row.handed_back)
            .then_some(row.engine.as_deref())
            .flatten();
        choose(&self.candidates, &row.base_image, lost_on).map(|chosen| chosen.name.as_str())
    }

    /// Takes the engine's lock until the transaction ends; whether it still has room then. Where
    /// writers run side by side, another may have given the place away since [`Fleet::load`].
    pub(crate) async fn still_has_room(
        &self,
        tx: &DatabaseTransaction,
        engine: &str,
    ) -> Result<bool, StoreError> {
        if self.is_empty {
            return Ok(true);
        }
        let Some(row) = change::locked(tx, engine).await? else {
            return Ok(false);
        };
        let running = running(tx).await?.get(engine).copied().unwrap_or_default();
        Ok(!row.draining && running < read_capacity(row.capacity)?)
    }
}

//! How engines are, as each process finds them: a process takes builds for the engines that it
//! reaches itself, and people are shown what all of them found.

use std::{collections::HashMap, time::Duration};

use fastbuild_spec::failure::Failure;
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _,
    QueryFilter as _, sea_query::OnConflict,
};
use strum::Display;

use crate::{
    Store, StoreError,
    builds::{from_json, to_json},
    db::time::{micros, timestamp},
    entity::engine_health,
};

/// What a process found longer ago than this says nothing any more: it may have ended.
const FRESH: Duration = Duration::from_mins(2);

/// Whether an engine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Display)]
#[strum(serialize_all = "snake_case")]
pub enum HealthState {
    /// It does.
    Up,
    /// It does not, and takes no builds.
    Down,
    /// Nobody has looked yet; it takes builds.
    #[default]
    Unknown,
}

/// How an engine is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineHealth {
    /// Whether it answers.
    pub state: HealthState,
    /// Since when; `None` where nobody has looked yet.
    pub since: Option<Timestamp>,
    /// Why it was last found not to answer.
    pub failure: Option<Failure>,
}

/// What a process found when it looked at an engine.
#[derive(Debug, Clone)]
pub struct CheckedHealth {
    /// The engine.
    pub engine: String,
    /// Whether it answers.
    pub up: bool,
    /// Since when.
    pub since: Timestamp,
    /// For one that does not answer: from when on builds no longer wait for it in the queue, but
    /// are let through and told why they fail, if no other engine answers either.
    pub given_up_at: Option<Timestamp>,
    /// Why it did not answer the last time it did not.
    pub failure: Option<Failure>,
}

/// The findings that still say something, of one engine or process or of all.
pub(super) async fn fresh<C: ConnectionTrait>(
    connection: &C,
    now: Timestamp,
) -> Result<Vec<engine_health::Model>, StoreError> {
    let span = i64::try_from(FRESH.as_micros()).unwrap_or(i64::MAX);
    Ok(engine_health::Entity::find()
        .filter(engine_health::Column::CheckedAt.gte(micros(now).saturating_sub(span)))
        .all(connection)
        .await?)
}

/// How each engine is by all findings: up where any process reaches it.
pub(super) async fn merged<C: ConnectionTrait>(
    connection: &C,
) -> Result<HashMap<String, EngineHealth>, StoreError> {
    let mut merged: HashMap<String, EngineHealth> = HashMap::new();
    let rows = engine_health::Entity::find().all(connection).await?;
    // A reader has no clock of its own; the newest finding is the present.
    let newest = rows.iter().map(|row| row.checked_at).max().unwrap_or(0);
    let span = i64::try_from(FRESH.as_micros()).unwrap_or(i64::MAX);
    for row in rows {
        if row.checked_at < newest - span {
            continue;
        }
        let found = EngineHealth {
            state: if row.up {
                HealthState::Up
            } else {
                HealthState::Down
            },
            since: Some(timestamp(row.since)?),
            failure: row
                .failure
                .map(|text| from_json("failure", &text))
                .transpose()?,
        };
        let known = merged.entry(row.engine).or_default();
        let better = match (known.state, found.state) {
            (HealthState::Unknown, _) | (HealthState::Down, HealthState::Up) => true,
            (HealthState::Up, HealthState::Down) => false,
            _ => found.since < known.since,
        };
        if better {
            *known = found;
        }
    }
    Ok(merged)
}

impl Store {
    /// Notes how `worker` found an engine. Findings of processes that ended long ago go.
    pub async fn note_health(
        &self,
        worker: &str,
        found: &CheckedHealth,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let failure = found.failure.as_ref();
        let failure = failure.map(|failure| to_json("failure", failure));
        let tx = self.begin().await?;
        engine_health::Entity::insert(engine_health::ActiveModel {
            engine: Set(found.engine.clone()),
            worker: Set(worker.to_owned()),
            up: Set(found.up),
            since: Set(micros(found.since)),
            checked_at: Set(micros(now)),
            given_up_at: Set(found.given_up_at.map(micros)),
            failure: Set(failure.transpose()?),
        })
        .on_conflict(
            OnConflict::columns([engine_health::Column::Engine, engine_health::Column::Worker])
                .update_columns([
                    engine_health::Column::Up,
                    engine_health::Column::Since,
                    engine_health::Column::CheckedAt,
                    engine_health::Column::GivenUpAt,
                    engine_health::Column::Failure,
                ])
                .to_owned(),
        )
        .exec_without_returning(&tx)
        .await?;
        let age = i64::try_from(FRESH.as_micros() * 5).unwrap_or(i64::MAX);
        engine_health::Entity::delete_many()
            .filter(engine_health::Column::Engine.eq(&found.engine))
            .filter(
                Condition::all()
                    .add(engine_health::Column::CheckedAt.lt(micros(now).saturating_sub(age))),
            )
            .exec(&tx)
            .await?;
        tx.commit().await?;
        if found.up {
            self.notifier.notify_queue();
        }
        Ok(())
    }

    /// Forgets what `worker` found, or what any process found.
    pub async fn forget_health(&self, worker: Option<&str>) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        let mut findings = engine_health::Entity::delete_many();
        if let Some(worker) = worker {
            findings = findings.filter(engine_health::Column::Worker.eq(worker));
        }
        findings.exec(&tx).await?;
        tx.commit().await?;
        Ok(())
    }
}

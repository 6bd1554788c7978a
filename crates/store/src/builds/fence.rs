//! What every write on behalf of an attempt has in common: the check that the build is still
//! that attempt's, and the numbering of events.

use fastbuild_spec::{
    event::{Event, Progress},
    state::Step,
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, DatabaseTransaction, DbErr, EntityTrait as _,
    QueryFilter as _, QuerySelect as _, sea_query::Expr, sea_query::ExprTrait as _,
};

use super::{AttemptId, BuildId, to_json};
use crate::{
    FencedError, StoreError,
    db::time::micros,
    entity::{build, event},
};

/// Rows per insert statement; databases bound the number of values in one.
const ROWS_PER_INSERT: usize = 500;

/// The kind under which log lines are stored.
pub(crate) const LOG: &str = "log";
/// The kind under which stages of a Dockerfile are stored.
const STAGE: &str = "stage";
/// The kind under which layers on their way are stored.
const TRANSFER: &str = "transfer";
/// The kinds of what an engine reported, which make up almost all of a build's events.
pub(crate) const PRINTED: [&str; 3] = [LOG, STAGE, TRANSFER];

/// The row of a build that is still the attempt's, locked until the transaction ends.
///
/// A build is an attempt's from the claim until it is requeued, handed back or ended: the number
/// alone would let a lost worker write while the build waits for its next one.
pub(crate) async fn held(
    tx: &DatabaseTransaction,
    attempt: AttemptId,
) -> Result<build::Model, FencedError> {
    build::Entity::find()
        .filter(build::Column::Id.eq(attempt.build_id))
        .filter(build::Column::Attempt.eq(attempt.number))
        .filter(build::Column::LeaseUntil.is_not_null())
        .lock_exclusive()
        .one(tx)
        .await?
        .ok_or(FencedError::Lost {
            build_id: attempt.build_id,
            attempt: attempt.number,
        })
}

/// Appends events, numbered on from the build's newest. Returns the newest number.
pub(crate) async fn append(
    tx: &DatabaseTransaction,
    build_id: BuildId,
    attempt: i64,
    events: &[Event],
    now: Timestamp,
) -> Result<i64, StoreError> {
    let added = i64::try_from(events.len()).map_err(|error| StoreError::corrupt("batch", error))?;
    // The update comes first: it locks the row, so that two writers cannot take one number.
    build::Entity::update_many()
        .col_expr(
            build::Column::LastEvent,
            Expr::col(build::Column::LastEvent).add(added),
        )
        .filter(build::Column::Id.eq(build_id))
        .exec(tx)
        .await?;
    let last: i64 = build::Entity::find()
        .select_only()
        .column(build::Column::LastEvent)
        .filter(build::Column::Id.eq(build_id))
        .into_tuple()
        .one(tx)
        .await?
        .ok_or_else(|| DbErr::RecordNotFound(format!("build {build_id}")))?;
    let mut rows = Vec::with_capacity(events.len());
    for (seq, event) in (last - added + 1..).zip(events) {
        let (kind, step) = kind_and_step(event);
        rows.push(event::ActiveModel {
            build_id: Set(build_id),
            seq: Set(seq),
            attempt: Set(attempt),
            at: Set(micros(now)),
            kind: Set(kind.to_owned()),
            step: Set(step.map(|step| step.to_string()).unwrap_or_default()),
            body: Set(to_json("event", event)?),
        });
    }
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(ROWS_PER_INSERT));
        event::Entity::insert_many(rows)
            .exec_without_returning(tx)
            .await?;
        rows = rest;
    }
    Ok(last)
}

/// What views of the events select by.
fn kind_and_step(event: &Event) -> (&'static str, Option<Step>) {
    match event {
        Event::State { .. } => ("state", None),
        Event::StepStarted { step } => ("step_started", Some(*step)),
        Event::StepFinished { step, .. } => ("step_finished", Some(*step)),
        Event::Warning { step, .. } => ("warning", *step),
        Event::Result { .. } => ("result", None),
        Event::Progress { step, progress } => {
            let kind = match progress {
                Progress::Log { .. } => LOG,
                Progress::Stage { .. } => STAGE,
                Progress::Transfer { .. } => TRANSFER,
            };
            (kind, Some(*step))
        }
    }
}

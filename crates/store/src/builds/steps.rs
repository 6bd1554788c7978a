//! How the steps of a build stand: the old protocol's progress records.

use fastbuild_spec::{
    event::Event,
    state::{Step, StepStatus},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DatabaseTransaction,
    EntityTrait as _, QueryFilter as _, QueryOrder as _,
};

use crate::{
    AttemptId, BuildId, FencedError, Store, StoreError,
    builds::fence,
    db::{
        dialect::Retry,
        time::{maybe_timestamp, micros, timestamp},
    },
    entity::step,
};

/// How one step of a build's newest attempt stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow {
    /// The row's number.
    pub id: i64,
    /// The build.
    pub build_id: BuildId,
    /// The attempt it belongs to.
    pub attempt: i64,
    /// Which step.
    pub action: Step,
    /// How it stands.
    pub status: StepStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl TryFrom<step::Model> for StepRow {
    type Error = StoreError;

    fn try_from(row: step::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            build_id: row.build_id,
            attempt: row.attempt,
            action: parse_step(&row.action)?,
            status: row
                .status
                .parse()
                .map_err(|_| StoreError::corrupt("step status", &row.status))?,
            started_at: timestamp(row.started_at)?,
            ended_at: maybe_timestamp(row.ended_at)?,
            duration_ms: row
                .duration_ms
                .map(|ms| u64::try_from(ms).unwrap_or_default()),
            created_at: timestamp(row.created_at)?,
            updated_at: timestamp(row.updated_at)?,
        })
    }
}

fn parse_step(text: &str) -> Result<Step, StoreError> {
    text.parse().map_err(|_| StoreError::corrupt("step", text))
}

impl Store {
    /// A step begins.
    ///
    /// # Errors
    /// [`FencedError::Lost`].
    pub async fn step_started(
        &self,
        attempt: AttemptId,
        step: Step,
        now: Timestamp,
    ) -> Result<(), FencedError> {
        let mut retry = Retry::while_a_build_runs();
        loop {
            match self.try_step_started(attempt, step, now).await {
                Err(error) if retry.after(&error).await => {}
                other => return other,
            }
        }
    }

    async fn try_step_started(
        &self,
        attempt: AttemptId,
        step: Step,
        now: Timestamp,
    ) -> Result<(), FencedError> {
        let tx = self.begin().await?;
        fence::held(&tx, attempt).await?;
        // A step begun again within one attempt replaces its row.
        step::Entity::delete_many()
            .filter(step::Column::BuildId.eq(attempt.build_id))
            .filter(step::Column::Action.eq(step.to_string()))
            .exec(&tx)
            .await?;
        step::Entity::insert(step::ActiveModel {
            build_id: Set(attempt.build_id),
            attempt: Set(attempt.number),
            action: Set(step.to_string()),
            status: Set(StepStatus::Running.to_string()),
            started_at: Set(micros(now)),
            created_at: Set(micros(now)),
            updated_at: Set(micros(now)),
            ..Default::default()
        })
        .exec_without_returning(&tx)
        .await?;
        let event = Event::StepStarted { step };
        fence::append(&tx, attempt.build_id, attempt.number, &[event], now).await?;
        tx.commit().await?;
        self.notifier.notify_events();
        Ok(())
    }

    /// A step that was begun ends. A step that is not running stays as it is, without an event.
    ///
    /// # Errors
    /// [`FencedError::Lost`].
    pub async fn step_finished(
        &self,
        attempt: AttemptId,
        step: Step,
        status: StepStatus,
        now: Timestamp,
    ) -> Result<(), FencedError> {
        let mut retry = Retry::while_a_build_runs();
        loop {
            match self.try_step_finished(attempt, step, status, now).await {
                Err(error) if retry.after(&error).await => {}
                other => return other,
            }
        }
    }

    async fn try_step_finished(
        &self,
        attempt: AttemptId,
        step: Step,
        status: StepStatus,
        now: Timestamp,
    ) -> Result<(), FencedError> {
        let tx = self.begin().await?;
        fence::held(&tx, attempt).await?;
        let row = step::Entity::find()
            .filter(step::Column::BuildId.eq(attempt.build_id))
            .filter(step::Column::Action.eq(step.to_string()))
            .filter(step::Column::Status.eq(StepStatus::Running.to_string()))
            .one(&tx)
            .await?;
        if let Some(row) = row {
            let event = close(&tx, row, status, now).await?;
            fence::append(&tx, attempt.build_id, attempt.number, &[event], now).await?;
        }
        tx.commit().await?;
        self.notifier.notify_events();
        Ok(())
    }

    /// The steps of a build's newest attempt, in the order they began.
    pub async fn steps(&self, build_id: BuildId) -> Result<Vec<StepRow>, StoreError> {
        step::Entity::find()
            .filter(step::Column::BuildId.eq(build_id))
            .order_by_asc(step::Column::Id)
            .all(self.reader())
            .await?
            .into_iter()
            .map(StepRow::try_from)
            .collect()
    }
}

/// Ends a step's row; the event that says so is the caller's to append.
async fn close(
    tx: &DatabaseTransaction,
    row: step::Model,
    status: StepStatus,
    now: Timestamp,
) -> Result<Event, StoreError> {
    let step = parse_step(&row.action)?;
    // Clocks can go back; a duration cannot.
    let duration_ms = (micros(now) - row.started_at).max(0) / 1000;
    let mut row: step::ActiveModel = row.into();
    row.status = Set(status.to_string());
    row.ended_at = Set(Some(micros(now)));
    row.duration_ms = Set(Some(duration_ms));
    row.updated_at = Set(micros(now));
    row.update(tx).await?;
    Ok(Event::StepFinished {
        step,
        status,
        duration_ms: duration_ms.unsigned_abs(),
    })
}

/// Ends the steps that still run when their build ends, and returns the events that say so.
pub(crate) async fn close_running(
    tx: &DatabaseTransaction,
    build_id: BuildId,
    succeeded: bool,
    now: Timestamp,
) -> Result<Vec<Event>, StoreError> {
    let status = if succeeded {
        StepStatus::Success
    } else {
        StepStatus::Fail
    };
    let rows = step::Entity::find()
        .filter(step::Column::BuildId.eq(build_id))
        .filter(step::Column::Status.eq(StepStatus::Running.to_string()))
        .order_by_asc(step::Column::Id)
        .all(tx)
        .await?;
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        events.push(close(tx, row, status, now).await?);
    }
    Ok(events)
}

/// Forgets the steps of an attempt that came to nothing.
pub(crate) async fn forget(tx: &DatabaseTransaction, build_id: BuildId) -> Result<(), StoreError> {
    step::Entity::delete_many()
        .filter(step::Column::BuildId.eq(build_id))
        .exec(tx)
        .await?;
    Ok(())
}

//! Reading a build's events, and its log as a view of them.

use fastbuild_spec::{
    event::{Event, Progress},
    state::Step,
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::{
    Store, StoreError, TaskId,
    builds::{fence::LOG, from_json, read},
    entity::event,
    time::timestamp,
};

/// One event with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number within the build, from 1, without gaps until the build's log is dropped.
    pub seq: i64,
    /// The attempt it belongs to; 0 before the first.
    pub attempt: i64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// Part of a step's log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogChunk {
    /// Whole lines; empty when there is nothing after the asked-for number.
    pub text: String,
    /// The number to ask after for the next chunk.
    pub last_seq: i64,
}

impl Store {
    /// At most `limit` events of a build after the one numbered `after_seq` (0 for the start).
    pub async fn events(
        &self,
        task_id: TaskId,
        after_seq: i64,
        limit: u64,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        event::Entity::find()
            .filter(event::Column::TaskId.eq(task_id))
            .filter(event::Column::Seq.gt(after_seq))
            .order_by_asc(event::Column::Seq)
            .limit(limit)
            .all(self.reader())
            .await?
            .into_iter()
            .map(|row| {
                Ok(StoredEvent {
                    seq: row.seq,
                    attempt: row.attempt,
                    at: timestamp(row.at)?,
                    event: from_json("event", &row.body)?,
                })
            })
            .collect()
    }

    /// The log lines of a step in the build's newest attempt, from at most `limit` log events
    /// after the one numbered `after_seq` (0 for the start). A chunk with an empty text is the
    /// end for now.
    pub async fn step_log_chunk(
        &self,
        task_id: TaskId,
        step: Step,
        after_seq: i64,
        limit: u64,
    ) -> Result<LogChunk, StoreError> {
        let mut chunk = LogChunk {
            text: String::new(),
            last_seq: after_seq,
        };
        let Some(build) = read::find(self.reader(), task_id).await? else {
            return Ok(chunk);
        };
        let rows = event::Entity::find()
            .filter(event::Column::TaskId.eq(task_id))
            .filter(event::Column::Step.eq(step.to_string()))
            .filter(event::Column::Kind.eq(LOG))
            .filter(event::Column::Seq.gt(after_seq))
            .filter(event::Column::Attempt.eq(build.attempt))
            .order_by_asc(event::Column::Seq)
            .limit(limit)
            .all(self.reader())
            .await?;
        for row in rows {
            chunk.last_seq = row.seq;
            if let Event::Progress {
                progress: Progress::Log { text },
                ..
            } = from_json("event", &row.body)?
            {
                chunk.text.push_str(&text);
            }
        }
        Ok(chunk)
    }
}

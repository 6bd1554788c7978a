//! Reading a build's events, and its log as a view of them.

use fastbuild_spec::{
    event::{Event, Progress},
    state::{BuildState, Step},
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::{
    BuildId, Store, StoreError,
    builds::{fence::LOG, from_json, log_archive, parse_state, read},
    db::time::timestamp,
    entity::{build, event},
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

/// How far a build's events have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHead {
    /// The number of the newest one; 0 where there is none.
    pub last: i64,
    /// Where the build stands; `None` when there is none of this number any more.
    pub state: Option<BuildState>,
}

impl EventHead {
    /// Whether nothing comes after the newest event, unless the build is tried again.
    pub fn is_over(self) -> bool {
        self.state.is_none_or(BuildState::is_terminal)
    }
}

impl TryFrom<event::Model> for StoredEvent {
    type Error = StoreError;

    fn try_from(row: event::Model) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.seq,
            attempt: row.attempt,
            at: timestamp(row.at)?,
            event: from_json("event", &row.body)?,
        })
    }
}

impl Store {
    /// How far a build's events have come.
    pub async fn event_head(&self, build_id: BuildId) -> Result<EventHead, StoreError> {
        let row: Option<(i64, String)> = build::Entity::find()
            .select_only()
            .column(build::Column::LastEvent)
            .column(build::Column::State)
            .filter(build::Column::Id.eq(build_id))
            .into_tuple()
            .one(self.reader())
            .await?;
        Ok(match row {
            Some((last, state)) => EventHead {
                last,
                state: Some(parse_state(&state)?),
            },
            None => EventHead {
                last: 0,
                state: None,
            },
        })
    }

    /// At most `limit` events of a build after the one numbered `after_seq` (0 for the start).
    pub async fn events(
        &self,
        build_id: BuildId,
        after_seq: i64,
        limit: u64,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found: Vec<StoredEvent> = Vec::new();
        let mut after = after_seq;
        loop {
            // Rows first: what moves into an archive in between is found in both, and never in
            // neither.
            let rows = event::Entity::find()
                .filter(event::Column::BuildId.eq(build_id))
                .filter(event::Column::Seq.gt(after))
                .order_by_asc(event::Column::Seq)
                .limit((wanted - found.len()) as u64)
                .all(self.reader())
                .await?;
            let archive = log_archive::next(self.reader(), build_id, after, None).await?;
            let until = archive
                .as_ref()
                .map_or(i64::MAX, |archive| archive.last_seq);
            let mut some = rows
                .into_iter()
                .filter(|row| row.seq <= until)
                .map(StoredEvent::try_from)
                .collect::<Result<Vec<_>, _>>()?;
            if let Some(archive) = &archive {
                some.extend(
                    log_archive::unpack(archive)?
                        .into_iter()
                        .filter(|event| event.seq > after),
                );
                some.sort_by_key(|event| event.seq);
                some.dedup_by_key(|event| event.seq);
            }
            found.extend(some);
            found.truncate(wanted);
            if archive.is_none() || found.len() == wanted {
                return Ok(found);
            }
            after = until;
        }
    }

    /// The log lines of a step in the build's newest attempt, from at most `limit` log events
    /// after the one numbered `after_seq` (0 for the start). A chunk with an empty text is the
    /// end for now.
    pub async fn step_log_chunk(
        &self,
        build_id: BuildId,
        step: Step,
        after_seq: i64,
        limit: u64,
    ) -> Result<LogChunk, StoreError> {
        let mut chunk = LogChunk {
            text: String::new(),
            last_seq: after_seq,
        };
        let Some(build) = read::find(self.reader(), build_id).await? else {
            return Ok(chunk);
        };
        let of = Some((step, build.attempt));
        while chunk.text.is_empty() {
            // Rows first, as above. What is archived comes before what is not.
            let rows = event::Entity::find()
                .filter(event::Column::BuildId.eq(build_id))
                .filter(event::Column::Step.eq(step.to_string()))
                .filter(event::Column::Kind.eq(LOG))
                .filter(event::Column::Seq.gt(chunk.last_seq))
                .filter(event::Column::Attempt.eq(build.attempt))
                .order_by_asc(event::Column::Seq)
                .limit(limit)
                .all(self.reader())
                .await?;
            let archive = log_archive::next(self.reader(), build_id, chunk.last_seq, of).await?;
            if let Some(archive) = archive {
                for stored in log_archive::unpack(&archive)? {
                    if stored.seq > chunk.last_seq {
                        chunk.add(&stored.event);
                    }
                }
                chunk.last_seq = archive.last_seq;
                continue;
            }
            for row in rows {
                chunk.last_seq = row.seq;
                chunk.add(&from_json("event", &row.body)?);
            }
            return Ok(chunk);
        }
        Ok(chunk)
    }
}

impl LogChunk {
    fn add(&mut self, event: &Event) {
        if let Event::Progress {
            progress: Progress::Log { text },
            ..
        } = event
        {
            self.text.push_str(text);
        }
    }
}

//! Logs of builds that have ended, compressed: what an engine printed moves, in order and a piece
//! at a time, from rows of its own into archives, and keeps its numbers.

use std::io::{Read as _, Write as _};

use fastbuild_spec::state::Step;
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};

use crate::{
    BuildId, Store, StoreError, StoredEvent,
    builds::{fence::PRINTED, from_json, parse_state, read, to_json},
    db::time::timestamp,
    entity::{event, event_archive},
};

/// Events in one archive at most.
const EVENTS: u64 = 256;
/// Bytes of them at most, before they are compressed: reading one event unpacks its archive.
const BYTES: usize = 1 << 20;

/// An event in an archive: its number, its time and its JSON.
type Packed = (i64, i64, String);

/// The first archive of a build that has events after the one numbered `after`; of one step of
/// one attempt, where it is named.
pub(crate) async fn next<C: ConnectionTrait>(
    connection: &C,
    build_id: BuildId,
    after: i64,
    of: Option<(Step, i64)>,
) -> Result<Option<event_archive::Model>, DbErr> {
    let mut query = event_archive::Entity::find()
        .filter(event_archive::Column::BuildId.eq(build_id))
        .filter(event_archive::Column::LastSeq.gt(after));
    if let Some((step, attempt)) = of {
        query = query
            .filter(event_archive::Column::Step.eq(step.to_string()))
            .filter(event_archive::Column::Attempt.eq(attempt));
    }
    query
        .order_by_asc(event_archive::Column::LastSeq)
        .one(connection)
        .await
}

/// The events of an archive.
pub(crate) fn unpack(archive: &event_archive::Model) -> Result<Vec<StoredEvent>, StoreError> {
    let mut text = String::new();
    ZlibDecoder::new(archive.body.as_slice())
        .read_to_string(&mut text)
        .map_err(|error| StoreError::corrupt("event archive", error))?;
    let packed: Vec<Packed> = from_json("event archive", &text)?;
    packed
        .into_iter()
        .map(|(seq, at, body)| {
            Ok(StoredEvent {
                seq,
                attempt: archive.attempt,
                at: timestamp(at)?,
                event: from_json("event", &body)?,
            })
        })
        .collect()
}

fn pack(rows: &[event::Model]) -> Result<Vec<u8>, StoreError> {
    let packed: Vec<(i64, i64, &str)> = rows
        .iter()
        .map(|row| (row.seq, row.at, row.body.as_str()))
        .collect();
    let text = to_json("event archive", &packed)?;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(text.as_bytes())
        .and_then(|()| encoder.finish())
        .map_err(|error| StoreError::corrupt("event archive", error))
}

impl Store {
    /// Compresses what an engine printed during a build that has ended. A build that has not
    /// ended, or was compressed before, stays as it is. Each piece is a transaction of its own:
    /// a process that dies in between leaves the rest for the next time.
    pub async fn archive_log(&self, build_id: BuildId) -> Result<(), StoreError> {
        while self.archive_piece(build_id).await? {}
        Ok(())
    }

    /// Compresses the first piece that is not yet; whether there was one.
    async fn archive_piece(&self, build_id: BuildId) -> Result<bool, StoreError> {
        let tx = self.begin().await?;
        let Some(build) = read::find(&tx, build_id).await? else {
            return Ok(false);
        };
        if !parse_state(&build.state)?.is_terminal() {
            return Ok(false);
        }
        let rows = event::Entity::find()
            .filter(event::Column::BuildId.eq(build_id))
            .filter(event::Column::Kind.is_in(PRINTED))
            .order_by_asc(event::Column::Seq)
            .limit(EVENTS)
            .all(&tx)
            .await?;
        let Some(first) = rows.first().cloned() else {
            return Ok(false);
        };
        let mut bytes = 0;
        let mut piece: Vec<event::Model> = rows
            .into_iter()
            .take_while(|row| row.step == first.step && row.attempt == first.attempt)
            .take_while(|row| {
                bytes += row.body.len();
                bytes <= BYTES
            })
            .collect();
        if piece.is_empty() {
            // One that is larger than a piece is a piece.
            piece.push(first.clone());
        }
        let last_seq = piece.last().map_or(first.seq, |row| row.seq);
        event_archive::Entity::insert(event_archive::ActiveModel {
            build_id: Set(build_id),
            first_seq: Set(first.seq),
            last_seq: Set(last_seq),
            attempt: Set(first.attempt),
            step: Set(first.step),
            body: Set(pack(&piece)?),
        })
        .exec_without_returning(&tx)
        .await?;
        event::Entity::delete_many()
            .filter(event::Column::BuildId.eq(build_id))
            .filter(event::Column::Kind.is_in(PRINTED))
            .filter(event::Column::Seq.between(first.seq, last_seq))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }
}

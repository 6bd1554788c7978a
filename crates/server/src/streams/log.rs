//! A step's log as text.

use fastbuild_spec::state::Step;
use fastbuild_store::{LogChunk, Store, StoreError};
use futures_util::{Stream, stream};

/// Log events that are read at a time; one holds up to a few kilobytes.
const EVENTS_PER_READ: u64 = 256;

/// A step's log from its start to what is written now, a part at a time.
pub(crate) fn step_log(
    store: Store,
    build_id: i64,
    step: Step,
) -> impl Stream<Item = Result<String, StoreError>> {
    stream::try_unfold((store, 0), move |(store, after)| async move {
        let LogChunk { text, last_seq } = store
            .step_log_chunk(build_id, step, after, EVENTS_PER_READ)
            .await
            .inspect_err(
                |error| tracing::error!(%error, build_id, %step, "failed to read a log"),
            )?;
        Ok((!text.is_empty()).then_some((text, (store, last_seq))))
    })
}

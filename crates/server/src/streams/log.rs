//! A step's log as text.

use fastbuild_spec::{failure::Language, state::Step};
use fastbuild_store::{Build, LogChunk, Store, StoreError};
use futures_util::{Stream, StreamExt as _, stream};

/// Log events that are read at a time; one holds up to a few kilobytes.
const EVENTS_PER_READ: u64 = 256;

/// A step's log from its start to what is written now, a part at a time. The log of the step in which a build
/// failed ends with the reason and the remedy in this language.
pub(crate) fn step_log(
    store: &Store,
    build: &Build,
    step: Step,
    language: Language,
) -> impl Stream<Item = Result<String, StoreError>> + Send + use<> {
    let (store, build_id) = (store.clone(), build.id);
    let written = stream::try_unfold((store, 0), move |(store, after)| async move {
        let LogChunk { text, last_seq } = store
            .step_log_chunk(build_id, step, after, EVENTS_PER_READ)
            .await
            .inspect_err(
                |error| tracing::error!(%error, build_id, %step, "failed to read a log"),
            )?;
        Ok((!text.is_empty()).then_some((text, (store, last_seq))))
    });
    let ending = ending(build, step, language);
    written.chain(stream::iter(ending.map(Ok)))
}

fn ending(build: &Build, step: Step, language: Language) -> Option<String> {
    let failure = build.failure.as_ref()?;
    let ends_here = failure.step == Some(step) && build.state.is_terminal();
    ends_here.then(|| format!("{}\n", failure.sentence(language)))
}

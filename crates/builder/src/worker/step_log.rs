//! The way of a step's progress into the store: one task per step that takes what the engine
//! reports, masks secrets, remembers the last lines for a failure, and appends in batches.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastbuild_engine::ProgressReceiver;
use fastbuild_spec::{
    event::{Event, Progress},
    failure::Sentence,
    log_line::{Line, Mask},
    state::Step,
};
use fastbuild_store::{AttemptId, FencedError, Store};
use tokio::{fs::File, io::AsyncWriteExt as _, time::Instant};

use crate::clock::SharedClock;

/// How many of a step's last lines a failure carries.
pub(crate) const LAST_LINES: usize = 20;
/// A line in a failure is cut at this many bytes.
const LAST_LINE_BYTES: usize = 500;
/// Events written in one transaction.
const BATCH: usize = 256;
/// Log pieces that came together are one event up to this many bytes: readers get them at the same
/// time, and a long log has fewer rows.
const LOG_EVENT_BYTES: usize = 16 * 1024;

/// When the engine was last heard, so that silence can be noticed.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    /// Transition just now.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn heard(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once nothing was heard for `silence`.
    pub(crate) async fn silent_for(&self, silence: Duration) {
        loop {
            let until = self.last() + silence;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// The bytes of log that one attempt of a build may still write.
#[derive(Debug, Clone)]
pub(crate) struct LogBudget(Arc<AtomicU64>);

impl LogBudget {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// The part of a text that still fits, in whole lines, and whether that is all of it.
    fn take(&self, text: &mut String) -> bool {
        let left = self.0.load(Ordering::Relaxed);
        let length = text.len() as u64;
        if length <= left {
            self.0.store(left - length, Ordering::Relaxed);
            return true;
        }
        // Nothing that comes later is written either: a log has no holes.
        self.0.store(0, Ordering::Relaxed);
        let fits = usize::try_from(left).unwrap_or(usize::MAX);
        let end = text[..text.floor_char_boundary(fits)]
            .rfind('\n')
            .map_or(0, |end| end + 1);
        text.truncate(end);
        false
    }

    fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// Writes one step's events.
#[derive(Debug)]
pub(crate) struct StepLogWriter {
    pub(crate) store: Store,
    pub(crate) clock: SharedClock,
    pub(crate) attempt: AttemptId,
    pub(crate) step: Step,
    pub(crate) mask: Mask,
    pub(crate) budget: LogBudget,
    pub(crate) activity: Activity,
    /// The step's log on disk, a copy for operators of what the store has.
    pub(crate) log_file: PathBuf,
}

impl StepLogWriter {
    /// Writes until every sender is gone; returns the last lines.
    ///
    /// # Errors
    /// When the attempt lost its build or the database does not answer.
    pub(crate) async fn run(
        self,
        mut progress: ProgressReceiver,
    ) -> Result<Vec<String>, FencedError> {
        let mut last_lines = VecDeque::new();
        let mut file = File::create(&self.log_file).await.ok();
        while let Some(first) = progress.recv().await {
            let mut batch = vec![first];
            // Take along what is there already; one transaction for all of it.
            while batch.len() < BATCH
                && let Some(Some(more)) = futures_util::FutureExt::now_or_never(progress.recv())
            {
                batch.push(more);
            }
            self.activity.heard();
            let mut events = Vec::with_capacity(batch.len());
            for progress in batch {
                match progress {
                    Progress::Log { text } => {
                        let text = self.shown(&text);
                        remember(&mut last_lines, &text);
                        self.log(text, &mut file, &mut events).await;
                    }
                    progress => events.push(Event::Progress {
                        step: self.step,
                        progress,
                    }),
                }
            }
            self.store
                .append_events(self.attempt, events, self.clock.now())
                .await?;
        }
        if let Some(mut open) = file {
            // The store has the same lines; a disk that cannot take them is no failure of a build.
            open.flush().await.ok();
        }
        Ok(last_lines.into())
    }

    /// Lines as people may read them.
    fn shown(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        for line in text.lines() {
            shown.push_str(&Line::whole(line).shown(&self.mask));
            shown.push('\n');
        }
        shown
    }

    /// Adds lines to the log, as far as its budget goes.
    async fn log(&self, mut text: String, file: &mut Option<File>, events: &mut Vec<Event>) {
        if self.budget.is_spent() {
            return;
        }
        let whole = self.budget.take(&mut text);
        if let Some(open) = file
            && open.write_all(text.as_bytes()).await.is_err()
        {
            *file = None;
        }
        match events.last_mut() {
            Some(Event::Progress {
                progress: Progress::Log { text: before },
                ..
            }) if before.len() + text.len() <= LOG_EVENT_BYTES => before.push_str(&text),
            _ if text.is_empty() => {}
            _ => events.push(Event::Progress {
                step: self.step,
                progress: Progress::Log { text },
            }),
        }
        if !whole {
            events.push(Event::Warning {
                step: Some(self.step),
                message: Sentence::new(
                    "日志超过了每个任务的上限（builds.log_limit），其余内容不再记录。",
                    "The log reached its limit (builds.log_limit); the rest of it is not kept.",
                ),
            });
        }
    }
}

fn remember(last_lines: &mut VecDeque<String>, text: &str) {
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if last_lines.len() == LAST_LINES {
            last_lines.pop_front();
        }
        let end = line.floor_char_boundary(LAST_LINE_BYTES);
        last_lines.push_back(line[..end].to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_ends_with_the_last_line_that_fits() {
        let budget = LogBudget::new(20);
        let mut text = "12345678\n".to_owned();
        assert!(budget.take(&mut text) && !budget.is_spent());
        let mut text = "abc\ndef\nlong line\n".to_owned();
        assert!(!budget.take(&mut text) && budget.is_spent());
        assert_eq!(text, "abc\ndef\n");
    }

    #[test]
    fn the_last_lines_are_kept_and_cut() {
        let mut lines = VecDeque::new();
        for number in 0..100 {
            remember(&mut lines, &format!("line {number}\n\n"));
        }
        remember(&mut lines, &"é".repeat(1000));
        assert_eq!(lines.len(), LAST_LINES);
        assert_eq!(lines[0], "line 81");
        assert_eq!(lines[LAST_LINES - 1].len(), LAST_LINE_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed_only_when_nothing_is_heard() {
        let activity = Activity::new();
        let silence = Duration::from_mins(1);
        let begun = Instant::now();
        let waiting = activity.silent_for(silence);
        tokio::pin!(waiting);
        for _ in 0..5 {
            tokio::select! {
                () = &mut waiting => panic!("was not silent"),
                () = tokio::time::sleep(Duration::from_secs(30)) => activity.heard(),
            }
        }
        waiting.await;
        assert_eq!(begun.elapsed(), Duration::from_secs(150) + silence);
    }
}

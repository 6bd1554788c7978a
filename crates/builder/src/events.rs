//! The way of a step's progress into the store: one task per step that takes what the engine
//! reports, masks secrets, remembers the last lines for a failure, and appends in batches.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fastbuild_engine::ProgressReceiver;
use fastbuild_spec::{
    event::{Event, Progress},
    state::Step,
};
use fastbuild_store::{Attempt, FencedError, Store};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{fs::File, io::AsyncWriteExt as _, time::Instant};

use crate::clock::SharedClock;

/// How many of a step's last lines a failure carries.
const LAST_LINES: usize = 20;
/// A line in a failure is cut at this many bytes.
const LAST_LINE_BYTES: usize = 500;
/// Events written in one transaction.
const BATCH: usize = 256;
/// A secret shorter than this is not looked for: masking it would shred the log and hide little.
const SHORTEST_MASKED: usize = 4;

/// When the engine was last heard, so that silence can be noticed.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    /// Heard just now.
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

/// Replaces secrets in text that people will read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mask(Vec<SecretString>);

impl Mask {
    pub(crate) fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        Self(
            secrets
                .into_iter()
                .filter(|secret| secret.expose_secret().len() >= SHORTEST_MASKED)
                .collect(),
        )
    }

    pub(crate) fn apply(&self, text: String) -> String {
        self.0.iter().fold(text, |text, secret| {
            if text.contains(secret.expose_secret()) {
                text.replace(secret.expose_secret(), "***")
            } else {
                text
            }
        })
    }
}

/// Writes one step's events.
#[derive(Debug)]
pub(crate) struct EventWriter {
    pub(crate) store: Store,
    pub(crate) clock: SharedClock,
    pub(crate) attempt: Attempt,
    pub(crate) step: Step,
    pub(crate) mask: Mask,
    pub(crate) activity: Activity,
    /// The step's log on disk, a copy for operators of what the store has.
    pub(crate) log_file: PathBuf,
}

impl EventWriter {
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
                let progress = match progress {
                    Progress::Log { text } => {
                        let text = self.mask.apply(text);
                        remember(&mut last_lines, &text);
                        if let Some(open) = &mut file
                            && open.write_all(text.as_bytes()).await.is_err()
                        {
                            file = None;
                        }
                        Progress::Log { text }
                    }
                    other => other,
                };
                events.push(Event::Progress {
                    step: self.step,
                    progress,
                });
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
    fn secrets_are_masked_and_short_ones_left() {
        let mask = Mask::new(["Alkaid123456", " ", "harbor-pw"].map(SecretString::from));
        assert_eq!(
            mask.apply("login harbor-pw as Alkaid123456 ok".to_owned()),
            "login *** as *** ok"
        );
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

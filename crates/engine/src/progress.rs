//! A queue for build progress. The sender never waits and memory is bounded.
//!
//! Log lines are joined: a reader that keeps up gets them every 50 ms or every 8 KB, a slow one gets larger
//! chunks. Layer transfers are throttled per layer. Output that a stalled reader could not take is dropped,
//! and a line in the log says how much.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fastbuild_spec::event::Progress;
use tokio::{sync::Notify, time::Instant};

/// A log piece of this many bytes is handed on at once.
const LOG_CHUNK_BYTES: usize = 8 * 1024;
/// A log piece waits this long for more lines.
const LOG_FLUSH_DELAY: Duration = Duration::from_millis(50);
/// A layer reports at most once in this time, changes of its status excepted.
const TRANSFER_INTERVAL: Duration = Duration::from_millis(500);
/// Log bytes the queue holds before it leaves lines out.
const MAX_QUEUED_LOG_BYTES: usize = 4 * 1024 * 1024;
/// Items the queue holds before it leaves layer transfers out.
const MAX_QUEUED_ITEMS: usize = 4096;

/// The sending half; cheap to clone. Sending never waits.
#[derive(Debug, Clone)]
pub struct ProgressSender {
    handle: Arc<SenderHandle>,
}

/// The receiving half.
#[derive(Debug)]
pub struct ProgressReceiver {
    shared: Arc<Shared>,
}

/// A queue for the progress of one build.
pub fn progress_channel() -> (ProgressSender, ProgressReceiver) {
    let shared = Arc::new(Shared::default());
    let handle = Arc::new(SenderHandle {
        shared: Arc::clone(&shared),
    });
    (ProgressSender { handle }, ProgressReceiver { shared })
}

#[derive(Debug)]
struct SenderHandle {
    shared: Arc<Shared>,
}

impl Drop for SenderHandle {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
    }
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code panics while it holds the lock, so a poisoned queue is still consistent.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Progress>,
    /// When the log piece at the front was begun; it is handed on `LOG_FLUSH_DELAY` later.
    oldest_log_at: Option<Instant>,
    log_bytes: usize,
    dropped_bytes: usize,
    layers: HashMap<String, (String, Instant)>,
    closed: bool,
    receiver_gone: bool,
}

impl ProgressSender {
    /// A sender without a receiver.
    pub fn discarding() -> Self {
        let (sender, _) = progress_channel();
        sender
    }

    /// Reports progress. A log's text must end in a newline.
    pub fn send(&self, progress: Progress) {
        let mut queue = self.handle.shared.lock();
        if queue.receiver_gone {
            return;
        }
        match progress {
            Progress::Log { text } => queue.push_log(text),
            Progress::Transfer {
                layer,
                status,
                current,
                total,
            } => queue.push_transfer(layer, status, current, total),
            stage @ Progress::Stage { .. } => queue.items.push_back(stage),
        }
        drop(queue);
        self.handle.shared.changed.notify_one();
    }

    /// Reports one line of output, given without its newline.
    pub(crate) fn line(&self, line: &str) {
        self.send(Progress::Log {
            text: format!("{line}\n"),
        });
    }
}

impl Queue {
    fn push_log(&mut self, text: String) {
        if self.log_bytes + text.len() > MAX_QUEUED_LOG_BYTES {
            self.dropped_bytes += text.len();
            return;
        }
        self.log_bytes += text.len();
        match self.items.back_mut() {
            Some(Progress::Log { text: before }) if before.len() < LOG_CHUNK_BYTES => {
                before.push_str(&text);
            }
            _ => {
                if self.items.is_empty() {
                    self.oldest_log_at = Some(Instant::now());
                }
                self.items.push_back(Progress::Log { text });
            }
        }
    }

    fn push_transfer(&mut self, layer: String, status: String, current: u64, total: Option<u64>) {
        let now = Instant::now();
        let news = match self.layers.get(&layer) {
            Some((before, at)) => *before != status || now.duration_since(*at) >= TRANSFER_INTERVAL,
            None => true,
        };
        if !news || self.items.len() >= MAX_QUEUED_ITEMS {
            return;
        }
        self.layers.insert(layer.clone(), (status.clone(), now));
        self.items.push_back(Progress::Transfer {
            layer,
            status,
            current,
            total,
        });
    }

    /// Takes the front, or says until when to wait for more of it.
    fn take(&mut self) -> Taken {
        if let Some(Progress::Log { text }) = self.items.front()
            && self.items.len() == 1
            && text.len() < LOG_CHUNK_BYTES
            && !self.closed
        {
            let due = *self.oldest_log_at.get_or_insert_with(Instant::now) + LOG_FLUSH_DELAY;
            if Instant::now() < due {
                return Taken::Later(due);
            }
        }
        let Some(item) = self.items.pop_front() else {
            return if self.closed {
                Taken::End
            } else {
                Taken::Nothing
            };
        };
        self.oldest_log_at = None;
        if let Progress::Log { text } = &item {
            self.log_bytes -= text.len();
        }
        if self.dropped_bytes > 0 && self.log_bytes < MAX_QUEUED_LOG_BYTES / 2 {
            let note = format!(
                "[{} bytes of output were left out here]\n",
                self.dropped_bytes
            );
            self.dropped_bytes = 0;
            self.log_bytes += note.len();
            self.items.push_back(Progress::Log { text: note });
        }
        Taken::Item(item)
    }
}

enum Taken {
    Item(Progress),
    Later(Instant),
    Nothing,
    End,
}

impl ProgressReceiver {
    /// The next progress; `None` once every sender is gone and everything was handed out.
    ///
    /// Cancel safe: what was not returned is returned by the next call.
    pub async fn recv(&mut self) -> Option<Progress> {
        loop {
            let taken = self.shared.lock().take();
            match taken {
                Taken::Item(item) => return Some(item),
                Taken::End => return None,
                Taken::Nothing => self.shared.changed.notified().await,
                Taken::Later(due) => {
                    tokio::select! {
                        () = self.shared.changed.notified() => {}
                        () = tokio::time::sleep_until(due) => {}
                    }
                }
            }
        }
    }
}

impl Drop for ProgressReceiver {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.receiver_gone = true;
        queue.items.clear();
    }
}

#[cfg(test)]
mod tests;

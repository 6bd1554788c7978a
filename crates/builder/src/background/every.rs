//! The one loop of background work.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// What begins a loop's next round before its interval is over. What comes while a round runs is
/// kept: the next one follows at once.
#[derive(Debug, Default)]
pub(crate) struct Nudge {
    notify: Option<Arc<Notify>>,
    changes: Option<watch::Receiver<u64>>,
}

impl Nudge {
    /// Nothing does.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// As before, or one who calls [`Notify::notify_one`].
    pub(crate) fn or_by(mut self, notify: &Arc<Notify>) -> Self {
        self.notify = Some(Arc::clone(notify));
        self
    }

    /// A change of what is subscribed to does.
    pub(crate) fn on_change(changes: watch::Receiver<u64>) -> Self {
        Self {
            notify: None,
            changes: Some(changes),
        }
    }

    async fn next(&mut self) {
        let notified = async {
            match &self.notify {
                Some(notify) => notify.notified().await,
                None => std::future::pending().await,
            }
        };
        let changed = async {
            if let Some(changes) = &mut self.changes
                && changes.changed().await.is_ok()
            {
                return;
            }
            // There is none, or the store is gone and nothing changes any more.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = notified => {}
            () = changed => {}
        }
    }
}

/// Runs `work` until `shutdown`: at once, then whenever `interval` has passed since it ended or a
/// `nudge` comes. A round that was begun is not cut off; one that may be listens to `shutdown`
/// itself.
pub(crate) async fn every<W: Future<Output = ()>>(
    interval: Duration,
    nudge: Nudge,
    shutdown: &CancellationToken,
    mut work: impl FnMut() -> W,
) {
    rounds(nudge, shutdown, || {
        let round = work();
        async move {
            round.await;
            interval
        }
    })
    .await;
}

/// As [`every`], for work that says itself how long to wait for the next round.
pub(crate) async fn rounds<W: Future<Output = Duration>>(
    mut nudge: Nudge,
    shutdown: &CancellationToken,
    mut work: impl FnMut() -> W,
) {
    while !shutdown.is_cancelled() {
        let wait = work().await;
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = nudge.next() => {}
            () = shutdown.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[tokio::test(start_paused = true)]
    async fn work_runs_at_once_after_each_interval_and_when_nudged() {
        let (shutdown, begun) = (CancellationToken::new(), Instant::now());
        let (notify, (change, changes)) = (Arc::new(Notify::new()), watch::channel(0));
        let count = Cell::new(0);
        let nudge = Nudge::on_change(changes).or_by(&notify);
        every(HOUR, nudge, &shutdown, || {
            count.set(count.get() + 1);
            match count.get() {
                // Nudged while it works: the next round follows at once.
                2 => notify.notify_one(),
                3 => change.send(1).unwrap(),
                5 => shutdown.cancel(),
                _ => {}
            }
            async {}
        })
        .await;
        assert_eq!(count.get(), 5);
        assert_eq!(begun.elapsed(), 2 * HOUR);
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_ends_the_wait() {
        let shutdown = CancellationToken::new();
        let begun = Instant::now();
        let stop = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            shutdown.cancel();
        };
        let work = every(HOUR, Nudge::none(), &shutdown, || async {});
        tokio::join!(work, stop);
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
    }
}

//! Event streams: any number of clients follow builds with few reads of the store.
//!
//! A build that is followed has one [`Feed`], a task that reads the number of its newest event: when the store
//! notifies it, and once a second, as a replica on the same database does not notify this process. Events are read in
//! pages of fixed bounds, so that clients at any position share what is in memory ([`pages`]); a client takes a few
//! kilobytes of a page at a time. Opening a stream starts nothing; a slow client delays only itself.

mod client;
mod log;
mod pages;
mod render;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use fastbuild_spec::failure::{Failure, ReasonCode};
use fastbuild_store::{EventHead, Store};
use tokio::{
    sync::{Semaphore, watch},
    task::AbortHandle,
};

use self::{client::Client, pages::Pages};
pub(crate) use self::{log::step_log, render::Format};
use crate::error::Error;

/// How long a feed waits for a notification before it reads by itself.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A feed reads no more often than this, however often it is notified.
const MIN_INTERVAL: Duration = Duration::from_millis(25);
/// When a client that finds no room may come back, in seconds.
const RETRY_AFTER_SECONDS: u32 = 5;

/// All streams of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Streams(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    pages: Pages,
    room: Arc<Semaphore>,
    most: usize,
    feeds: Mutex<HashMap<i64, Weak<Feed>>>,
    closing: watch::Sender<bool>,
}

/// How far the events of one build have come.
#[derive(Debug)]
struct Feed {
    head: watch::Receiver<Option<EventHead>>,
    polling: AbortHandle,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

impl Streams {
    /// Streams of what a store remembers, for at most so many clients at a time.
    pub(crate) fn new(store: Store, most: usize) -> Self {
        Self(Arc::new(Inner {
            pages: Pages::new(store.clone()),
            store,
            room: Arc::new(Semaphore::new(most)),
            most,
            feeds: Mutex::default(),
            closing: watch::Sender::new(false),
        }))
    }

    /// Opens a stream of a build's events after the one numbered `after`.
    ///
    /// # Errors
    /// `TooManyStreams` when there is no room for one more.
    pub(crate) fn open(&self, build_id: i64, after: i64, format: Format) -> Result<Client, Error> {
        let inner = &self.0;
        let Ok(permit) = Arc::clone(&inner.room).try_acquire_owned() else {
            return Err(Error::from(self.no_room()).retry_after(RETRY_AFTER_SECONDS));
        };
        Ok(Client::new(
            self.clone(),
            self.feed(build_id),
            permit,
            build_id,
            after,
            format,
        ))
    }

    /// Clients that follow builds at this moment.
    pub(crate) fn clients(&self) -> usize {
        self.0.most.saturating_sub(self.0.room.available_permits())
    }

    /// Ends every stream; clients come back to another process, or to the next one.
    pub(crate) fn close(&self) {
        self.0.closing.send_replace(true);
    }

    fn no_room(&self) -> Failure {
        let most = self.0.most;
        Failure::new(
            ReasonCode::TooManyStreams,
            format!("已有 {most} 个客户端正在接收事件流，达到上限。"),
            format!("{most} clients follow builds at this moment, and no more are taken."),
        )
    }

    /// The feed of a build; all its clients share one.
    fn feed(&self, build_id: i64) -> Arc<Feed> {
        let mut feeds = self.0.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = feeds.get(&build_id).and_then(Weak::upgrade) {
            return feed;
        }
        feeds.retain(|_, feed| feed.strong_count() > 0);
        let (sender, head) = watch::channel(None);
        let polling =
            tokio::spawn(poll_head(self.0.store.clone(), build_id, sender)).abort_handle();
        let feed = Arc::new(Feed { head, polling });
        feeds.insert(build_id, Arc::downgrade(&feed));
        feed
    }
}

/// Reads the number of a build's newest event again and again.
async fn poll_head(store: Store, build_id: i64, sender: watch::Sender<Option<EventHead>>) {
    // Subscribe *before* the first read: an event written after the read still notifies.
    let mut written = store.subscribe_events();
    loop {
        written.borrow_and_update();
        match store.event_head(build_id).await {
            Ok(head) => {
                sender.send_if_modified(|known| {
                    let news = *known != Some(head);
                    *known = Some(head);
                    news
                });
            }
            Err(error) => {
                tracing::warn!(%error, build_id, "failed to read the newest event of a build");
            }
        }
        tokio::select! {
            _ = written.changed() => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
        tokio::time::sleep(MIN_INTERVAL).await;
    }
}

//! Event streams: any number of clients that follow builds, at the cost of few reads.
//!
//! A build that is followed has one [`Feed`], a task that looks how far its events have come:
//! when the store's bell rings, and now and then without one, since another process on the same
//! database rings no bell here. Events are read by pages of fixed bounds, so that clients at any
//! position share what is in memory ([`pages`]); a client takes a few kilobytes of a page at a
//! time. Opening a stream starts nothing and holds nothing back: a slow client is slow alone.

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

/// How long a feed waits for the bell before it looks by itself.
const POLL: Duration = Duration::from_secs(1);
/// A feed looks no more often than this, however often the bell rings.
const PAUSE: Duration = Duration::from_millis(25);
/// When a client that finds no room may come back, in seconds.
const COME_BACK: u32 = 5;

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
    looking: AbortHandle,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.looking.abort();
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
            return Err(Error::from(self.no_room()).retry_after(COME_BACK));
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
        let looking = tokio::spawn(look(self.0.store.clone(), build_id, sender)).abort_handle();
        let feed = Arc::new(Feed { head, looking });
        feeds.insert(build_id, Arc::downgrade(&feed));
        feed
    }
}

/// Looks again and again how far a build's events have come.
async fn look(store: Store, build_id: i64, sender: watch::Sender<Option<EventHead>>) {
    // The bell is heard from before the first look: what is written after it rings.
    let mut bell = store.subscribe_events();
    loop {
        bell.borrow_and_update();
        match store.event_head(build_id).await {
            Ok(head) => {
                sender.send_if_modified(|known| {
                    let news = *known != Some(head);
                    *known = Some(head);
                    news
                });
            }
            Err(error) => tracing::warn!(%error, build_id, "a build's events cannot be looked for"),
        }
        tokio::select! {
            _ = bell.changed() => {}
            () = tokio::time::sleep(POLL) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

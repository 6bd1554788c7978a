//! One client of an event stream.

use std::{sync::Arc, time::Duration};

use fastbuild_store::{EventHead, StoreError};
use futures_util::{Stream, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::Instant,
};

use super::{Feed, Format, Streams};

/// A piece that is handed to the connection at a time has about so many bytes: a client that does
/// not read holds a few of them, and no more.
const PIECE: usize = 4 * 1024;
/// How often a stream on which nothing happens shows that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// One client that follows a build.
#[derive(Debug)]
pub(crate) struct Client {
    streams: Streams,
    head: watch::Receiver<Option<EventHead>>,
    closing: watch::Receiver<bool>,
    build_id: i64,
    /// The number of the last event that was handed on.
    position: i64,
    format: Format,
    ended: bool,
    /// Held while the client is there: the feed ends with its last client.
    _feed: Arc<Feed>,
    _permit: OwnedSemaphorePermit,
}

impl Client {
    pub(super) fn new(
        streams: Streams,
        feed: Arc<Feed>,
        permit: OwnedSemaphorePermit,
        build_id: i64,
        after: i64,
        format: Format,
    ) -> Self {
        let mut head = feed.head.clone();
        // What the feed knows already counts as news to this client.
        head.mark_changed();
        Self {
            head,
            closing: streams.0.closing.subscribe(),
            streams,
            build_id,
            position: after.max(0),
            format,
            ended: false,
            _feed: feed,
            _permit: permit,
        }
    }

    /// The stream's text, piece by piece.
    pub(crate) fn pieces(self) -> impl Stream<Item = Result<String, StoreError>> {
        stream::try_unfold(self, |mut client| async move {
            let piece = client
                .next()
                .await
                // The client comes back with the number of its last event.
                .inspect_err(|error| tracing::error!(%error, "an event stream broke off"))?;
            Ok(piece.map(|piece| (piece, client)))
        })
    }

    async fn next(&mut self) -> Result<Option<String>, StoreError> {
        let quiet_until = Instant::now() + SIGN_OF_LIFE;
        while !self.ended && !*self.closing.borrow() {
            let head = *self.head.borrow_and_update();
            if let Some(head) = head {
                if self.position < head.last {
                    let piece = self.read(head.last).await?;
                    if !piece.is_empty() {
                        return Ok(Some(piece));
                    }
                    continue;
                }
                if head.is_over() {
                    self.ended = true;
                    return Ok(Some(self.format.end(head.state, head.last)));
                }
            }
            tokio::select! {
                changed = self.head.changed() => if changed.is_err() {
                    return Ok(None);
                },
                _ = self.closing.changed() => {}
                () = tokio::time::sleep_until(quiet_until) => {
                    return Ok(Some(self.format.sign_of_life().to_owned()));
                }
            }
        }
        Ok(None)
    }

    /// Some of the events after this client's position; none where there are only numbers whose
    /// events were dropped.
    async fn read(&mut self, newest: i64) -> Result<String, StoreError> {
        let pages = &self.streams.0.pages;
        let page = pages.page(self.build_id, self.position, newest).await?;
        let mut piece = String::new();
        let after = self.position;
        for event in page.events.iter().filter(|event| event.seq > after) {
            if piece.len() >= PIECE {
                return Ok(piece);
            }
            event.write(self.format, &mut piece);
            self.position = event.seq;
        }
        self.position = self.position.max(page.known_to);
        Ok(piece)
    }
}

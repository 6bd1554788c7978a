//! Wake-ups, so that nobody waits for a poll. A wake-up is a hint, never the truth: subscribe
//! first, then look, then wait; and look now and then even without one.
//!
//! Within a process a bell rings. Between processes on one PostgreSQL database the ringing is
//! passed on by NOTIFY; one that is lost there is made up for by the look without a wake-up.

use strum::IntoEnumIterator as _;
use tokio::sync::watch;

use crate::Store;

/// What can become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Kind {
    Queue,
    Deliveries,
    Cancels,
    Events,
}

/// One bell for each kind of thing that can become due.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wake {
    queue: Bell,
    deliveries: Bell,
    cancels: Bell,
    events: Bell,
}

/// Who waits here hears both; other processes are told of what was rung here.
#[derive(Debug, Clone, Default)]
struct Bell {
    heard: watch::Sender<u64>,
    rung: watch::Sender<u64>,
}

fn count_up(sender: &watch::Sender<u64>) {
    sender.send_modify(|count| *count = count.wrapping_add(1));
}

impl Wake {
    fn bell(&self, kind: Kind) -> &Bell {
        match kind {
            Kind::Queue => &self.queue,
            Kind::Deliveries => &self.deliveries,
            Kind::Cancels => &self.cancels,
            Kind::Events => &self.events,
        }
    }

    fn ring(&self, kind: Kind) {
        self.hear(kind);
        count_up(&self.bell(kind).rung);
    }

    /// Rings here what was rung in another process.
    pub(crate) fn hear(&self, kind: Kind) {
        count_up(&self.bell(kind).heard);
    }

    /// Rings everything here, since nobody knows what was rung in other processes.
    pub(crate) fn hear_all(&self) {
        for kind in Kind::iter() {
            self.hear(kind);
        }
    }

    /// Changes when this process has something to tell the others.
    pub(crate) fn rung(&self, kind: Kind) -> watch::Receiver<u64> {
        self.bell(kind).rung.subscribe()
    }

    pub(crate) fn queue(&self) {
        self.ring(Kind::Queue);
    }

    pub(crate) fn deliveries(&self) {
        self.ring(Kind::Deliveries);
    }

    pub(crate) fn cancels(&self) {
        self.ring(Kind::Cancels);
    }

    pub(crate) fn events(&self) {
        self.ring(Kind::Events);
    }
}

impl Store {
    /// Changes when a build was queued or came back to the queue. `changed().await` on the
    /// receiver misses nothing that happened after this call.
    pub fn subscribe_queue(&self) -> watch::Receiver<u64> {
        self.wake.queue.heard.subscribe()
    }

    /// Changes when a delivery was added or rescheduled.
    pub fn subscribe_deliveries(&self) -> watch::Receiver<u64> {
        self.wake.deliveries.heard.subscribe()
    }

    /// Changes when a running build was asked to stop; [`Store::cancel_requested`] says which.
    pub fn subscribe_cancels(&self) -> watch::Receiver<u64> {
        self.wake.cancels.heard.subscribe()
    }

    /// Changes when any build got new events.
    pub fn subscribe_events(&self) -> watch::Receiver<u64> {
        self.wake.events.heard.subscribe()
    }
}

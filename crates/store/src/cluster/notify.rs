//! Notifications, so that nobody waits for a poll. A notification is a hint, never the truth:
//! subscribe first, then query, then wait; and query now and then even without one.
//!
//! In one process they go through `watch` channels. Between processes on one PostgreSQL database
//! [`super::notify_postgres`] forwards them by NOTIFY; one that is lost there is made up for by the
//! next poll.

use strum::IntoEnumIterator as _;
use tokio::sync::watch;

use crate::Store;

/// What can become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Topic {
    Queue,
    Deliveries,
    Cancels,
    Events,
}

/// The channels of all topics. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notifier {
    queue: Channel,
    deliveries: Channel,
    cancels: Channel,
    events: Channel,
}

/// One topic's two counters.
#[derive(Debug, Clone, Default)]
struct Channel {
    /// Grows with every notification, whichever process it comes from. Subscribers wait on it.
    received: watch::Sender<u64>,
    /// Grows with those of this process. The bridge to other processes waits on it.
    sent: watch::Sender<u64>,
}

fn increment(sender: &watch::Sender<u64>) {
    sender.send_modify(|count| *count = count.wrapping_add(1));
}

impl Notifier {
    fn channel(&self, topic: Topic) -> &Channel {
        match topic {
            Topic::Queue => &self.queue,
            Topic::Deliveries => &self.deliveries,
            Topic::Cancels => &self.cancels,
            Topic::Events => &self.events,
        }
    }

    fn notify(&self, topic: Topic) {
        self.receive(topic);
        increment(&self.channel(topic).sent);
    }

    /// Wakes the subscribers of this process for what another process sent.
    pub(crate) fn receive(&self, topic: Topic) {
        increment(&self.channel(topic).received);
    }

    /// Wakes all subscribers of this process: what other processes sent is not known.
    pub(crate) fn receive_all(&self) {
        for topic in Topic::iter() {
            self.receive(topic);
        }
    }

    /// Changes when this process has sent something that the others should get.
    pub(crate) fn sent(&self, topic: Topic) -> watch::Receiver<u64> {
        self.channel(topic).sent.subscribe()
    }

    pub(crate) fn notify_queue(&self) {
        self.notify(Topic::Queue);
    }

    pub(crate) fn notify_deliveries(&self) {
        self.notify(Topic::Deliveries);
    }

    pub(crate) fn notify_cancels(&self) {
        self.notify(Topic::Cancels);
    }

    pub(crate) fn notify_events(&self) {
        self.notify(Topic::Events);
    }
}

impl Store {
    /// Changes when a build was queued or requeued. `changed().await` on the receiver misses
    /// nothing that happened after this call.
    pub fn subscribe_queue(&self) -> watch::Receiver<u64> {
        self.notifier.queue.received.subscribe()
    }

    /// Changes when a delivery was added or rescheduled.
    pub fn subscribe_deliveries(&self) -> watch::Receiver<u64> {
        self.notifier.deliveries.received.subscribe()
    }

    /// Changes when somebody asked to cancel a running build; [`Store::cancel_requested`] says
    /// which.
    pub fn subscribe_cancels(&self) -> watch::Receiver<u64> {
        self.notifier.cancels.received.subscribe()
    }

    /// Changes when any build got new events.
    pub fn subscribe_events(&self) -> watch::Receiver<u64> {
        self.notifier.events.received.subscribe()
    }
}

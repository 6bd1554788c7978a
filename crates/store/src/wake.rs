//! Wake-ups, so that nobody waits for a poll. A wake-up is a hint, never the truth: subscribe
//! first, then look, then wait; and look now and then even without one, since another process
//! on the same database cannot wake this one.

use tokio::sync::watch;

use crate::Store;

/// One bell for each kind of thing that can become due.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wake {
    queue: watch::Sender<u64>,
    deliveries: watch::Sender<u64>,
    cancels: watch::Sender<u64>,
    events: watch::Sender<u64>,
}

fn ring(bell: &watch::Sender<u64>) {
    bell.send_modify(|count| *count = count.wrapping_add(1));
}

impl Wake {
    pub(crate) fn queue(&self) {
        ring(&self.queue);
    }

    pub(crate) fn deliveries(&self) {
        ring(&self.deliveries);
    }

    pub(crate) fn cancels(&self) {
        ring(&self.cancels);
    }

    pub(crate) fn events(&self) {
        ring(&self.events);
    }
}

impl Store {
    /// Changes when a build was queued or came back to the queue. `changed().await` on the
    /// receiver misses nothing that happened after this call.
    pub fn subscribe_queue(&self) -> watch::Receiver<u64> {
        self.wake.queue.subscribe()
    }

    /// Changes when a delivery was added or rescheduled.
    pub fn subscribe_deliveries(&self) -> watch::Receiver<u64> {
        self.wake.deliveries.subscribe()
    }

    /// Changes when a running build was asked to stop; [`Store::cancel_requested`] says which.
    pub fn subscribe_cancels(&self) -> watch::Receiver<u64> {
        self.wake.cancels.subscribe()
    }

    /// Changes when any build got new events.
    pub fn subscribe_events(&self) -> watch::Receiver<u64> {
        self.wake.events.subscribe()
    }
}

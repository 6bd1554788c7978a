//! Polls for cancel requests whose notification was lost.
//!
//! A cancel request of this process notifies its worker at once, one of another process through
//! the database. A notification can be lost on the way; one query per second for all builds of this
//! process bounds the delay.

use std::time::Duration;

use crate::builder::Builder;

/// How often the database is polled.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

impl Builder {
    /// Polls forever. Where no other process shares the database there is nothing to poll for.
    pub(crate) async fn poll_cancels(self) {
        if !self.store().is_shared() {
            return;
        }
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            if let Err(error) = self.store().ring_cancels_of(&self.options().worker).await {
                tracing::warn!(%error, "failed to poll for cancel requests");
            }
        }
    }
}

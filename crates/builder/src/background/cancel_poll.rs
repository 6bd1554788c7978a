//! Wishes to cancel that reach the process which runs the build although nobody told it.
//!
//! A wish that is made in this process rings at once, one that is made in another is told by it.
//! What was told can be lost on the way; so the database is asked every second, with one question
//! for all builds of this process, and the engine is idle within two seconds in any case.

use std::time::Duration;

use crate::builder::Builder;

/// How often the database is asked.
const ASK: Duration = Duration::from_secs(1);

impl Builder {
    /// Rings for cancelled builds of this process that were not told of; never ends. Where nobody
    /// shares the database there are none.
    pub(crate) async fn poll_cancels(self) {
        if !self.store().is_shared() {
            return;
        }
        loop {
            tokio::time::sleep(ASK).await;
            if let Err(error) = self.store().ring_cancels_of(&self.options().worker).await {
                tracing::warn!(%error, "it could not be asked which builds were cancelled");
            }
        }
    }
}

//! Cancelling a build.

use fastbuild_spec::failure::{Failure, ReasonCode};
use fastbuild_store::{Build, CancelOutcome};

use crate::{
    builder::{Builder, stored},
    callbacks::message::callback_of,
};

impl Builder {
    /// Stops a build: a queued one ends at once, a running one as soon as its engine lets go.
    /// Says whether it has ended already.
    ///
    /// # Errors
    /// `NotFound` for an unknown build, `WrongState` for one that had ended before.
    pub async fn cancel(&self, build_id: i64) -> Result<bool, Failure> {
        let headers = self.callback_headers().await?;
        let now = self.clock().now();
        let outcome = self
            .store()
            .request_cancel(
                build_id,
                &|build: &Build| callback_of(build, &headers, now),
                now,
            )
            .await
            .map_err(|error| stored(&error))?;
        match outcome {
            CancelOutcome::Ended(build) => {
                self.metrics().build_ended(&build);
                Ok(true)
            }
            CancelOutcome::Requested => Ok(false),
            CancelOutcome::NotFound => Err(Failure::build_not_found(build_id)),
            CancelOutcome::AlreadyEnded(state) => Err(Failure::new(
                ReasonCode::WrongState,
                format!("任务id<{build_id}>任务已经结束（{state}），无法取消。"),
                format!("The build {build_id} has ended already ({state})."),
            )),
        }
    }
}

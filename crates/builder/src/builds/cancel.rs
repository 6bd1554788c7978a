//! Cancelling a build.

use fastbuild_spec::failure::{Failure, ReasonCode};
use fastbuild_store::{Build, CancelOutcome};

use crate::{builds::Builds, callbacks::message::callback_of};

impl Builds {
    /// Stops a build: a queued one ends at once, a running one as soon as its engine lets go.
    /// Says whether it has ended already.
    ///
    /// # Errors
    /// `NotFound` for an unknown build, `WrongState` for one that had ended before.
    pub async fn cancel(&self, build_id: i64) -> Result<bool, Failure> {
        let headers = self.callbacks.headers().await?;
        let now = self.common.now();
        let outcome = self
            .common
            .store
            .request_cancel(
                build_id,
                &|build: &Build| callback_of(build, &headers, now),
                now,
            )
            .await?;
        match outcome {
            CancelOutcome::Ended(build) => {
                self.common.metrics.build_ended(&build);
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

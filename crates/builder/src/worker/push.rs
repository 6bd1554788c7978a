//! The push step: pushes the built image, and retries while the registry is unavailable.

use std::time::Duration;

use fastbuild_engine::{
    ProgressSender, Pushed,
    crash::{self, CrashPoint},
};
use fastbuild_spec::failure::Failure;

use crate::{
    images::log,
    worker::{attempt::Attempt, step::timed_out},
};

impl Attempt<'_> {
    /// Pushes the image within its own time limit.
    pub(crate) async fn push_in_time(&self, progress: &ProgressSender) -> Result<Pushed, Failure> {
        let seconds = self.limits.push;
        let limit = Duration::from_secs(seconds);
        let Ok(pushed) = tokio::time::timeout(limit, self.push_with_retries(progress)).await else {
            let target = &self.claimed.spec.target;
            return Err(timed_out(
                format!("推送镜像 {target} 超过了 {seconds} 秒的时间上限。"),
                format!("The push of {target} took longer than its limit of {seconds} seconds."),
            ));
        };
        pushed
    }

    /// Pushes the image. While the registry is unavailable or breaks off, the push is retried: the
    /// image stays on the engine and is not built again.
    async fn push_with_retries(&self, progress: &ProgressSender) -> Result<Pushed, Failure> {
        let target = &self.claimed.spec.target;
        let mut delays = self.worker.common.options.builds.push_retry_delays.iter();
        crash::pass(CrashPoint::BeforePush);
        loop {
            let pushed = self
                .context
                .engine
                .push(target, Some(&self.context.registry), progress)
                .await;
            let error = match pushed {
                Ok(pushed) => return Ok(pushed),
                Err(error) => error,
            };
            let failure = error.failure();
            let (true, Some(delay)) = (error.is_transient(), delays.next()) else {
                return Err(failure);
            };
            log(
                progress,
                &format!(
                    "{} The image is pushed again in {} seconds.\n",
                    failure.message.en,
                    delay.as_secs()
                ),
            );
            tokio::time::sleep(*delay).await;
        }
    }
}

//! The push step: pushes the built image, and retries while the registry is unavailable.

use std::time::Duration;

use fastbuild_engine::{
    ProgressSender, Pushed,
    crash::{self, CrashPoint},
};
use fastbuild_spec::{event::Event, failure::Failure, state::Step};
use fastbuild_store::FencedError;

use crate::{
    common::internal,
    images::{log, registry_monitor::RegistryOutage, registry_retry::RetrySchedule},
    worker::{attempt::Attempt, step::timed_out},
};

/// How often a push that waits for the registry writes a line to its log.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

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

    /// Pushes the image, which stays on the engine meanwhile: it is not built again when the registry
    /// breaks off or is down for a while.
    async fn push_with_retries(&self, progress: &ProgressSender) -> Result<Pushed, Failure> {
        let target = &self.claimed.spec.target;
        let delays = &self.worker.common.options.builds.registry_retry_delays;
        let registry = self.worker.images.registry_monitor();
        crash::pass(CrashPoint::BeforePush);
        loop {
            let mut schedule = RetrySchedule::new(delays, "push");
            let error = loop {
                let pushed = self
                    .context
                    .engine
                    .push(target, Some(&self.context.registry), progress)
                    .await;
                let waited = match pushed {
                    Ok(pushed) => return Ok(pushed),
                    Err(error) => schedule.wait_after(error, None, progress).await,
                };
                if let Err(error) = waited {
                    break error;
                }
            };
            let outage = if error.is_transient() && self.context.is_ours(target) {
                registry.report_unavailable(self.context).await
            } else {
                None
            };
            match outage {
                Some(outage) => self.wait_for_registry(&outage, progress).await?,
                None => return Err(error.failure()),
            }
        }
    }

    /// Waits until the registry answers, and says so in the build's events and log.
    async fn wait_for_registry(
        &self,
        outage: &RegistryOutage,
        progress: &ProgressSender,
    ) -> Result<(), Failure> {
        let message = outage.sentence();
        let text = format!("{}\n", message.en);
        let event = Event::Warning {
            step: Some(Step::Push),
            message,
        };
        self.worker
            .common
            .store
            .append_events(self.claimed.attempt, vec![event], self.now())
            .await
            .map_err(|error| match error {
                FencedError::Store(error) => error.into(),
                // The next write of the step ends the attempt.
                refused => internal(&refused),
            })?;
        let available = self.worker.images.registry_monitor().available();
        tokio::pin!(available);
        loop {
            // A step that logs nothing is timed out.
            log(progress, &text);
            if tokio::time::timeout(LOG_INTERVAL, &mut available)
                .await
                .is_ok()
            {
                return Ok(());
            }
        }
    }
}

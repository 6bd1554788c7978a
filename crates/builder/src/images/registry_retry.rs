//! Repeats a pull or push that the registry broke off, by one schedule for both.

use std::time::Duration;

use fastbuild_engine::{EngineError, ProgressSender};

use crate::images::log;

/// The longest wait that a registry may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(2);

/// The waits between the tries of one pull or push.
#[derive(Debug)]
pub(crate) struct RetrySchedule<'a> {
    delays: std::slice::Iter<'a, Duration>,
    /// `pull` or `push`, for the log.
    action: &'static str,
}

impl<'a> RetrySchedule<'a> {
    /// As many retries as there are delays.
    pub(crate) fn new(delays: &'a [Duration], action: &'static str) -> Self {
        Self {
            delays: delays.iter(),
            action,
        }
    }

    /// Waits for the next try, not less than the registry asks for: with the error itself, or with
    /// `retry_after` where it was asked for that.
    ///
    /// # Errors
    /// The error itself when time does not mend it, or all tries are used up.
    pub(crate) async fn wait_after(
        &mut self,
        error: EngineError,
        retry_after: Option<Duration>,
        progress: &ProgressSender,
    ) -> Result<(), EngineError> {
        let delay = match self.delays.next() {
            Some(delay) if error.is_transient() => *delay,
            _ => return Err(error),
        };
        let delay = delay.max(
            error
                .retry_after()
                .or(retry_after)
                .unwrap_or_default()
                .min(MAX_RETRY_AFTER),
        );
        log(
            progress,
            &format!(
                "{} The {} is tried again in {} seconds.\n",
                error.failure().message.en,
                self.action,
                delay.as_secs()
            ),
        );
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use fastbuild_engine::{PushRefusal, RegistryProblem, progress_channel};

    use super::*;

    fn unavailable(problem: RegistryProblem) -> EngineError {
        EngineError::RegistryUnavailable {
            registry: "registry.example".to_owned(),
            problem,
            detail: "502 Bad Gateway".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unavailable_registry_is_tried_again_after_each_delay() {
        let delays = [Duration::from_secs(2), Duration::from_secs(10)];
        let mut schedule = RetrySchedule::new(&delays, "pull");
        let (progress, _receiver) = progress_channel();
        let started = tokio::time::Instant::now();
        let gateway = || unavailable(RegistryProblem::ServerError);
        for elapsed in [2, 12] {
            assert_eq!(
                schedule.wait_after(gateway(), None, &progress).await,
                Ok(())
            );
            assert_eq!(started.elapsed(), Duration::from_secs(elapsed));
        }
        let last = schedule.wait_after(gateway(), None, &progress).await;
        assert_eq!(last, Err(gateway()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_says_when_to_come_back_is_not_asked_earlier_within_a_limit() {
        let delays = [Duration::from_secs(2); 3];
        let mut schedule = RetrySchedule::new(&delays, "pull");
        let (progress, _receiver) = progress_channel();
        for (asked, waited) in [(1, 2), (30, 30), (3600, 120)] {
            let started = tokio::time::Instant::now();
            let limited = unavailable(RegistryProblem::RateLimited {
                retry_after: Some(Duration::from_secs(asked)),
            });
            assert_eq!(schedule.wait_after(limited, None, &progress).await, Ok(()));
            assert_eq!(started.elapsed(), Duration::from_secs(waited));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_that_time_does_not_mend_is_returned_at_once() {
        let delays = [Duration::from_secs(2)];
        let mut schedule = RetrySchedule::new(&delays, "push");
        let (progress, _receiver) = progress_channel();
        let denied = EngineError::PushDenied {
            image: "registry.example/a:1".to_owned(),
            reason: PushRefusal::Rights,
            detail: "denied".to_owned(),
        };
        let started = tokio::time::Instant::now();
        let refused = schedule.wait_after(denied.clone(), None, &progress).await;
        assert_eq!((refused, started.elapsed()), (Err(denied), Duration::ZERO));
    }
}

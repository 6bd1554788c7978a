//! One step of an attempt: its rows and events, what ends it, and what its failure means for the
//! build.

use std::time::Duration;

use fastbuild_engine::{ProgressSender, progress_channel};
use fastbuild_spec::{
    diagnose::diagnose,
    failure::{Failure, ReasonCode},
    requeue::RequeueReason,
    state::{BuildState, Step, StepStatus},
};
use fastbuild_store::AttemptOutcome;
use tokio::time::Instant;

use crate::{
    builds::files::log_file,
    duration_ms,
    images::log,
    worker::{
        attempt::Attempt,
        step_log::{Activity, LAST_LINES, StepLogWriter},
    },
};

impl Attempt<'_> {
    /// Runs one step: its rows and events, its time limits, and what its failure means.
    pub(crate) async fn step<T>(
        &self,
        step: Step,
        work: impl AsyncFnOnce(&ProgressSender) -> Result<T, Failure>,
    ) -> Result<T, AttemptOutcome> {
        let store = &self.worker.common.store;
        let attempt = self.claimed.attempt;
        store.step_started(attempt, step, self.now()).await?;
        tracing::debug!(%step, "started step");
        let started = Instant::now();
        let (sender, receiver) = progress_channel();
        let activity = Activity::new();
        let writer = StepLogWriter {
            store: store.clone(),
            clock: self.worker.common.clock.clone(),
            attempt,
            step,
            mask: self.mask(),
            budget: self.log_budget.clone(),
            activity: activity.clone(),
            log_file: self.folder().join(log_file(step)),
        };
        let writing = tokio::spawn(writer.run(receiver));
        if let Some(reason) = self.claimed.build.requeue_reason
            && self.is_first_step(step)
        {
            let message = reason.next_attempt(self.claimed.attempt.number);
            log(&sender, &format!("{}\n", message.en));
        }
        let result = self.bounded(step, &activity, work(&sender)).await;
        // The failure that ends a build is told where its log is read, diagnosed and in the reader's language.
        if let Err(AttemptOutcome::Requeue(RequeueReason::EngineLost, failure)) = &result {
            log(
                &sender,
                &format!("{} {}\n", failure.message.en, failure.hint.en),
            );
        }
        drop(sender);
        let last_lines = match writing.await {
            Ok(result) => result?,
            Err(error) => {
                tracing::error!(%error, %step, "the writer of the step's log panicked");
                Vec::new()
            }
        };
        let status = match &result {
            Ok(_) => StepStatus::Success,
            Err(_) => StepStatus::Fail,
        };
        let elapsed = started.elapsed();
        tracing::info!(%step, %status, duration_ms = duration_ms(elapsed), "finished step");
        self.worker.common.metrics.step_ended(step, status, elapsed);
        match result {
            // The next attempt repeats the step: its row is not closed as failed.
            Err(outcome) if failure_of_step(&outcome).is_none() => Err(outcome),
            result => {
                store
                    .step_finished(attempt, step, status, self.now())
                    .await?;
                result.map_err(|outcome| in_step(outcome, step, last_lines))
            }
        }
    }

    fn is_first_step(&self, step: Step) -> bool {
        let first = match self.claimed.build.retried_from {
            Some(_) => Step::Push,
            None => Step::Pull,
        };
        step == first
    }

    /// Runs the work until it ends or something stops it. Dropping the work stops it on the engine.
    async fn bounded<T>(
        &self,
        step: Step,
        activity: &Activity,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, AttemptOutcome> {
        let limits = self.limits;
        let failed = |failure| Err(AttemptOutcome::Failed(BuildState::failed_at(step), failure));
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(AttemptOutcome::Release),
            () = self.cancelled.cancelled() => {
                Err(AttemptOutcome::Failed(BuildState::BuildAbort, Failure::build_cancelled()))
            }
            () = self.away.cancelled() => {
                Err(self.engine_lost(step, self.worker.engines.monitor().why_unreachable(&self.context.name)))
            }
            result = work => match result {
                Ok(value) => Ok(value),
                Err(failure) => Err(self.outcome_of(step, failure).await),
            },
            () = tokio::time::sleep_until(self.deadline) => failed(timed_out(
                format!("构建超过了 {} 秒的总时间上限。", limits.total),
                format!("The build took longer than its limit of {} seconds.", limits.total),
            )),
            () = activity.silent_for(Duration::from_secs(limits.silence)) => failed(timed_out(
                format!("步骤 {step} 连续 {} 秒没有任何输出。", limits.silence),
                format!("The step {step} printed nothing for {} seconds.", limits.silence),
            )),
        }
    }

    /// What a failure of the work means for the build.
    async fn outcome_of(&self, step: Step, failure: Failure) -> AttemptOutcome {
        match failure.code {
            // Our own fault, not the build's.
            ReasonCode::DatabaseUnavailable => {
                AttemptOutcome::Requeue(RequeueReason::DatabaseUnavailable, failure)
            }
            code if is_engine_unreachable(code) => self.engine_lost(step, failure),
            // A push waits itself, as its image is on the engine.
            ReasonCode::RegistryUnavailable if step != Step::Push => {
                match self
                    .worker
                    .images
                    .registry_monitor()
                    .report_unavailable(self.context)
                    .await
                {
                    Some(_) => AttemptOutcome::Requeue(RequeueReason::RegistryUnavailable, failure),
                    None => AttemptOutcome::Failed(BuildState::failed_at(step), failure),
                }
            }
            // An engine that breaks off in the middle may still report something about it, which is
            // not why the step failed.
            _ => match self.worker.engines.unreachable(&self.context.name).await {
                Some(unreachable) => self.engine_lost(step, unreachable),
                None => AttemptOutcome::Failed(BuildState::failed_at(step), failure),
            },
        }
    }

    /// The engine was lost: another attempt may succeed, there or elsewhere. A build whose engine
    /// has been away for longer than builds wait fails.
    pub(crate) fn engine_lost(&self, step: Step, failure: Failure) -> AttemptOutcome {
        let monitor = self.worker.engines.monitor();
        if monitor.is_given_up(&self.context.name, self.now()) {
            AttemptOutcome::Failed(BuildState::failed_at(step), failure)
        } else {
            AttemptOutcome::Requeue(RequeueReason::EngineLost, failure)
        }
    }
}

/// Whether a failure says that the engine cannot be reached.
pub(crate) fn is_engine_unreachable(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::EngineLost | ReasonCode::EngineUnreachable | ReasonCode::EngineTlsFailed
    )
}

/// The failure that the step itself ended with; `None` where the service or its database broke off.
fn failure_of_step(outcome: &AttemptOutcome) -> Option<&Failure> {
    match outcome {
        AttemptOutcome::Requeue(RequeueReason::DatabaseUnavailable, _) => None,
        AttemptOutcome::Failed(_, failure) | AttemptOutcome::Requeue(_, failure) => Some(failure),
        _ => None,
    }
}

/// Adds the step and its last lines to the failure. A failed step of the Dockerfile is explained
/// by what it printed rather than by its exit code.
fn in_step(outcome: AttemptOutcome, step: Step, last_lines: Vec<String>) -> AttemptOutcome {
    let in_step = |mut failure: Failure| {
        // What the failed step itself printed, where the engine tells it: others that ran beside it print too.
        let mut lines = std::mem::take(&mut failure.last_lines);
        if lines.is_empty() {
            lines = last_lines;
        }
        let diagnosed = (failure.code == ReasonCode::StepFailed)
            .then(|| diagnose(&lines))
            .flatten();
        let shown = lines.split_off(lines.len().saturating_sub(LAST_LINES));
        diagnosed.unwrap_or(failure).in_step(step, shown)
    };
    match outcome {
        AttemptOutcome::Failed(state, failure) => AttemptOutcome::Failed(state, in_step(failure)),
        AttemptOutcome::Requeue(reason, failure) => {
            AttemptOutcome::Requeue(reason, in_step(failure))
        }
        other => other,
    }
}

pub(crate) fn timed_out(zh: String, en: String) -> Failure {
    Failure::new(ReasonCode::TimedOut, zh, en)
}

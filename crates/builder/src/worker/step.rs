//! One step of a build: its rows and events, what ends it, and what its failure means.

use std::time::Duration;

use fastbuild_engine::{ProgressSender, progress_channel};
use fastbuild_spec::{
    diagnose::diagnose,
    failure::{Failure, ReasonCode},
    state::{BuildState, Step, StepStatus},
};
use tokio::time::Instant;

use crate::{
    builds::files::log_file,
    images::log,
    worker::attempt::{Attempt, AttemptError},
    worker::step_log::{Activity, StepLogWriter},
};

impl Attempt<'_> {
    /// Runs one step: its rows and events, its time limits, and what its failure means.
    pub(crate) async fn step<T>(
        &self,
        step: Step,
        work: impl AsyncFnOnce(&ProgressSender) -> Result<T, Failure>,
    ) -> Result<T, AttemptError> {
        let store = self.builder.store();
        let attempt = self.claimed.attempt;
        store.step_started(attempt, step, self.now()).await?;
        tracing::info!(%step, "step started");
        let started = Instant::now();
        let (sender, receiver) = progress_channel();
        let activity = Activity::new();
        let writer = StepLogWriter {
            store: store.clone(),
            clock: self.builder.clock().clone(),
            attempt,
            step,
            mask: self.mask(),
            budget: self.log_budget.clone(),
            activity: activity.clone(),
            log_file: self.folder().join(log_file(step)),
        };
        let writing = tokio::spawn(writer.run(receiver));
        let outcome = self.bounded(step, &activity, work(&sender)).await;
        if let Err(AttemptError::Failed(_, failure) | AttemptError::EngineLost(_, failure)) =
            &outcome
        {
            log(
                &sender,
                &format!("{} {}\n", failure.message.en, failure.hint.en),
            );
        }
        drop(sender);
        let last_lines = match writing.await {
            Ok(result) => result?,
            Err(error) => {
                tracing::error!(%error, "the writer of a step's events ended");
                Vec::new()
            }
        };
        let status = match &outcome {
            Ok(_) => StepStatus::Success,
            Err(_) => StepStatus::Fail,
        };
        let took = started.elapsed();
        tracing::info!(
            %step,
            %status,
            milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "step ended"
        );
        self.builder.metrics().step_ended(step, status, took);
        if let Err(
            AttemptError::ShuttingDown | AttemptError::Interrupted(_) | AttemptError::Fenced(_),
        ) = &outcome
        {
            return outcome;
        }
        store
            .step_finished(attempt, step, status, self.now())
            .await?;
        outcome.map_err(|stop| match stop {
            AttemptError::Failed(state, failure) => {
                AttemptError::Failed(state, place(failure, step, last_lines))
            }
            AttemptError::EngineLost(step, failure) => {
                AttemptError::EngineLost(step, place(failure, step, last_lines))
            }
            other => other,
        })
    }

    /// The work, or whatever ends it first. Dropping the work stops it on the engine.
    async fn bounded<T>(
        &self,
        step: Step,
        activity: &Activity,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, AttemptError> {
        let limits = self.limits;
        let ended = |failure| Err(AttemptError::Failed(BuildState::failed_at(step), failure));
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(AttemptError::ShuttingDown),
            () = self.cancelled.cancelled() => Err(AttemptError::Failed(BuildState::BuildAbort, Failure::build_cancelled())),
            () = self.away.cancelled() => {
                Err(self.lost(step, self.builder.engines().monitor().why_unreachable(&self.context.name)))
            }
            outcome = work => match outcome {
                Ok(value) => Ok(value),
                Err(failure) => Err(self.why(step, failure).await),
            },
            () = tokio::time::sleep_until(self.deadline) => ended(timed_out(
                format!("构建超过了 {} 秒的总时间上限。", limits.total),
                format!("The build took longer than its limit of {} seconds.", limits.total),
            )),
            () = activity.silent_for(Duration::from_secs(limits.silence)) => ended(timed_out(
                format!("步骤 {step} 连续 {} 秒没有任何输出。", limits.silence),
                format!("Nothing was heard of the step {step} for {} seconds.", limits.silence),
            )),
        }
    }

    /// What a failure of the work means for the build.
    async fn why(&self, step: Step, failure: Failure) -> AttemptError {
        match failure.code {
            // Our own fault, not the build's.
            ReasonCode::DatabaseUnavailable => AttemptError::Interrupted(failure),
            code if is_of_engine(code) => self.lost(step, failure),
            // An engine that breaks off in the middle may still say something about it, which is
            // not why the step failed.
            _ => match self.builder.engines().unreachable(&self.context.name).await {
                Some(gone) => self.lost(step, gone),
                None => AttemptError::Failed(BuildState::failed_at(step), failure),
            },
        }
    }

    /// The engine was lost: another attempt may succeed, there or elsewhere. One that has not been
    /// there for longer than builds wait is the end.
    pub(crate) fn lost(&self, step: Step, failure: Failure) -> AttemptError {
        let (engine, now) = (&self.context.name, self.now());
        if self.builder.engines().monitor().is_given_up(engine, now) {
            AttemptError::Failed(BuildState::failed_at(step), failure)
        } else {
            AttemptError::EngineLost(step, failure)
        }
    }
}

/// Whether a failure says that the engine is not there.
pub(crate) fn is_of_engine(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::EngineLost | ReasonCode::EngineUnreachable | ReasonCode::EngineTlsFailed
    )
}

/// Puts a failure into its step; a failed step of the Dockerfile is told by what its last lines
/// say rather than by its exit code.
fn place(failure: Failure, step: Step, mut last_lines: Vec<String>) -> Failure {
    let known = (failure.code == ReasonCode::StepFailed)
        .then(|| diagnose(&last_lines))
        .flatten();
    // The log's last line is this very failure, told once already.
    last_lines.pop();
    known.unwrap_or(failure).in_step(step, last_lines)
}

pub(crate) fn timed_out(zh: String, en: String) -> Failure {
    Failure::new(ReasonCode::TimedOut, zh, en)
}

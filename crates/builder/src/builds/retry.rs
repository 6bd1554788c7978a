//! Retries a finished build on a user's request: from its start, from its push, or its callback alone.

use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    state::{BuildState, RetryFrom},
};
use fastbuild_store::{Build, CallbackOutcome, DEFAULT_ENGINE, EnqueueError, RetryOutcome};

use crate::{builds::Builds, callbacks::message::callback_of};

impl Builds {
    /// Begins a build again that has ended: from its start, from the push of the image it made, or
    /// its callback alone. Returns its row.
    ///
    /// # Errors
    /// `NotFound` for an unknown build; `WrongState` with a sentence that says why it cannot be
    /// begun again so; `TargetTaken` when another build has its target now; for a push what the
    /// engine answered.
    pub async fn retry(&self, build_id: i64, from: RetryFrom) -> Result<Build, Failure> {
        match from {
            RetryFrom::Callback => self.tell_again(build_id).await?,
            RetryFrom::Push => {
                self.refuse_without_image(build_id).await?;
                self.restart(build_id, from).await?;
            }
            RetryFrom::Start => self.restart(build_id, from).await?,
        }
        tracing::info!(build = build_id, %from, "the build is tried again on request");
        self.known(build_id).await
    }

    async fn known(&self, build_id: i64) -> Result<Build, Failure> {
        self.common
            .store
            .build(build_id)
            .await?
            .ok_or_else(|| Failure::build_not_found(build_id))
    }

    async fn restart(&self, build_id: i64, from: RetryFrom) -> Result<(), Failure> {
        let outcome = self
            .common
            .store
            .retry(build_id, from, self.common.now())
            .await
            .map_err(|error| match error {
                EnqueueError::Store(error) => error.into(),
                taken @ EnqueueError::TargetTaken { .. } => taken.failure(),
            })?;
        match outcome {
            RetryOutcome::Queued(_) => Ok(()),
            RetryOutcome::NotFound => Err(Failure::build_not_found(build_id)),
            RetryOutcome::WrongState(state) => Err(wrong_state(build_id, state, from)),
            RetryOutcome::NoRequest => Err(Failure::new(
                ReasonCode::WrongState,
                format!("任务id<{build_id}>从旧系统迁移而来，没有保存可重新执行的请求。"),
                format!(
                    "The build {build_id} was taken over from an old installation, and its request \
                     is not kept in a form that can be run again."
                ),
            )
            .with_hint("请重新提交该请求。", "Submit the request anew.")),
        }
    }

    async fn tell_again(&self, build_id: i64) -> Result<(), Failure> {
        let headers = self.callbacks.headers().await?;
        let now = self.common.now();
        let outcome = self
            .common
            .store
            .redeliver_of_build(
                build_id,
                &headers,
                &|build: &Build| callback_of(build, &headers, now),
                now,
            )
            .await?;
        match outcome {
            CallbackOutcome::Due => Ok(()),
            CallbackOutcome::NotFound => Err(Failure::build_not_found(build_id)),
            CallbackOutcome::NotEnded(state) => {
                Err(wrong_state(build_id, state, RetryFrom::Callback))
            }
            CallbackOutcome::NoAddress => Err(Failure::new(
                ReasonCode::WrongState,
                format!("任务id<{build_id}>没有指定回调地址，无法重新回调。"),
                format!("The build {build_id} names no callback address: nobody is to be told."),
            )
            .with_hint(
                "请在提交任务时填写 callback_url。",
                "Name a callback_url when the build is submitted.",
            )),
        }
    }

    /// A push can only be tried again while the image that the build made is on the engine.
    async fn refuse_without_image(&self, build_id: i64) -> Result<(), Failure> {
        let build = self.known(build_id).await?;
        if !build.state.may_be_retried(RetryFrom::Push) {
            return Err(wrong_state(build_id, build.state, RetryFrom::Push));
        }
        let engine = build.engine.as_deref().unwrap_or(DEFAULT_ENGINE);
        let made = match self.engines.context(engine).await {
            Ok(context) => context.built_image(self.engines.labels(), &build).await?,
            Err(removed) if removed.code == ReasonCode::NotFound => None,
            Err(failure) => return Err(failure),
        };
        if made.is_some() {
            return Ok(());
        }
        Err(Failure::new(
            ReasonCode::WrongState,
            format!(
                "任务id<{build_id}>构建的镜像 {} 已不在 Docker 服务器上，无法只重新推送。",
                build.target_image
            ),
            format!(
                "The image {} that the build {build_id} made is no longer on the Docker server: it \
                 cannot be pushed again.",
                build.target_image
            ),
        )
        .with_culprit(build.target_image)
        .with_hint(
            "请从头重试该任务。",
            "Retry the build from its start instead.",
        ))
    }
}

fn wrong_state(build_id: i64, state: BuildState, from: RetryFrom) -> Failure {
    let (zh, en, hint_zh, hint_en) = if !state.is_terminal() {
        (
            format!("任务id<{build_id}>尚未结束（{state}），无法重试。"),
            format!("The build {build_id} has not ended ({state}): there is nothing to retry yet."),
            "请等待任务结束，或先取消它。",
            "Wait for its end, or cancel it first.",
        )
    } else if state == BuildState::PushSuccess {
        (
            format!("任务id<{build_id}>已成功，镜像已推送，无需重试。"),
            format!("The build {build_id} has succeeded and its image is pushed."),
            "如需重新构建，请以新的镜像名或标签提交；只需回调时请重试回调。",
            "Submit it under another name or tag to build it anew, or retry its callback alone.",
        )
    } else {
        (
            format!("任务id<{build_id}>以 {state} 结束，没有可以从 {from} 开始重试的内容。"),
            format!(
                "The build {build_id} ended as {state}, which leaves nothing to retry from its {from}."
            ),
            "请从头重试该任务。",
            "Retry the build from its start instead.",
        )
    };
    Failure::new(ReasonCode::WrongState, zh, en).with_hint(hint_zh, hint_en)
}

//! The verbs of the API's version 1 on build documents: taking one, once even if it is sent twice,
//! and showing what would become of one.

use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    plan::{self, BuildPlan, Dialect, PlanContext},
    request::{self, BuildRequest},
};
use fastbuild_store::{Build, BuildId, IdempotencyKey, StoredResponse};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{builds::Builds, builds::submit::Submitted};

/// What became of a build document.
#[derive(Debug)]
pub struct Submission {
    /// The build it became, now or when it came before under the same key.
    pub build_id: BuildId,
    /// What its caller is answered: the same each time it is sent under the key.
    pub answer: String,
}

/// A build that its caller was answered, or is still to be.
#[expect(clippy::large_enum_variant, reason = "it lives for one match")]
enum Replay {
    Answered(Submission),
    Unanswered(Build),
}

/// What a build document would become.
#[derive(Debug)]
pub struct Rendered {
    /// The plan, numbered 0.
    pub plan: BuildPlan,
    /// The document with its passwords masked.
    pub request: Value,
}

impl Builds {
    /// Takes a build document; under a `key`, at most once. `answer` writes what the caller is told of
    /// the build, which is stored with the key.
    ///
    /// # Errors
    /// Everything that can be refused before queueing: `NotConfigured`, `SpecInvalid` with every
    /// bad field, `MirrorMismatch`, `ToolMissing`, `TargetTaken`; `IdempotencyKeyReused` when the
    /// key came with another document before.
    pub async fn submit_document<E: From<Failure>>(
        &self,
        body: &Value,
        key: Option<String>,
        answer: impl AsyncFnOnce(Build) -> Result<String, E>,
    ) -> Result<Submission, E> {
        let key = key.map(|name| IdempotencyKey {
            name,
            request_hash: Sha256::digest(body.to_string()).to_vec(),
        });
        let build = match self.stored_answer(key.as_ref()).await? {
            Some(before) => self.replayed(before).await?,
            None => match self.accept_document(body, key.clone()).await {
                Ok(submitted) => Replay::Unanswered(submitted.build),
                // Sent twice at once: the other one was faster, and this one failed on what it did.
                Err(failure) => match self.stored_answer(key.as_ref()).await? {
                    Some(before) => self.replayed(before).await?,
                    None => return Err(failure.into()),
                },
            },
        };
        match build {
            Replay::Answered(submission) => Ok(submission),
            Replay::Unanswered(build) => {
                let build_id = build.id;
                let answer = answer(build).await?;
                if let Some(key) = &key {
                    let store = &self.common.store;
                    let written = store.store_response(&key.name, &answer).await;
                    written.map_err(Failure::from)?;
                }
                Ok(Submission { build_id, answer })
            }
        }
    }

    async fn accept_document(
        &self,
        body: &Value,
        key: Option<IdempotencyKey>,
    ) -> Result<Submitted, Failure> {
        self.engines.default_context().await?;
        let request = self.parse(body)?;
        self.accept(request, key).await
    }

    /// What is answered to a document that came before; the process may have died before it answered.
    async fn replayed(&self, before: StoredResponse) -> Result<Replay, Failure> {
        let build_id = before.build_id;
        if let Some(answer) = before.answer {
            return Ok(Replay::Answered(Submission { build_id, answer }));
        }
        let build = self.common.store.build(build_id).await;
        build?
            .map(Replay::Unanswered)
            .ok_or_else(|| Failure::build_not_found(build_id))
    }

    /// What became of the request that came under this key, if one did.
    async fn stored_answer(
        &self,
        key: Option<&IdempotencyKey>,
    ) -> Result<Option<StoredResponse>, Failure> {
        let Some(key) = key else {
            return Ok(None);
        };
        let kept = self.common.store.stored_response(&key.name).await?;
        match kept {
            Some(kept) if kept.request_hash != key.request_hash => Err(Failure::new(
                ReasonCode::IdempotencyKeyReused,
                format!(
                    "Idempotency-Key {} 已用于另一个请求（任务 {}）。",
                    key.name, kept.build_id
                ),
                format!(
                    "The Idempotency-Key {} was used for another request, build {}.",
                    key.name, kept.build_id
                ),
            )
            .with_culprit(key.name.clone())),
            kept => Ok(kept),
        }
    }

    /// The plan a build document would be built by. Nothing is queued, pulled or written.
    ///
    /// # Errors
    /// As for taking it; `WrongState` when it is not known yet what the base image contains.
    pub async fn render_document(&self, body: &Value) -> Result<Rendered, Failure> {
        let request = self.parse(body)?;
        let catalog = self.catalog.list().await?;
        plan::check(&request.spec, None, &catalog)?;
        let base = request.spec.base.to_string();
        let profile = self
            .common
            .store
            .profile_by_name(&base)
            .await?
            .ok_or_else(|| not_looked_at(&base))?
            .profile;
        let context = PlanContext {
            // No engine is asked; what every one of them with BuildKit understands.
            dialect: Dialect::BuildKit,
            link: false,
            lists_fresh_minutes: self.common.options.builds.lists_fresh_minutes,
            build_id: 0,
        };
        Ok(Rendered {
            plan: plan::plan(&request.spec, &profile, &catalog, &context)?,
            request: request.completed,
        })
    }

    fn parse(&self, body: &Value) -> Result<BuildRequest, Failure> {
        let policy = self.common.options.request_policy();
        Ok(request::parse_document(body, &policy)?)
    }
}

fn not_looked_at(base: &str) -> Failure {
    Failure::new(
        ReasonCode::WrongState,
        format!("尚不知道基础镜像 {base} 包含什么，无法生成 Dockerfile。"),
        format!("It is not known yet what the base image {base} contains, so no Dockerfile can be written."),
    )
    .with_culprit(base)
    .with_hint(
        "请先调用 POST /api/v1/images:profile，它会拉取并检测该镜像。",
        "Call POST /api/v1/images:profile first, which pulls the image and looks into it.",
    )
}

//! The verbs of the API's version 1 on build documents: taking one, once even if it is sent twice,
//! and showing what would become of one.

use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    plan::{self, BuildPlan, Dialect, PlanContext},
    request::{self, BuildRequest},
};
use fastbuild_store::{IdempotencyKey, StoredResponse};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{builds::Builds, builds::submit::Submitted, common::stored};

/// What became of a build document.
#[derive(Debug)]
pub enum Submission {
    /// It was queued.
    Queued(Box<Submitted>),
    /// The same document came before under the same key; this is what became of it then.
    Replayed(StoredResponse),
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
    /// Takes a build document; under a `key`, at most once.
    ///
    /// # Errors
    /// Everything that can be refused before queueing: `NotConfigured`, `SpecInvalid` with every
    /// bad field, `MirrorMismatch`, `ToolMissing`, `TargetTaken`; `IdempotencyKeyReused` when the
    /// key came with another document before.
    pub async fn submit_document(
        &self,
        body: &Value,
        key: Option<String>,
    ) -> Result<Submission, Failure> {
        let key = key.map(|name| IdempotencyKey {
            name,
            request_hash: Sha256::digest(body.to_string()).to_vec(),
        });
        if let Some(before) = self.stored_answer(key.as_ref()).await? {
            return Ok(Submission::Replayed(before));
        }
        self.engines.default_context().await?;
        let request = self.parse(body)?;
        match self.accept(request, key.clone()).await {
            Ok(submitted) => Ok(Submission::Queued(Box::new(submitted))),
            // Sent twice at once: the other one was faster, and this one failed on what it did.
            Err(failure) => match self.stored_answer(key.as_ref()).await? {
                Some(before) => Ok(Submission::Replayed(before)),
                None => Err(failure),
            },
        }
    }

    /// What became of the request that came under this key, if one did.
    async fn stored_answer(
        &self,
        key: Option<&IdempotencyKey>,
    ) -> Result<Option<StoredResponse>, Failure> {
        let Some(key) = key else {
            return Ok(None);
        };
        let kept = self
            .common
            .store
            .stored_response(&key.name)
            .await
            .map_err(|error| stored(&error))?;
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
            .await
            .map_err(|error| stored(&error))?
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

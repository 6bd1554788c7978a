//! Callbacks: the message a caller gets when a build has ended, the rules for its address, and its
//! signature. Sending is the builder's.

mod failure;
mod login;
mod signature;
mod url;

use serde::{Deserialize, Serialize};

pub use self::{
    failure::{Unanswered, delivery_failure},
    login::{LOGIN_HEADER, PartedAddress, part_login},
    signature::{ID_HEADER, NoSigningSecret, SIGNATURE_HEADER, SigningSecret, TIMESTAMP_HEADER},
    url::{CallbackUrlError, check_callback_url, receiver},
};
use crate::{
    failure::{Failure, Language, ReasonCode},
    state::BuildState,
};

/// The body of a callback: JSON, keys in camel case.
///
/// `imageName`, `taskId` and `state` are the old protocol's and never change; the others were
/// added and are left out when there is nothing to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallbackBody {
    /// The target image, as the request wrote it.
    pub image_name: String,
    /// The build's number.
    pub task_id: i64,
    /// The state it ended in.
    pub state: BuildState,
    /// The name the caller gave the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_name: Option<String>,
    /// The pushed image's manifest digest, `sha256:...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The image's bytes on the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonCode>,
    /// What happened and what to do, for a person (Chinese, as all of the old protocol).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it ended, as the old protocol writes times: local, ISO 8601 with microseconds and
    /// without zone, such as `2026-11-23T09:07:44.830951`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
}

impl CallbackBody {
    /// The body with the old protocol's three keys alone.
    pub fn new(image_name: impl Into<String>, task_id: i64, state: BuildState) -> Self {
        Self {
            image_name: image_name.into(),
            task_id,
            state,
            task_name: None,
            digest: None,
            size: None,
            reason: None,
            message: None,
            finished_at: None,
        }
    }

    /// The same body, telling why the build failed.
    #[must_use]
    pub fn failed_because(mut self, failure: &Failure) -> Self {
        self.reason = Some(failure.code);
        self.message = Some(failure.sentence(Language::Chinese));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_keys_stand_alone_when_nothing_else_is_known() {
        let body = CallbackBody::new("r.example/a:1", 1_795_426_218_678, BuildState::PushSuccess);
        assert_eq!(
            serde_json::to_value(&body).unwrap(),
            serde_json::json!({
                "imageName": "r.example/a:1",
                "taskId": 1_795_426_218_678_i64,
                "state": "PUSH_SUCCESS",
            })
        );
    }

    #[test]
    fn a_failed_build_tells_its_reason() {
        let failure = Failure::new(ReasonCode::StepFailed, "步骤失败。", "The step failed.");
        let mut body =
            CallbackBody::new("a:1", 7, BuildState::BuildFailed).failed_because(&failure);
        body.task_name = Some("nightly".into());
        body.finished_at = Some("2026-11-23T09:07:44.830951".into());
        assert_eq!(
            serde_json::to_value(&body).unwrap(),
            serde_json::json!({
                "imageName": "a:1",
                "taskId": 7,
                "state": "BUILD_FAILED",
                "taskName": "nightly",
                "reason": "StepFailed",
                "message": "步骤失败。请查看该步骤日志的最后几行。",
                "finishedAt": "2026-11-23T09:07:44.830951",
            })
        );
    }
}

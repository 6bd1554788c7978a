//! What a caller is told once a build has ended.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    failure::{Failure, Language, ReasonCode, Sentence},
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

/// Longest callback address in bytes; longer ones are a mistake or an attack.
const LONGEST_URL: usize = 2048;

/// Why a text is no callback address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackUrlError {
    /// It holds a user name or a password: it must not be repeated.
    HasLogin,
    /// It is no `http://` or `https://` address.
    NotHttp,
}

impl CallbackUrlError {
    /// What is allowed, for a person.
    pub fn allowed(self) -> Sentence {
        match self {
            Self::HasLogin => Sentence::new(
                "不能含有用户名或密码，因为回调地址会被保存和显示",
                "must not hold a user name or password, because callback addresses are stored and shown",
            ),
            Self::NotHttp => Sentence::new(
                "应为 http:// 或 https:// 开头的地址，或留空",
                "must be an http:// or https:// address, or empty",
            ),
        }
    }
}

/// The host that a callback address leads to, by which deliveries are kept apart; the whole text
/// where it is no address.
pub fn receiver(url: &str) -> String {
    Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| url.to_owned())
}

/// Checks a callback address: `http` or `https`, with a host, without a login in it.
///
/// # Errors
/// What it is instead.
pub fn check_callback_url(text: &str) -> Result<(), CallbackUrlError> {
    // The URL standard drops tabs and newlines silently; here they are mistakes.
    let plain =
        text.len() <= LONGEST_URL && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    let url = Url::parse(text)
        .ok()
        .filter(|_| plain)
        .ok_or(CallbackUrlError::NotHttp)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(CallbackUrlError::HasLogin);
    }
    let fits = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty());
    fits.then_some(()).ok_or(CallbackUrlError::NotHttp)
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

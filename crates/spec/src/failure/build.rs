//! The failures of a build that more than one crate reports: each has its wording here, once.

use super::{Failure, ReasonCode, Sentence};

impl Failure {
    /// A user cancelled the build.
    pub fn build_cancelled() -> Self {
        Self::new(
            ReasonCode::Cancelled,
            "任务已被取消。",
            "The build was cancelled.",
        )
    }

    /// No build has this number.
    pub fn build_not_found(build_id: i64) -> Self {
        Self::new(
            ReasonCode::NotFound,
            format!("任务id<{build_id}>任务不存在。"),
            format!("There is no build {build_id}."),
        )
        .with_culprit(build_id.to_string())
    }

    /// All attempts of a build were lost; `last` is what ended the last one, where that is known.
    pub fn build_lost(attempts: i64, last: Option<Self>) -> Self {
        let message = Sentence::new(
            format!("任务执行了 {attempts} 次，每次都因服务、数据库或 Docker 服务器中断而没有完成"),
            format!(
                "The build was started {attempts} times, and each time the service, its database \
                 or the Docker server went away before it ended"
            ),
        );
        let Some(last) = last else {
            let Sentence { zh, en } = message;
            return Self::new(ReasonCode::EngineLost, zh + "。", en + ".");
        };
        Self {
            message: Sentence::new(
                format!("{}；最后一次：{}", message.zh, last.message.zh),
                format!("{}; the last time: {}", message.en, last.message.en),
            ),
            code: ReasonCode::EngineLost,
            hint: ReasonCode::EngineLost.hint(),
            ..last
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_build_repeats_what_ended_its_last_attempt() {
        let unknown = Failure::build_lost(3, None);
        insta::assert_snapshot!(unknown.message.en, @"The build was started 3 times, and each time the service, its database or the Docker server went away before it ended.");
        insta::assert_snapshot!(unknown.message.zh, @"任务执行了 3 次，每次都因服务、数据库或 Docker 服务器中断而没有完成。");
        let last = Failure::new(
            ReasonCode::EngineUnreachable,
            "无法连接 10.0.0.9:2376。",
            "10.0.0.9:2376 cannot be reached.",
        )
        .with_culprit("10.0.0.9:2376");
        let known = Failure::build_lost(3, Some(last));
        insta::assert_snapshot!(known.message.en, @"The build was started 3 times, and each time the service, its database or the Docker server went away before it ended; the last time: 10.0.0.9:2376 cannot be reached.");
        assert_eq!(known.code, ReasonCode::EngineLost);
        assert_eq!(known.hint, unknown.hint);
        assert_eq!(known.culprit.as_deref(), Some("10.0.0.9:2376"));
    }
}

//! Why a build goes back to the queue before it has ended.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

use crate::failure::Sentence;

/// Why an attempt at a build ended without ending the build. The code is stable (`engine_lost`).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Display,
    EnumString,
    EnumIter,
    IntoStaticStr,
    Serialize,
    Deserialize,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum RequeueReason {
    /// The service was stopped while the build ran.
    ServiceStopped,
    /// The process that ran the build sent no heartbeat any more.
    WorkerLost,
    /// The Docker Engine did not answer any more.
    EngineLost,
    /// The engine was removed as the build was claimed.
    EngineRemoved,
    /// The registry was not available.
    RegistryUnavailable,
    /// FastBuild's own database did not answer.
    DatabaseUnavailable,
}

impl RequeueReason {
    /// Whether the attempt counts against those that a build has.
    pub fn counts(self) -> bool {
        !matches!(self, Self::ServiceStopped | Self::RegistryUnavailable)
    }

    /// The reason for a person, without a full stop: it follows "because".
    pub fn sentence(self) -> Sentence {
        let (zh, en) = match self {
            Self::ServiceStopped => ("服务已停止", "the service was stopped"),
            Self::WorkerLost => (
                "执行该任务的进程已中断",
                "the process that ran the build died",
            ),
            Self::EngineLost => (
                "Docker 服务器已中断",
                "the Docker server did not answer any more",
            ),
            Self::EngineRemoved => ("所用的引擎已被移除", "its engine was removed"),
            Self::RegistryUnavailable => ("镜像仓库不可用", "the registry was not available"),
            Self::DatabaseUnavailable => (
                "FastBuild 的数据库已中断",
                "FastBuild's database did not answer",
            ),
        };
        Sentence::new(zh, en)
    }

    /// What a build's log says when it is requeued.
    pub fn requeued(self) -> Sentence {
        let Sentence { zh, en } = self.sentence();
        Sentence::new(
            format!("任务已重新排队，因为{zh}。"),
            format!("The build was requeued because {en}."),
        )
    }

    /// What a build's log says when the attempt that follows begins.
    pub fn next_attempt(self, number: i64) -> Sentence {
        let Sentence { zh, en } = self.sentence();
        Sentence::new(
            format!("第 {number} 次尝试，因为{zh}。"),
            format!("Attempt {number} because {en}."),
        )
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::*;

    #[test]
    fn every_reason_has_a_code_and_both_sentences() {
        for reason in RequeueReason::iter() {
            assert_eq!(reason.to_string().parse(), Ok(reason));
            let sentence = reason.sentence();
            assert!(!sentence.zh.is_ascii() && sentence.en.is_ascii());
            assert!(!sentence.en.ends_with('.') && !sentence.zh.ends_with('。'));
        }
    }
}

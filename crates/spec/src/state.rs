//! The states a build goes through, its steps, and the one table that says which state may
//! follow which.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// State of a build, in the old protocol's spelling (`PUSH_SUCCESS`).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum BuildState {
    /// Waiting for a worker.
    Queued,
    /// A worker has it.
    Started,
    /// The base image is on the engine.
    PullSuccess,
    /// The base image could not be pulled.
    PullFailed,
    /// The base image's profile is known and fits the request.
    CheckSuccess,
    /// The base image could not be inspected, or does not fit the request.
    CheckFailed,
    /// The Dockerfile and its files are ready.
    PrepareSuccess,
    /// The Dockerfile could not be made from the request.
    PrepareFailed,
    /// The engine runs the Dockerfile.
    Building,
    /// The image exists on the engine.
    BuildSuccess,
    /// A step of the Dockerfile failed.
    BuildFailed,
    /// The image is within the size limit and is being pushed.
    CheckImageSizeSuccess,
    /// The image is larger than the limit and is not pushed.
    CheckImageSizeFailed,
    /// Done: the image is in the registry.
    PushSuccess,
    /// The image could not be pushed.
    PushFailed,
    /// Cancelled, or lost too often.
    BuildAbort,
}

impl BuildState {
    /// Whether nothing follows this state.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::PullFailed
                | Self::CheckFailed
                | Self::PrepareFailed
                | Self::BuildFailed
                | Self::CheckImageSizeFailed
                | Self::PushSuccess
                | Self::PushFailed
                | Self::BuildAbort
        )
    }

    /// Whether `next` may follow this state. A build that lost its worker goes back to `QUEUED`
    /// from any state in which a worker had it.
    pub fn may_become(self, next: Self) -> bool {
        use BuildState as S;
        if self.is_terminal() {
            return false;
        }
        if next == S::BuildAbort || (next == S::Queued && self != S::Queued) {
            return true;
        }
        match self {
            S::Queued => matches!(next, S::Started),
            S::Started => matches!(next, S::PullSuccess | S::PullFailed),
            S::PullSuccess => matches!(next, S::CheckSuccess | S::CheckFailed),
            S::CheckSuccess => matches!(next, S::PrepareSuccess | S::PrepareFailed),
            S::PrepareSuccess => matches!(next, S::Building),
            S::Building => matches!(next, S::BuildSuccess | S::BuildFailed),
            S::BuildSuccess => {
                matches!(next, S::CheckImageSizeSuccess | S::CheckImageSizeFailed)
            }
            S::CheckImageSizeSuccess => matches!(next, S::PushSuccess | S::PushFailed),
            _ => false,
        }
    }

    /// Whether a build that ended in this state may be retried from there. What is pushed stays as
    /// it is, and only a failed push leaves an image to push.
    pub fn may_be_retried(self, from: RetryFrom) -> bool {
        match from {
            RetryFrom::Start => self.is_terminal() && self != Self::PushSuccess,
            RetryFrom::Push => self == Self::PushFailed,
            RetryFrom::Callback => self.is_terminal(),
        }
    }

    /// Whether `next` may follow this state in a build that is begun again from its push: its
    /// image is there as soon as a worker has it.
    pub fn may_become_from_push(self, next: Self) -> bool {
        self.may_become(next) || (self == Self::Started && next == Self::BuildSuccess)
    }

    /// The terminal state of a build whose `step` failed.
    pub fn failed_at(step: Step) -> Self {
        match step {
            Step::Pull => Self::PullFailed,
            Step::Check => Self::CheckFailed,
            Step::Prepare => Self::PrepareFailed,
            Step::Build => Self::BuildFailed,
            Step::Push => Self::PushFailed,
        }
    }
}

/// From where a finished build is retried.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RetryFrom {
    /// From the pull of its base image.
    Start,
    /// From the push of the image it made, which is still on the engine.
    Push,
    /// The callback that tells how it ended, and nothing else.
    Callback,
}

/// The five steps of a build, in order; the old protocol's `action`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Step {
    /// Pull the base image.
    Pull,
    /// Find out what it contains and whether the request fits.
    Check,
    /// Render the Dockerfile and gather its files.
    Prepare,
    /// Run the Dockerfile on the engine.
    Build,
    /// Push the image to the registry.
    Push,
}

/// State of a step, in the old protocol's spelling.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum StepStatus {
    /// Under way.
    Running,
    /// It succeeded.
    Success,
    /// It failed.
    Fail,
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::*;

    #[test]
    fn names_are_those_of_the_protocol() {
        let names: Vec<String> = BuildState::iter().map(|state| state.to_string()).collect();
        assert_eq!(
            names.join(" "),
            "QUEUED STARTED PULL_SUCCESS PULL_FAILED CHECK_SUCCESS CHECK_FAILED PREPARE_SUCCESS \
             PREPARE_FAILED BUILDING BUILD_SUCCESS BUILD_FAILED CHECK_IMAGE_SIZE_SUCCESS \
             CHECK_IMAGE_SIZE_FAILED PUSH_SUCCESS PUSH_FAILED BUILD_ABORT"
        );
    }

    #[test]
    fn nothing_follows_a_terminal_state_and_something_follows_every_other() {
        for from in BuildState::iter() {
            let followers = BuildState::iter().filter(|to| from.may_become(*to)).count();
            assert_eq!(followers == 0, from.is_terminal(), "{from}");
        }
    }

    #[test]
    fn only_what_ended_is_retried_and_nothing_that_is_pushed_is_made_again() {
        for state in BuildState::iter() {
            let retried: Vec<String> = RetryFrom::iter()
                .filter(|from| state.may_be_retried(*from))
                .map(|from| from.to_string())
                .collect();
            let expected: &[&str] = match state {
                BuildState::PushSuccess => &["callback"],
                BuildState::PushFailed => &["start", "push", "callback"],
                ended if ended.is_terminal() => &["start", "callback"],
                _ => &[],
            };
            assert_eq!(retried, expected, "{state}");
        }
    }

    #[test]
    fn a_retried_push_skips_to_the_image_and_nowhere_else() {
        for from in BuildState::iter() {
            for to in BuildState::iter().filter(|to| !from.may_become(*to)) {
                let skips = (from, to) == (BuildState::Started, BuildState::BuildSuccess);
                assert_eq!(from.may_become_from_push(to), skips, "{from} -> {to}");
            }
        }
    }

    #[test]
    fn a_build_reaches_push_success_only_through_every_step() {
        let path = [
            BuildState::Queued,
            BuildState::Started,
            BuildState::PullSuccess,
            BuildState::CheckSuccess,
            BuildState::PrepareSuccess,
            BuildState::Building,
            BuildState::BuildSuccess,
            BuildState::CheckImageSizeSuccess,
            BuildState::PushSuccess,
        ];
        for pair in path.windows(2) {
            assert!(pair[0].may_become(pair[1]), "{} -> {}", pair[0], pair[1]);
        }
        for (earlier, from) in path.iter().enumerate() {
            for to in path.iter().skip(earlier + 2) {
                assert!(!from.may_become(*to), "{from} must not skip to {to}");
            }
        }
    }
}

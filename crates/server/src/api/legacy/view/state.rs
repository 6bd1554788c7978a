//! The states that callers of the old protocol know. They filter by them and show them to people; the exact
//! state stands beside it in `detail_state`.

use fastbuild_spec::state::BuildState;
use strum::IntoEnumIterator as _;

/// The state that old callers are shown: they know no state between the start of a build, the end of the
/// image's building and the end of its push, and one failure before the push.
pub(crate) fn shown_state(state: BuildState) -> BuildState {
    use BuildState as S;
    match state {
        S::Started | S::PullSuccess | S::CheckSuccess | S::PrepareSuccess | S::Building => {
            S::Started
        }
        S::BuildSuccess | S::CheckImageSizeSuccess => S::BuildSuccess,
        S::PullFailed
        | S::CheckFailed
        | S::PrepareFailed
        | S::BuildFailed
        | S::CheckImageSizeFailed => S::BuildFailed,
        S::Queued | S::PushSuccess | S::PushFailed | S::BuildAbort => state,
    }
}

/// The states whose shown name holds this part, upper and lower case alike; where there is none, the state of
/// exactly this name.
pub(crate) fn states_shown_as(part: &str) -> Vec<BuildState> {
    let part = part.to_ascii_uppercase();
    let shown: Vec<BuildState> = BuildState::iter()
        .filter(|state| shown_state(*state).to_string().contains(&part))
        .collect();
    if shown.is_empty() {
        part.parse().into_iter().collect()
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use BuildState as S;

    use super::*;

    #[test]
    fn old_callers_see_seven_states() {
        let mut shown: Vec<String> = S::iter()
            .map(|state| shown_state(state).to_string())
            .collect();
        shown.sort();
        shown.dedup();
        assert_eq!(
            shown,
            [
                "BUILD_ABORT",
                "BUILD_FAILED",
                "BUILD_SUCCESS",
                "PUSH_FAILED",
                "PUSH_SUCCESS",
                "QUEUED",
                "STARTED"
            ]
        );
        for state in S::iter() {
            assert_eq!(
                shown_state(state).is_terminal(),
                state.is_terminal(),
                "{state}"
            );
            assert_eq!(
                shown_state(shown_state(state)),
                shown_state(state),
                "{state}"
            );
        }
    }

    #[test]
    fn a_filter_finds_what_is_shown_under_its_name() {
        assert_eq!(
            states_shown_as("STARTED"),
            [
                S::Started,
                S::PullSuccess,
                S::CheckSuccess,
                S::PrepareSuccess,
                S::Building
            ]
        );
        assert_eq!(
            states_shown_as("build_success"),
            [S::BuildSuccess, S::CheckImageSizeSuccess]
        );
        assert_eq!(
            states_shown_as("FAILED"),
            [
                S::PullFailed,
                S::CheckFailed,
                S::PrepareFailed,
                S::BuildFailed,
                S::CheckImageSizeFailed,
                S::PushFailed
            ]
        );
        assert_eq!(states_shown_as("pull_failed"), [S::PullFailed]);
        assert_eq!(states_shown_as("nothing"), []);
    }
}

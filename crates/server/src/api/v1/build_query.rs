//! The query parameters that select builds.

use fastbuild_spec::state::BuildState;
use fastbuild_store::BuildSearch;
use jiff::Timestamp;
use serde::Deserialize;
use strum::IntoEnumIterator as _;
use utoipa::IntoParams;

use super::pagination::{CursorPage, ErrorCollector};
use crate::error::Error;

/// Which builds to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct BuildQuery {
    /// States, with commas between them; `queued`, `running`, `succeeded`, `failed` and `ended`
    /// stand for groups of them.
    #[param(example = "running,PUSH_SUCCESS")]
    state: Option<String>,
    /// Part of the target image's name with its tag.
    image: Option<String>,
    /// Only builds of this owner; empty for builds without one.
    owner: Option<String>,
    /// Only builds submitted at this time or later (RFC 3339).
    #[param(example = "2026-11-23T00:00:00Z")]
    since: Option<String>,
    /// Rows per page, 1 to 200; 50 by default.
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl BuildQuery {
    /// What to search for and which page of it, or every parameter that is wrong.
    pub(crate) fn search(self) -> Result<(BuildSearch, CursorPage), Error> {
        let mut errors = ErrorCollector::default();
        let mut states = Vec::new();
        let named = self.state.as_deref().unwrap_or_default();
        for name in named
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            match states_of(name) {
                Some(some) => states.extend(some),
                None => errors.reject(
                    "state",
                    name,
                    "应为任务状态，或 queued、running、succeeded、failed、ended",
                    "must be a state, or queued, running, succeeded, failed or ended",
                ),
            }
        }
        let since = read_since(self.since.as_deref(), &mut errors);
        let piece = CursorPage::read(self.limit, self.cursor.as_deref(), &mut errors);
        errors.finish()?;
        let search = BuildSearch {
            states,
            image: self.image,
            owner: self.owner,
            since,
            before: piece.before,
        };
        Ok((search, piece))
    }
}

/// Reads the parameter `since`.
fn read_since(since: Option<&str>, errors: &mut ErrorCollector) -> Option<Timestamp> {
    let since = since.filter(|since| !since.is_empty())?;
    // An unencoded + of a query arrives as a blank.
    let time = since.replace(' ', "+").parse().ok();
    if time.is_none() {
        errors.reject(
            "since",
            since,
            "应为带时区的时间，例如 2026-11-23T00:00:00Z",
            "must be a time with its zone, such as 2026-11-23T00:00:00Z",
        );
    }
    time
}

/// The states a word stands for.
fn states_of(word: &str) -> Option<Vec<BuildState>> {
    let those = |fits: &dyn Fn(BuildState) -> bool| {
        BuildState::iter().filter(|state| fits(*state)).collect()
    };
    match word.to_ascii_lowercase().as_str() {
        "queued" => Some(vec![BuildState::Queued]),
        "running" => Some(those(&|state| {
            !state.is_terminal() && state != BuildState::Queued
        })),
        "succeeded" => Some(vec![BuildState::PushSuccess]),
        "failed" => Some(those(&|state| {
            state.is_terminal() && state != BuildState::PushSuccess
        })),
        "ended" => Some(those(&BuildState::is_terminal)),
        _ => word
            .to_ascii_uppercase()
            .parse()
            .ok()
            .map(|state| vec![state]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_for_states() {
        assert_eq!(
            states_of("push_success"),
            Some(vec![BuildState::PushSuccess])
        );
        assert_eq!(states_of("ended").map(|states| states.len()), Some(8));
        assert_eq!(states_of("running").map(|states| states.len()), Some(7));
        assert_eq!(states_of("x"), None);
    }
}

//! Query parameters that several controllers take.

use fastbuild_store::Page;
use serde::Deserialize;
use utoipa::IntoParams;

/// Selects an image.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImageName {
    /// `[registry[:port]/]repository[:tag]`; `/` and `:` need no encoding.
    #[param(example = "registry.example:5000/base/ubuntu:v3")]
    pub(crate) image_name: String,
}

/// Selects a build.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TaskId {
    /// The build's number.
    #[param(example = 1_795_426_218_678_i64)]
    pub(crate) task_id: i64,
}

/// Most rows of an answer.
pub(crate) const MAX_ROWS: usize = 1_000;

/// The newest rows, as many as an answer holds.
#[expect(clippy::cast_possible_wrap, reason = "a thousand rows")]
pub(crate) const NEWEST: Page = Page {
    number: 1,
    size: MAX_ROWS as i64,
};

/// The page that a caller asked for, of no more rows than an answer holds. A negative size stands for all rows,
/// of which the newest are answered.
pub(crate) fn page(number: i64, size: i64) -> Page {
    if size < 0 {
        NEWEST
    } else {
        Page {
            number,
            size: size.min(NEWEST.size),
        }
    }
}

/// Whether the answer for a page size that stands for all rows holds less than `total` of them.
pub(crate) fn is_cut(size: i64, total: u64) -> bool {
    size < 0 && total > MAX_ROWS as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_holds_more_rows_than_an_answer() {
        let bounds = |number, size| {
            let Page { number, size } = page(number, size);
            (number, size)
        };
        assert_eq!(bounds(3, 10), (3, 10));
        assert_eq!(bounds(2, 1_000_000), (2, 1_000));
        assert_eq!(bounds(7, -1), (1, 1_000));
        assert!(is_cut(-1, 1_001) && !is_cut(-1, 1_000) && !is_cut(10, 5_000));
    }
}

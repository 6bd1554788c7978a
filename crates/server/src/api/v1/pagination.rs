//! Cursor pagination. A page begins after the last row of the page before, whatever was added meanwhile.

use fastbuild_spec::failure::{Failure, FieldError, Sentence};

use crate::error::Error;

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

/// Every parameter that is wrong, so that one answer names them all.
#[derive(Debug, Default)]
pub(crate) struct ErrorCollector(Vec<FieldError>);

impl ErrorCollector {
    /// Notes a parameter's value that is wrong, and what it must be.
    pub(crate) fn reject(&mut self, name: &str, value: &str, zh: &str, en: &str) {
        self.0
            .push(FieldError::new(name, value, Sentence::new(zh, en)));
    }

    /// The refusal, where anything was wrong.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Failure::invalid_fields(&self.0).into())
        }
    }
}

/// Which piece of a list is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CursorPage {
    limit: usize,
    /// The number of the last row of the piece before.
    pub(crate) before: Option<i64>,
}

impl CursorPage {
    /// Reads the parameters `limit` and `cursor`.
    pub(crate) fn read(
        limit: Option<i64>,
        cursor: Option<&str>,
        errors: &mut ErrorCollector,
    ) -> Self {
        let before = cursor
            .filter(|cursor| !cursor.is_empty())
            .and_then(|cursor| {
                let before = read_cursor(cursor);
                if before.is_none() {
                    errors.reject(
                        "cursor",
                        cursor,
                        "应为上一次回答中的 next_cursor",
                        "must be the next_cursor of an answer",
                    );
                }
                before
            });
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            errors.reject(
                "limit",
                &limit.to_string(),
                "应为 1 到 200 之间的整数",
                "must be a whole number from 1 to 200",
            );
        }
        Self {
            limit: usize::try_from(limit).unwrap_or_default(),
            before,
        }
    }

    /// How many rows to ask for: one more than wanted tells whether there is more.
    pub(crate) fn asked(&self) -> u64 {
        self.limit as u64 + 1
    }

    /// The piece, and the cursor of the next one where there is one.
    pub(crate) fn cut<T>(
        &self,
        mut rows: Vec<T>,
        number: impl Fn(&T) -> i64,
    ) -> (Vec<T>, Option<String>) {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| more).map(|row| cursor(number(row)));
        (rows, next)
    }
}

/// Where a piece of a list ended. What it looks like is nobody's business.
fn cursor(number: i64) -> String {
    format!("b{:x}", number ^ CURSOR_MASK)
}

/// Keeps callers from reading a row's number in a cursor, and from writing cursors of their own.
const CURSOR_MASK: i64 = 0x2b5d_13c7_79e4_0f6d;

fn read_cursor(text: &str) -> Option<i64> {
    let number = i64::from_str_radix(text.strip_prefix('b')?, 16).ok()? ^ CURSOR_MASK;
    Some(number).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is() {
        for number in [1, 1_795_426_218_678, i64::MAX] {
            assert_eq!(read_cursor(&cursor(number)), Some(number));
        }
        for text in ["", "b", "1795426218678", "bzz", "b2b5d13c779e40f6d"] {
            assert_eq!(read_cursor(text), None, "{text}");
        }
    }

    #[test]
    fn a_piece_says_where_the_next_one_begins_unless_it_is_the_last() {
        let mut errors = ErrorCollector::default();
        let piece = CursorPage::read(Some(2), None, &mut errors);
        assert_eq!(piece.asked(), 3);
        let (rows, next) = piece.cut(vec![9, 8, 7], |row| *row);
        assert_eq!(rows, [9, 8]);
        let next = CursorPage::read(Some(2), next.as_deref(), &mut errors);
        assert_eq!(next.before, Some(8));
        assert_eq!(next.cut(vec![7, 6], |row| *row), (vec![7, 6], None));
        assert!(errors.finish().is_ok());
    }
}

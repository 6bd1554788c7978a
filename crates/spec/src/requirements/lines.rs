//! Logical lines of a requirement file: comments, continuations and line ends as pip reads them
//! (`pip._internal.req.req_file.preprocess`, the same from pip 10 to 26).

/// A line without its comment, joined with those it continues in; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogicalLine {
    /// The number of its first line, from 1.
    pub(super) number: usize,
    /// Its text, without blanks at the ends.
    pub(super) text: String,
}

/// The logical lines of a file, in one pass.
pub(super) fn logical_lines(text: &str) -> Vec<LogicalLine> {
    // pip decodes by a byte order mark; in a text it is a character.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in split_lines(text).enumerate() {
        let is_comment = line.trim_start_matches(is_space).starts_with('#');
        if line.ends_with('\\') && !is_comment {
            let (_, joined) = open.get_or_insert_with(|| (index + 1, String::new()));
            joined.push_str(line.trim_matches('\\'));
            continue;
        }
        match open.take() {
            Some((number, mut joined)) => {
                // So that what follows is a comment to the joined line as well.
                if is_comment {
                    joined.push(' ');
                }
                joined.push_str(line);
                lines.extend(logical(number, &joined));
            }
            None => lines.extend(logical(index + 1, line)),
        }
    }
    lines.extend(open.and_then(|(number, joined)| logical(number, &joined)));
    lines
}

fn logical(number: usize, joined: &str) -> Option<LogicalLine> {
    let text = without_comment(joined).trim_matches(is_space);
    (!text.is_empty()).then(|| LogicalLine {
        number,
        text: text.to_owned(),
    })
}

/// A comment begins at the start of a line or after a blank.
fn without_comment(line: &str) -> &str {
    let mut before = None;
    for (place, character) in line.char_indices() {
        if character == '#' && before.is_none_or(is_space) {
            return &line[..place];
        }
        before = Some(character);
    }
    line
}

/// Python's `str.isspace`.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// Python's `str.splitlines`.
fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(end) = rest.find(is_line_end) else {
            return Some(std::mem::take(&mut rest));
        };
        let (line, after) = rest.split_at(end);
        let mut ends = after.chars();
        if ends.next() == Some('\r') && after[1..].starts_with('\n') {
            ends.next();
        }
        rest = ends.as_str();
        Some(line)
    })
}

fn is_line_end(character: char) -> bool {
    matches!(
        character,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(usize, String)> {
        let lines = logical_lines(text).into_iter();
        lines.map(|line| (line.number, line.text)).collect()
    }

    fn expected(lines: &[(usize, &str)]) -> Vec<(usize, String)> {
        let lines = lines.iter();
        lines
            .map(|(number, text)| (*number, (*text).to_owned()))
            .collect()
    }

    #[test]
    fn a_comment_never_continues_and_ends_a_continuation() {
        for (text, wanted) in [
            (
                "# D:\\wheels\\\nnumpy==1.26.4\n# x\nflask",
                vec![(2, "numpy==1.26.4"), (4, "flask")],
            ),
            ("a \\\n  # note\\\nb", vec![(1, "a"), (3, "b")]),
            ("a \\\n\n b", vec![(1, "a"), (3, "b")]),
            (
                "a==1 \\\n  --hash=x \\\r\n --hash=y",
                vec![(1, "a==1   --hash=x  --hash=y")],
            ),
            ("a\\", vec![(1, "a")]),
            ("\\\na", vec![(1, "a")]),
            ("a # c \\\nb", vec![(1, "a")]),
        ] {
            assert_eq!(lines(text), expected(&wanted), "{text:?}");
        }
    }

    #[test]
    fn blanks_ends_and_marks_are_python_s() {
        for (text, wanted) in [
            (
                "\u{feff}a\r\nb\rc\u{c}d\u{2028}e\u{85}f",
                vec![(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e"), (6, "f")],
            ),
            (
                "\ta\t#c\n#b\n\u{1f}c#d \u{a0}# e",
                vec![(1, "a"), (3, "c#d")],
            ),
            ("", vec![]),
        ] {
            assert_eq!(lines(text), expected(&wanted), "{text:?}");
        }
    }

    #[test]
    fn a_hundred_thousand_continuations_are_one_line() {
        let text = "a \\\n".repeat(100_000);
        assert_eq!(lines(&text).len(), 1);
    }
}

//! Free text of a request: who asked, and what for.

use super::NameError;
use crate::unicode::is_invisible;

/// One line of printable text of at most `longest` characters, blanks around it removed; may be
/// empty.
pub fn parse_line(text: &str, longest: usize) -> Result<String, NameError> {
    let text = text.trim_matches(' ');
    if text.chars().count() <= longest && !text.chars().any(|c| c.is_control() || is_invisible(c)) {
        Ok(text.to_owned())
    } else {
        Err(NameError::new(
            format!("应为一行可打印文本，最多 {longest} 个字符"),
            format!("must be one line of printable text of at most {longest} characters"),
        ))
    }
}

/// Printable text of at most `longest` characters that may have several lines.
pub fn parse_description(text: &str, longest: usize) -> Result<String, NameError> {
    let text = text.trim();
    let printable =
        |c: char| matches!(c, '\n' | '\r' | '\t') || !(c.is_control() || is_invisible(c));
    if text.chars().count() <= longest && text.chars().all(printable) {
        Ok(text.to_owned())
    } else {
        Err(NameError::new(
            format!("应为可打印文本，最多 {longest} 个字符"),
            format!("must be printable text of at most {longest} characters"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_a_description_may_be_several() {
        assert_eq!(
            parse_line(" 张三 <a@b.example> ", 64).unwrap(),
            "张三 <a@b.example>"
        );
        assert_eq!(parse_line("", 64).unwrap(), "");
        for text in [
            "a\nb",
            "a\0b",
            "a\u{202e}b",
            "a\u{200b}b",
            "a\u{7f}",
            "\u{1b}[31m",
        ] {
            assert!(parse_line(text, 64).is_err(), "{text:?}");
        }
        assert!(parse_line(&"长".repeat(65), 64).is_err());
        assert_eq!(parse_description("a\n\tb\r\n", 64).unwrap(), "a\n\tb");
        assert!(parse_description("a\0", 64).is_err());
        assert!(parse_description("a\u{2066}b", 64).is_err());
    }
}

//! Names and values of environment variables and labels.

use super::{NameError, parse_line};

const LONGEST_NAME: usize = 128;
const LONGEST_VALUE: usize = 4096;

/// A variable's name (POSIX, section 8.1). `PATH` is the plan's own to write: what was installed
/// has to be found.
pub fn parse_env_name(text: &str) -> Result<String, NameError> {
    let fits = text.len() <= LONGEST_NAME
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && text != "PATH";
    if fits {
        Ok(text.to_owned())
    } else {
        Err(NameError::new(
            "应为环境变量名：字母、数字和下划线，不以数字开头，且不是 PATH",
            "must be the name of a variable: letters, digits and underscores, not beginning with \
             a digit, and not PATH",
        ))
    }
}

/// A variable's or a label's value: one line of printable text.
pub fn parse_env_value(text: &str) -> Result<String, NameError> {
    // Blanks at its ends belong to a value.
    parse_line(text, LONGEST_VALUE).map(|_| text.to_owned())
}

/// A label's name as Docker's guidelines have it; the names that FastBuild and Docker keep for
/// themselves are not given away.
pub fn parse_label_name(text: &str) -> Result<String, NameError> {
    let ours = ["constructor", "task_id"].contains(&text);
    let dockers = ["com.docker.", "io.docker.", "org.dockerproject."]
        .iter()
        .any(|start| text.starts_with(start));
    let fits = text.len() <= LONGEST_NAME
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    if fits && !ours && !dockers {
        Ok(text.to_owned())
    } else {
        Err(NameError::new(
            "应为标签名：字母、数字及 . _ - /，以字母或数字开头和结尾，且不是 constructor、task_id 或 Docker 保留的名称",
            "must be the name of a label: letters, digits and . _ - /, beginning and ending with \
             a letter or digit, and none that FastBuild or Docker keeps for itself (constructor, \
             task_id, com.docker.*, io.docker.*)",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::attacks::ATTACKS;

    #[test]
    fn names_and_values_are_those_of_their_tools() {
        for name in ["HTTP_PROXY", "_x", "a1"] {
            assert_eq!(parse_env_name(name).unwrap(), name);
        }
        for name in ["", "1a", "a-b", "a b", "PATH", "a=b"] {
            assert!(parse_env_name(name).is_err(), "{name:?}");
        }
        for name in ["team", "org.example.team/x-y_z", "9"] {
            assert_eq!(parse_label_name(name).unwrap(), name);
        }
        for name in ["", ".a", "a.", "a b", "task_id", "com.docker.x", "a\"b"] {
            assert!(parse_label_name(name).is_err(), "{name:?}");
        }
        for attack in ATTACKS {
            assert!(parse_env_name(attack).is_err(), "{attack:?}");
            if !["../x", "a/../../x"].contains(&attack) {
                assert!(parse_label_name(attack).is_err(), "{attack:?}");
            }
        }
        assert_eq!(parse_env_value(" a b ").unwrap(), " a b ");
        assert!(parse_env_value("a\nb").is_err());
    }
}

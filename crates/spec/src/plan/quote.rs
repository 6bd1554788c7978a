//! Quoting: the one place where text of a request or of an image becomes a word of a shell, of a
//! Dockerfile or of a file that a shell reads.

/// One word for a POSIX shell, whatever is in it.
///
/// Words of harmless characters stay as they are, so that a rendered Dockerfile reads well; every
/// other word goes into single quotes.
pub(super) fn shell(word: &str) -> String {
    let harmless =
        |character: char| character.is_ascii_alphanumeric() || "_./:=+@%,-".contains(character);
    if !word.is_empty() && word.chars().all(harmless) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A double-quoted value of a Dockerfile's `ENV`, `LABEL` or `USER`, where `$` would expand.
///
/// A Dockerfile has no escape for a line break or another control character, so these become
/// blanks.
pub(super) fn dockerfile(value: &str) -> String {
    format!("\"{}\"", escaped(value, &['\\', '"', '$']))
}

/// One path of a Dockerfile's `COPY` in exec form: the frontend reads the JSON first and expands
/// variables and quotes afterwards.
pub(super) fn copy_path(path: &str) -> String {
    json(&escaped(path, &['\\', '"', '\'', '$']))
}

/// A JSON string.
pub(super) fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            escaped.push(' ');
            continue;
        }
        if special.contains(&character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The characters of `text` that may stand in the id of a cache mount, the others as `_`.
pub(super) fn cache_id(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() || ".-".contains(character) {
                character.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const HOSTILE: [&str; 12] = [
        "",
        "a b",
        "$(id)",
        "`id`",
        "curl; touch /pwned",
        "it's",
        "\"quoted\"",
        "back\\slash\\",
        "'; exit 3; '",
        "*",
        "~root",
        "a&b|c>d<e#f!",
    ];

    #[test]
    fn a_shell_sees_every_word_as_it_was() {
        for word in HOSTILE {
            let script = format!("printf '%s|' {} end", shell(word));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(
                String::from_utf8(output.stdout).unwrap(),
                format!("{word}|end|")
            );
        }
    }

    #[test]
    fn a_dockerfile_value_neither_ends_early_nor_expands() {
        assert_eq!(dockerfile(r#"a "b" $HOME \ c"#), r#""a \"b\" \$HOME \\ c""#);
        assert_eq!(dockerfile("two\nlines"), "\"two lines\"");
        assert_eq!(copy_path("/opt/it's $x"), r#""/opt/it\\'s \\$x""#);
    }

    #[test]
    fn a_cache_id_has_no_separator_of_a_mount_option() {
        assert_eq!(
            cache_id("ali/Ubuntu-18.04,target=/etc"),
            "ali_ubuntu-18.04_target__etc"
        );
    }
}

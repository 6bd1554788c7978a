//! What is wrong with a request, field by field, and the one failure that tells all of it.

use serde::{Deserialize, Serialize};

use super::{Failure, ReasonCode, Sentence};
use crate::unicode::is_invisible;

/// How much of a refused value is repeated to its sender.
const SHOWN: usize = 60;

/// One field that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Where it is: a path such as `dockerfile_json.base_image` in the old protocol, a JSON
    /// pointer such as `/pip/packages/3` in a document of version 1, or a parameter's name.
    pub path: String,
    /// What was there, shortened and without control characters; empty for secrets and for
    /// fields that are missing.
    pub value: String,
    /// What is allowed there.
    pub allowed: Sentence,
}

impl FieldError {
    /// An error about a value that may be repeated.
    pub fn new(path: impl Into<String>, value: &str, allowed: Sentence) -> Self {
        Self {
            path: path.into(),
            value: shorten(value),
            allowed,
        }
    }

    /// An error about a field whose value must not be repeated, or that is missing.
    pub fn without_value(path: impl Into<String>, allowed: Sentence) -> Self {
        Self::new(path, "", allowed)
    }

    /// The whole sentence, the field being its subject.
    fn describe(&self) -> Sentence {
        self.described_as(&self.path)
    }

    /// What is wrong, for a reader who is told apart which field it is.
    pub fn detail(&self) -> Sentence {
        let sentence = self.described_as("");
        let trimmed = |text: &str| text.trim().to_owned();
        Sentence::new(
            trimmed(sentence.zh.trim_start_matches(" 的")),
            trimmed(&sentence.en),
        )
    }

    fn described_as(&self, path: &str) -> Sentence {
        let Sentence { zh, en } = &self.allowed;
        let zh = spaced(zh);
        if self.value.is_empty() {
            Sentence::new(format!("{path} {zh}"), format!("{path} {en}"))
        } else {
            Sentence::new(
                format!("{path} 的值“{}”无效，{zh}", self.value),
                format!("{path} is \"{}\" but {en}", self.value),
            )
        }
    }
}

/// The sentence with the blank that sets digits and Latin letters off from `应为`, wherever it was
/// put together.
fn spaced(zh: &str) -> String {
    match zh.strip_prefix("应为") {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_alphanumeric()) => {
            format!("应为 {rest}")
        }
        _ => zh.to_owned(),
    }
}

/// The value in one line of at most [`SHOWN`] characters; control and invisible characters are
/// escaped, so that what is refused can also be seen.
fn shorten(value: &str) -> String {
    let mut shown = String::new();
    for (count, character) in value.chars().enumerate() {
        if count == SHOWN {
            shown.push('…');
            break;
        }
        if is_invisible(character) {
            shown.extend(character.escape_unicode());
        } else if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

impl Failure {
    /// All field errors of a request as one failure.
    pub fn invalid_fields(errors: &[FieldError]) -> Self {
        let described: Vec<Sentence> = errors.iter().map(FieldError::describe).collect();
        let join = |texts: Vec<&str>, separator: &str| texts.join(separator);
        let zh = join(described.iter().map(|one| one.zh.as_str()).collect(), "；");
        let en = join(described.iter().map(|one| one.en.as_str()).collect(), "; ");
        let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
        let mut failure = Self::new(
            ReasonCode::SpecInvalid,
            format!("请求中有 {} 处错误：{zh}。", errors.len()),
            format!("The request has {} mistake(s): {en}.", errors.len()),
        )
        .with_culprit(paths.join(", "));
        failure.fields = errors.to_vec();
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_in_the_one_sentence() {
        let errors = [
            FieldError::new(
                "dockerfile_json.base_image",
                "a b\nc\u{202e}",
                Sentence::new("应为镜像名", "must be an image name"),
            ),
            FieldError::without_value(
                "webSSHSecret",
                Sentence::new("无法解密", "cannot be decrypted"),
            ),
        ];
        let failure = Failure::invalid_fields(&errors);
        assert_eq!(
            failure.message.en,
            "The request has 2 mistake(s): dockerfile_json.base_image is \"a b\\nc\\u{202e}\" but \
             must be an image name; webSSHSecret cannot be decrypted."
        );
        assert_eq!(
            failure.message.zh,
            "请求中有 2 处错误：dockerfile_json.base_image 的值“a b\\nc\\u{202e}”无效，应为镜像名；\
             webSSHSecret 无法解密。"
        );
        assert_eq!(
            failure.culprit.as_deref(),
            Some("dockerfile_json.base_image, webSSHSecret")
        );
    }

    #[test]
    fn numbers_and_latin_words_are_set_off_from_the_chinese_before_them() {
        for (allowed, described) in [
            (
                "应为1 到 65535 之间的端口号",
                "port 应为 1 到 65535 之间的端口号",
            ),
            ("应为 JSON 对象", "port 应为 JSON 对象"),
            ("应为列表", "port 应为列表"),
        ] {
            let error = FieldError::without_value("port", Sentence::new(allowed, ""));
            assert_eq!(error.describe().zh, described);
        }
    }

    #[test]
    fn long_values_are_shortened() {
        let error = FieldError::new("a", &"长".repeat(1000), Sentence::new("", ""));
        assert_eq!(error.value.chars().count(), SHOWN + 1);
    }
}

//! What is wrong with a request, field by field, and the one failure that tells all of it.

use serde::{Deserialize, Serialize};

use super::{Failure, ReasonCode, Sentence};
use crate::unicode::is_invisible;

/// How many characters of a refused value are repeated to its sender.
const SHOWN: usize = 60;
/// How many characters of a path are shown: names in it may be the sender's own.
const SHOWN_PATH: usize = 250;

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
            path: shorten(&path.into(), SHOWN_PATH),
            value: shorten(value, SHOWN),
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

/// The text in one line of at most `longest` characters; control and invisible characters are
/// escaped, so that what is refused can also be seen.
fn shorten(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == longest {
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

/// How many mistakes of one request are reported; the others are only counted, so that a request
/// made of mistakes gets an answer of bounded size.
pub const MAX_REPORTED: usize = 50;

/// The mistakes of one request: the first [`MAX_REPORTED`] in full, and the number of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldErrors {
    reported: Vec<FieldError>,
    more: usize,
}

impl FieldErrors {
    /// Adds a mistake; beyond [`MAX_REPORTED`] it is only counted.
    pub fn push(&mut self, error: FieldError) {
        if self.is_full() {
            self.count_only();
        } else {
            self.reported.push(error);
        }
    }

    /// Counts a mistake without wording it. Only where [`Self::is_full`]: it would not be reported.
    pub(crate) fn count_only(&mut self) {
        self.more += 1;
    }

    /// Whether further mistakes are only counted, so that nobody needs to word them.
    pub(crate) fn is_full(&self) -> bool {
        self.reported.len() >= MAX_REPORTED
    }

    /// Whether there is no mistake.
    pub fn is_empty(&self) -> bool {
        self.reported.is_empty()
    }

    /// The number of mistakes, reported or not.
    pub fn len(&self) -> usize {
        self.reported.len() + self.more
    }

    /// The mistakes that are reported.
    pub fn reported(&self) -> &[FieldError] {
        &self.reported
    }

    /// `value`, if there is one and no mistake was made.
    ///
    /// # Errors
    /// The mistakes.
    pub fn or<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => Err(self),
        }
    }
}

/// The mistakes that are reported.
impl IntoIterator for FieldErrors {
    type Item = FieldError;
    type IntoIter = std::vec::IntoIter<FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.reported.into_iter()
    }
}

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        [error].into_iter().collect()
    }
}

impl FromIterator<FieldError> for FieldErrors {
    fn from_iter<I: IntoIterator<Item = FieldError>>(errors: I) -> Self {
        let mut collected = Self::default();
        collected.extend(errors);
        collected
    }
}

impl Extend<FieldError> for FieldErrors {
    fn extend<I: IntoIterator<Item = FieldError>>(&mut self, errors: I) {
        for error in errors {
            self.push(error);
        }
    }
}

impl From<FieldErrors> for Failure {
    fn from(errors: FieldErrors) -> Self {
        let count = errors.len();
        let FieldErrors { reported, more } = errors;
        let (mut zh, mut en): (Vec<String>, Vec<String>) = reported
            .iter()
            .map(FieldError::describe)
            .map(|Sentence { zh, en }| (zh, en))
            .unzip();
        if more > 0 {
            zh.push(format!("以及另外 {more} 处"));
            en.push(format!("and {more} more"));
        }
        let paths: Vec<&str> = reported.iter().map(|error| error.path.as_str()).collect();
        let mut failure = Self::new(
            ReasonCode::SpecInvalid,
            format!("请求中有 {count} 处错误：{}。", zh.join("；")),
            format!("The request has {count} mistake(s): {}.", en.join("; ")),
        )
        .with_culprit(paths.join(", "));
        failure.fields = reported;
        failure
    }
}

impl Failure {
    /// The mistakes of a request as one failure.
    pub fn invalid_fields(errors: &[FieldError]) -> Self {
        errors.iter().cloned().collect::<FieldErrors>().into()
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

    #[test]
    fn mistakes_beyond_the_reported_ones_are_counted() {
        let error = |number: usize| {
            let allowed = Sentence::new("是必填项", "is required");
            FieldError::without_value(format!("field{number}"), allowed)
        };
        let all: FieldErrors = (0..1_000_000).map(error).collect();
        assert_eq!(all.len(), 1_000_000);
        let failure = Failure::from(all);
        assert_eq!(failure.fields.len(), MAX_REPORTED);
        let (zh, en) = (&failure.message.zh, &failure.message.en);
        assert!(zh.starts_with("请求中有 1000000 处错误："), "{zh}");
        assert!(
            zh.ends_with("field49 是必填项；以及另外 999950 处。"),
            "{zh}"
        );
        assert!(
            en.ends_with("; field49 is required; and 999950 more."),
            "{en}"
        );
    }
}

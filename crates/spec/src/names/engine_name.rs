//! Names of engines: labels of the domain name system (RFC 1123, 2.1) in lower case, so that they
//! stand in a path, a log line and a metric's label as they are.

use super::NameError;

const LONGEST: usize = 63;

/// An engine's name: 1 to 63 lower case letters, digits and hyphens, no hyphen at either end.
pub fn parse_engine_name(text: &str) -> Result<String, NameError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (1..=LONGEST).contains(&text.len())
        && text.chars().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if fits {
        return Ok(text.to_owned());
    }
    Err(NameError::new(
        format!("应为 1 到 {LONGEST} 个小写字母、数字或连字符，且首尾不是连字符，例如 builder-2"),
        format!(
            "must be 1 to {LONGEST} lower case letters, digits and hyphens with no hyphen at \
             either end, such as builder-2"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::{super::attacks::ATTACKS, *};

    #[test]
    fn a_name_is_a_label_in_lower_case() {
        let longest = "a".repeat(LONGEST);
        for good in ["a", "9", "builder-2", longest.as_str()] {
            assert_eq!(parse_engine_name(good).unwrap(), good);
        }
        let longer = format!("{longest}a");
        let bad = ["", "-a", "a-", "A", "a.b", "a_b", "a b", "ü", &longer];
        for bad in bad.into_iter().chain(ATTACKS) {
            assert!(parse_engine_name(bad).is_err(), "{bad:?}");
        }
    }
}

//! conda match specs in the form people type: `[channel::]name[constraint]`, where a constraint is
//! `=1.2`, `==1.2=build` or comparisons such as `>=1.2,<2|3.*`. The bracket form is left out: it
//! can name URLs.

use super::NameError;

const LONGEST: usize = 256;
const OPERATORS: [&str; 8] = ["==", "!=", "<=", ">=", "~=", "=", "<", ">"];

/// A match spec from the two fields of a request: `name` may hold a channel and a constraint, the
/// separate `version` is joined as `=`, or as it stands when it begins with an operator.
///
/// Returns it without blanks, such as `conda-forge::scipy=1.9.3`.
pub fn parse_match_spec(name: &str, version: &str) -> Result<String, NameError> {
    if name.len() > LONGEST || version.len() > LONGEST {
        return Err(refused_name());
    }
    let name = name.trim_matches(' ');
    let (channel, rest) = match name.split_once("::") {
        Some((channel, rest)) => (Some(channel), rest),
        None => (None, name),
    };
    if !channel.is_none_or(is_channel) {
        return Err(refused_name());
    }
    let end = rest
        .find(|c: char| !is_name_character(c))
        .unwrap_or(rest.len());
    let (package, constraint) = rest.split_at(end);
    if !package.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        return Err(refused_name());
    }
    let head = match channel {
        Some(channel) => format!("{channel}::{package}"),
        None => package.to_owned(),
    };
    let constraint = constraint.trim_matches(' ');
    let version = version.trim_matches(' ');
    match (constraint.is_empty(), version.is_empty()) {
        (true, true) => Ok(head),
        (false, false) => Err(NameError::new(
            "已含版本要求，不能再另给版本",
            "must not hold a version constraint when a version is given beside it",
        )),
        (false, true) => parse_constraint(constraint)
            .map(|constraint| head + &constraint)
            .ok_or_else(refused_name),
        (true, false) => {
            let joined = if OPERATORS
                .iter()
                .any(|operator| version.starts_with(operator))
            {
                parse_constraint(version)
            } else {
                parse_constraint(&format!("={version}"))
            };
            joined.map(|constraint| head + &constraint).ok_or_else(|| {
                NameError::new(
                    "的版本应为 conda 版本或版本要求，例如 1.9.3 或 >=1.2,<2",
                    "must have a conda version or constraint, such as 1.9.3 or >=1.2,<2",
                )
            })
        }
    }
}

fn refused_name() -> NameError {
    NameError::new(
        "应为 conda 包，可带 频道:: 和版本要求，不含 URL 或选项，例如 scipy、conda-forge::scipy=1.9.3 或 numpy>=1.2,<2",
        "must be a conda package, perhaps with channel:: and a version constraint, without URL or \
         option, such as scipy, conda-forge::scipy=1.9.3 or numpy>=1.2,<2",
    )
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-".contains(c)
}

/// A channel by name, perhaps with a label or a subfolder: `conda-forge`, `pytorch/label/nightly`.
fn is_channel(text: &str) -> bool {
    text.split('/').all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && part.chars().all(is_name_character)
    })
}

fn parse_constraint(text: &str) -> Option<String> {
    let mut parsed = String::new();
    let mut rest = text;
    loop {
        let end = rest.find([',', '|']).unwrap_or(rest.len());
        let term = rest[..end].trim_matches(' ');
        let operator = OPERATORS.into_iter().find(|one| term.starts_with(one));
        // Only what follows a comparison may lean on it and leave its operator out (`=1|2`).
        if operator.is_none() && parsed.is_empty() {
            return None;
        }
        let value = term[operator.map_or(0, str::len)..].trim_start_matches(' ');
        let (version, build) = match value.split_once('=') {
            Some((version, build)) if matches!(operator, Some("=" | "==")) => {
                (version, Some(build))
            }
            Some(_) => return None,
            None => (value, None),
        };
        let version_fits = version.starts_with(|c: char| c.is_ascii_digit() || c == '*')
            && version
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._!+*-".contains(c));
        let build_fits = build.is_none_or(|build| {
            !build.is_empty()
                && build
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._*".contains(c))
        });
        if !version_fits || !build_fits {
            return None;
        }
        parsed.push_str(operator.unwrap_or_default());
        parsed.push_str(value);
        let Some(separator) = rest[end..].chars().next() else {
            return Some(parsed);
        };
        parsed.push(separator);
        rest = &rest[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::attacks::ATTACKS;

    #[test]
    fn names_channels_and_constraints_pass() {
        for (name, version, expected) in [
            ("scipy", "1.9.3", "scipy=1.9.3"),
            ("scipy", "", "scipy"),
            ("_libgcc_mutex", "", "_libgcc_mutex"),
            ("scipy", ">=1.2, <2", "scipy>=1.2,<2"),
            ("scipy", "==1.9.3", "scipy==1.9.3"),
            ("scipy", "1.9.3=py38h_0", "scipy=1.9.3=py38h_0"),
            ("conda-forge::scipy=1.9", "", "conda-forge::scipy=1.9"),
            (
                "pytorch/label/nightly::pytorch",
                "2.*",
                "pytorch/label/nightly::pytorch=2.*",
            ),
            ("python", "3.8|3.9", "python=3.8|3.9"),
            ("numpy >=1.2,<2", "", "numpy>=1.2,<2"),
        ] {
            assert_eq!(parse_match_spec(name, version).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_match_spec_is_refused() {
        for name in [
            "",
            "--file",
            "-c x",
            "https://x/noarch::y",
            "../x::y",
            "a::b::c",
            "::b",
            "scipy[url=http://x]",
            "scipy=",
            "scipy>=1,",
            "scipy 1.2",
            "scipy>=1=build",
            "scipy=1=",
            "a/b",
        ] {
            assert!(parse_match_spec(name, "").is_err(), "{name:?}");
        }
        for attack in ATTACKS {
            assert!(parse_match_spec(attack, "").is_err(), "{attack:?}");
            assert!(parse_match_spec("scipy", attack).is_err(), "{attack:?}");
        }
        assert!(parse_match_spec("scipy=1", "2").is_err());
    }
}

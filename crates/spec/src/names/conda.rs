//! conda match specs in the forms people and tools write: `[channel::]name[constraint]`, where a constraint is `=1.2`,
//! `==1.2=build` or comparisons such as `>=1.2,<2|3.*`; `name version [build]` with blanks; and the bracket form
//! `name[version='>=1.2', build=py38*]`, of which the keys that name URLs or files are refused (CEP 29).

use super::NameError;

const LONGEST: usize = 256;
const OPERATORS: [&str; 8] = ["==", "!=", "<=", ">=", "~=", "=", "<", ">"];
/// The keys of the bracket form that only choose among a channel's packages.
const BRACKET_KEYS: [&str; 6] = [
    "version",
    "build",
    "build_number",
    "subdir",
    "md5",
    "sha256",
];

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
        (false, true) => match constraint.split_once('[') {
            Some((before, brackets)) => parse_brackets(before.trim(), brackets),
            None => parse_constraint(constraint).or_else(|| parse_blanks(constraint)),
        }
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
pub(crate) fn is_channel(text: &str) -> bool {
    text.split('/').all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && part.chars().all(is_name_character)
    })
}

/// `version` or `version build` behind blanks, as `conda list --export` and recipes have it: the exact form.
fn parse_blanks(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let (version, build) = (words.next()?, words.next());
    if words.next().is_some() || !is_version(version) || !build.is_none_or(is_build) {
        return None;
    }
    Some(match build {
        Some(build) => format!("={version}={build}"),
        None => format!("=={version}"),
    })
}

/// What is in the brackets, behind a constraint or none.
fn parse_brackets(constraint: &str, brackets: &str) -> Option<String> {
    let constraint = if constraint.is_empty() {
        String::new()
    } else {
        parse_constraint(constraint)?
    };
    let mut pairs = Vec::new();
    let mut rest = brackets.strip_suffix(']')?;
    while !rest.trim().is_empty() {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim();
        let after = after.trim_start();
        let (value, more) = match after.chars().next().filter(|first| "'\"".contains(*first)) {
            Some(quote) => after[1..].split_once(quote)?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "._!+*<>=~|, ^$-".contains(c);
        if !BRACKET_KEYS.contains(&key) || value.is_empty() || !value.chars().all(fits) {
            return None;
        }
        pairs.push(format!("{key}='{}'", value.trim()));
        let more = more.trim_start();
        if !more.is_empty() && !more.starts_with(',') {
            return None;
        }
        rest = more.strip_prefix(',').unwrap_or(more);
    }
    (!pairs.is_empty()).then(|| format!("{constraint}[{}]", pairs.join(",")))
}

fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || c == '*')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._!+*-".contains(c))
}

fn is_build(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._*".contains(c))
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
        if !is_version(version) || !build.is_none_or(is_build) {
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
            ("scipy 1.2", "", "scipy==1.2"),
            ("scipy 1.2 py38_0", "", "scipy=1.2=py38_0"),
            (
                "pytorch[version='>=2.0,<3', build=*cuda*]",
                "",
                "pytorch[version='>=2.0,<3',build='*cuda*']",
            ),
            ("python=3.9.*=*_cpython", "", "python=3.9.*=*_cpython"),
            (
                "numpy>=1.2[build_number=0]",
                "",
                "numpy>=1.2[build_number='0']",
            ),
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
            "scipy 1.2 a b",
            "scipy[channel=https://x]",
            "scipy[fn=/etc/passwd]",
            "scipy[]",
            "scipy[version='1'",
            "scipy[version='1';x]",
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

//! Python requirements: the part of PEP 508 that names a package in an index (name, extras and
//! PEP 440 version specifiers). URLs, markers and pip's own options are left out on purpose: they
//! would reach other hosts, or pip itself.

use super::NameError;

/// In bytes; a requirement with all extras that a package has takes some hundreds.
const LONGEST: usize = 4096;
const OPERATORS: [&str; 8] = ["===", "~=", "==", "!=", "<=", ">=", "<", ">"];

/// A requirement from the two fields of a request: `name` may hold extras and specifiers, the
/// separate `version` is joined as `==`, or as it stands when it is itself a specifier.
///
/// Returns it without blanks, such as `requests[socks]>=2,<3`.
pub fn parse_requirement(name: &str, version: &str) -> Result<String, NameError> {
    if name.len() > LONGEST || version.len() > LONGEST {
        return Err(too_long());
    }
    let (head, specifiers) = split(name.trim_matches(' ')).ok_or_else(refused_name)?;
    let version = version.trim_matches(' ');
    if version.is_empty() {
        return Ok(head + &specifiers);
    }
    if !specifiers.is_empty() {
        return Err(NameError::new(
            "已含版本要求，不能再另给版本",
            "must not hold a version specifier when a version is given beside it",
        ));
    }
    let joined = if version.starts_with(['=', '~', '!', '<', '>']) {
        parse_specifiers(version)
    } else {
        parse_specifier(&format!("=={version}"))
    };
    joined
        .map(|specifiers| head + &specifiers)
        .ok_or_else(refused_version)
}

/// Name with extras, and version specifiers, both without blanks, of a requirement in a file, where tabs count as
/// blanks, extras may be none, and a comma may end the specifiers.
pub(crate) fn split_requirement(text: &str) -> Result<(String, String), NameError> {
    if text.len() > LONGEST {
        return Err(too_long());
    }
    let text = text.replace('\t', " ").replace("[]", "");
    let text = text.trim_matches(' ');
    let ended = text
        .strip_suffix(',')
        .filter(|rest| !rest.trim_end().ends_with(','));
    split(ended.unwrap_or(text)).ok_or_else(refused_name)
}

fn too_long() -> NameError {
    NameError::new(
        format!("过长，最长 {LONGEST} 个字符"),
        format!("is too long: at most {LONGEST} characters"),
    )
}

fn refused_name() -> NameError {
    NameError::new(
        "应为 PEP 508 形式的 Python 包名，可带附加项和版本要求，不含 URL、环境标记或选项，例如 requests[socks]>=2,<3",
        "must be a Python package in PEP 508 form, perhaps with extras and version specifiers, \
         without URL, marker or option, such as requests[socks]>=2,<3",
    )
}

fn refused_version() -> NameError {
    NameError::new(
        "的版本应符合 PEP 440，例如 1.26.4 或 >=1.2,<2",
        "must have a PEP 440 version or specifier, such as 1.26.4 or >=1.2,<2",
    )
}

/// Name with extras, and specifiers, both without blanks.
fn split(text: &str) -> Option<(String, String)> {
    let end = text
        .find(|c: char| !is_name_character(c))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if !is_name(name) {
        return None;
    }
    let mut head = name.to_owned();
    let mut rest = rest.trim_start_matches(' ');
    if let Some(inner) = rest.strip_prefix('[') {
        let (extras, after) = inner.split_once(']')?;
        let extras: Vec<&str> = extras.split(',').map(|one| one.trim_matches(' ')).collect();
        if !extras.iter().all(|extra| is_name(extra)) {
            return None;
        }
        head = format!("{head}[{}]", extras.join(","));
        rest = after.trim_start_matches(' ');
    }
    if rest.is_empty() {
        return Some((head, String::new()));
    }
    if let Some(inner) = rest.strip_prefix('(') {
        rest = inner.strip_suffix(')')?;
    }
    Some((head, parse_specifiers(rest)?))
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-".contains(c)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(is_name_character)
}

fn parse_specifiers(text: &str) -> Option<String> {
    let specifiers: Option<Vec<String>> = text.split(',').map(parse_specifier).collect();
    Some(specifiers?.join(","))
}

fn parse_specifier(text: &str) -> Option<String> {
    let text = text.trim_matches(' ');
    let operator = OPERATORS.into_iter().find(|one| text.starts_with(one))?;
    let version = text[operator.len()..].trim_start_matches(' ');
    let fits = match operator {
        "===" => {
            version.starts_with(|c: char| c.is_ascii_alphanumeric())
                && version
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._+!-".contains(c))
        }
        "==" | "!=" => match version.strip_suffix(".*") {
            Some(prefix) => version_shape(prefix).is_some_and(|shape| !shape.has_local),
            None => version_shape(version).is_some(),
        },
        "~=" => version_shape(version).is_some_and(|shape| !shape.has_local && shape.parts > 1),
        _ => version_shape(version).is_some_and(|shape| !shape.has_local),
    };
    fits.then(|| format!("{operator}{version}"))
}

/// What the specifiers' rules ask of a version.
struct VersionShape {
    /// How many numbers its release part has.
    parts: usize,
    /// Whether it has a local label (`+cu118`).
    has_local: bool,
}

/// Reads a PEP 440 version (appendix B of the PEP, in its permissive form).
fn version_shape(text: &str) -> Option<VersionShape> {
    let lower = text.to_ascii_lowercase();
    let mut rest = lower.strip_prefix('v').unwrap_or(&lower);
    if let Some((epoch, after)) = rest.split_once('!') {
        all_digits(epoch).then_some(())?;
        rest = after;
    }
    let (mut rest, local) = match rest.split_once('+') {
        Some((public, local)) => (public, Some(local)),
        None => (rest, None),
    };
    let mut parts = 0;
    loop {
        let after = skip_digits(rest);
        if after.len() == rest.len() {
            return None;
        }
        parts += 1;
        rest = after;
        match rest.strip_prefix('.') {
            Some(next) if next.starts_with(|c: char| c.is_ascii_digit()) => rest = next,
            _ => break,
        }
    }
    rest = skip_suffix(
        rest,
        &["alpha", "a", "beta", "b", "preview", "pre", "c", "rc"],
    );
    rest = match rest
        .strip_prefix('-')
        .filter(|next| next.starts_with(|c: char| c.is_ascii_digit()))
    {
        // The implicit post release, `1.0-1`.
        Some(number) => skip_digits(number),
        None => skip_suffix(rest, &["post", "rev", "r"]),
    };
    rest = skip_suffix(rest, &["dev"]);
    let local_fits = local.is_none_or(|local| {
        local
            .split(['.', '_', '-'])
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric()))
    });
    (rest.is_empty() && local_fits).then_some(VersionShape {
        parts,
        has_local: local.is_some(),
    })
}

/// What follows one of `words` with the separators and the number it may have; `text` itself when
/// none of them is there.
fn skip_suffix<'text>(text: &'text str, words: &[&str]) -> &'text str {
    let bare = text.strip_prefix(['.', '_', '-']).unwrap_or(text);
    let Some(after) = words.iter().find_map(|word| bare.strip_prefix(word)) else {
        return text;
    };
    let number = after.strip_prefix(['.', '_', '-']).unwrap_or(after);
    if number.starts_with(|c: char| c.is_ascii_digit()) {
        skip_digits(number)
    } else {
        after
    }
}

fn skip_digits(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_ascii_digit())
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::attacks::ATTACKS;

    #[test]
    fn names_with_extras_and_specifiers_pass_without_their_blanks() {
        for (name, version, expected) in [
            ("numpy", "", "numpy"),
            ("numpy", "1.26.4", "numpy==1.26.4"),
            ("torch", "2.0.1+cu118", "torch==2.0.1+cu118"),
            ("numpy", ">=1.2", "numpy>=1.2"),
            ("numpy", ">= 1.2, < 2", "numpy>=1.2,<2"),
            ("numpy", "1.*", "numpy==1.*"),
            (
                "requests[socks, security] >= 2 , <3",
                "",
                "requests[socks,security]>=2,<3",
            ),
            ("requests [socks] (>=2)", "", "requests[socks]>=2"),
            ("requests[socks]", "2.31.0", "requests[socks]==2.31.0"),
            ("ruamel.yaml", "~=0.17.0", "ruamel.yaml~=0.17.0"),
            ("zope_interface", "", "zope_interface"),
            ("a", "", "a"),
            ("odd", "===2004d-x", "odd===2004d-x"),
            ("pkg", "1!2.0rc1.post2.dev3", "pkg==1!2.0rc1.post2.dev3"),
            ("pkg", "1.0-1", "pkg==1.0-1"),
            ("pkg", "v1.0.ALPHA-2", "pkg==v1.0.ALPHA-2"),
        ] {
            assert_eq!(parse_requirement(name, version).unwrap(), expected);
        }
    }

    #[test]
    fn urls_markers_options_and_broken_names_are_refused() {
        for name in [
            "",
            "-r requirements.txt",
            "--index-url=http://x",
            "pip @ https://x/pip.whl",
            "git+https://x/y",
            "https://x/y.whl",
            "./local",
            "name; python_version<'3'",
            "name==1; os_name=='nt'",
            "name --pre",
            "name==1 --hash=sha256:0",
            "name[",
            "name[]",
            "name[a",
            "name.",
            "_name",
            "name==",
            "name==1,",
            "name=1",
            "name>1.*",
            "name~=1",
            "name>=1+local",
            "name (>=1",
            "name\\\n==1",
        ] {
            assert!(parse_requirement(name, "").is_err(), "{name:?}");
        }
        for attack in ATTACKS {
            assert!(parse_requirement(attack, "").is_err(), "{attack:?}");
        }
    }

    #[test]
    fn broken_versions_are_refused() {
        for version in [
            "x", "1..2", "1.", "=1", "1 2", "latest", ">=", "1,2", "1+", "1+a..b", "!1", "1;x",
        ] {
            assert!(parse_requirement("numpy", version).is_err(), "{version:?}");
        }
        for attack in ATTACKS {
            assert!(parse_requirement("numpy", attack).is_err(), "{attack:?}");
        }
        assert!(parse_requirement("numpy>=1", "2").is_err());
    }
}

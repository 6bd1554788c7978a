//! Debian package names and versions (Debian Policy 5.6.7 and 5.6.12), as apt reads them.

use super::NameError;

/// A Debian package name, with an optional `:architecture`.
///
/// Beyond the policy, a name may not end in `-`: apt would read it as an order to remove the
/// package.
pub fn parse_debian_package(text: &str) -> Result<String, NameError> {
    let (name, architecture) = match text.split_once(':') {
        Some((name, architecture)) => (name, Some(architecture)),
        None => (text, None),
    };
    let name_fits = name.len() >= 2
        && name.len() <= 128
        && name.starts_with(is_lower_or_digit)
        && !name.ends_with('-')
        && name
            .chars()
            .all(|c| is_lower_or_digit(c) || "+-.".contains(c));
    let architecture_fits = architecture.is_none_or(|text| {
        text.len() <= 32
            && text.starts_with(is_lower_or_digit)
            && text.chars().all(|c| is_lower_or_digit(c) || c == '-')
    });
    if name_fits && architecture_fits {
        Ok(text.to_owned())
    } else {
        Err(NameError::new(
            "应为 Debian 软件包名：小写字母、数字及 + - .，以字母或数字开头，可带 :架构，例如 git 或 libc6:amd64",
            "must be a Debian package name: lower case letters, digits and + - . with a letter or \
             digit first, perhaps followed by :architecture, such as git or libc6:amd64",
        ))
    }
}

/// A Debian version: `[epoch:]upstream[-revision]`.
pub fn parse_debian_version(text: &str) -> Result<String, NameError> {
    let (epoch, rest) = match text.split_once(':') {
        Some((epoch, rest)) => (Some(epoch), rest),
        None => (None, text),
    };
    let (upstream, revision) = match rest.rsplit_once('-') {
        Some((upstream, revision)) => (upstream, Some(revision)),
        None => (rest, None),
    };
    let allowed = |c: char, more: &str| c.is_ascii_alphanumeric() || more.contains(c);
    let fits = text.len() <= 128
        && epoch.is_none_or(|epoch| {
            (1..=9).contains(&epoch.len()) && epoch.chars().all(|c| c.is_ascii_digit())
        })
        && upstream.starts_with(|c: char| c.is_ascii_digit())
        && upstream
            .chars()
            .all(|c| allowed(c, ".+-~") || (c == ':' && epoch.is_some()))
        && revision.is_none_or(|text| !text.is_empty() && text.chars().all(|c| allowed(c, "+.~")));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(NameError::new(
            "应为 Debian 软件包版本：[纪元:]上游版本[-修订号]，以数字开头，例如 1:2.39.5-0+deb12u2",
            "must be a Debian version, [epoch:]upstream[-revision] with a digit first, such as \
             1:2.39.5-0+deb12u2",
        ))
    }
}

fn is_lower_or_digit(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::attacks::ATTACKS;

    #[test]
    fn names_of_the_policy_pass() {
        for name in [
            "git",
            "g++",
            "libstdc++-12-dev",
            "libc6:amd64",
            "0ad",
            "python3.11",
            "gcc:any",
        ] {
            assert_eq!(parse_debian_package(name).unwrap(), name);
        }
    }

    #[test]
    fn what_is_no_package_name_is_refused() {
        for name in [
            "", "a", "Git", "git-", "-git", "git/sid", "git=1", "git:", "git:AMD", "gi*t", "a_b",
            "+x",
        ] {
            assert!(parse_debian_package(name).is_err(), "{name:?}");
        }
        for attack in ATTACKS {
            assert!(parse_debian_package(attack).is_err(), "{attack:?}");
        }
    }

    #[test]
    fn versions_of_the_policy_pass() {
        for version in [
            "1.0",
            "1:2.39.5-0+deb12u2",
            "7.88.1-10+deb12u14",
            "2.0~rc1-1",
            "5.15.0-91.101~20.04.1",
            "1:2:3-4",
            "20230311",
        ] {
            assert_eq!(parse_debian_version(version).unwrap(), version);
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for version in [
            "", "v1", ":1", "a:1", "1:2_3", "1-", "1.0 ", "1=2", ">=1", "1*", "1:", "-1",
        ] {
            assert!(parse_debian_version(version).is_err(), "{version:?}");
        }
        for attack in ATTACKS {
            assert!(parse_debian_version(attack).is_err(), "{attack:?}");
        }
    }
}

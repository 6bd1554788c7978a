//! RPM package names and versions, as yum and dnf take them on their command line.

use super::NameError;

/// An RPM name, perhaps with `.architecture`, or a group as `@group-id`.
pub fn parse_rpm_package(text: &str) -> Result<String, NameError> {
    let (name, more) = match text.strip_prefix('@') {
        Some(group) => (group, "._-"),
        None => (text, "._+-"),
    };
    let fits = !name.is_empty()
        && name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && !name.ends_with('-')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || more.contains(c));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(NameError::new(
            "应为 RPM 软件包名：字母、数字及 . _ + -，以字母、数字或 _ 开头，或软件包组 @组标识，例如 vim-enhanced 或 @development",
            "must be an RPM package name: letters, digits and . _ + - with a letter, digit or _ \
             first, or a group as @group-id, such as vim-enhanced or @development",
        ))
    }
}

/// An RPM version: `[epoch:]version[-release]`.
pub fn parse_rpm_version(text: &str) -> Result<String, NameError> {
    let (epoch, rest) = match text.split_once(':') {
        Some((epoch, rest)) => (Some(epoch), rest),
        None => (None, text),
    };
    let (version, release) = match rest.split_once('-') {
        Some((version, release)) => (version, Some(release)),
        None => (rest, None),
    };
    let part_fits = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._+~^".contains(c))
    };
    let fits = text.len() <= 128
        && epoch.is_none_or(|epoch| {
            (1..=9).contains(&epoch.len()) && epoch.chars().all(|c| c.is_ascii_digit())
        })
        && part_fits(version)
        && release.is_none_or(part_fits);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(NameError::new(
            "应为 RPM 软件包版本：[纪元:]版本[-发行号]，例如 7.4.629-8.el7_9",
            "must be an RPM version, [epoch:]version[-release], such as 7.4.629-8.el7_9",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::attacks::ATTACKS;

    #[test]
    fn names_and_groups_pass() {
        for name in [
            "vim",
            "gcc-c++",
            "glibc.i686",
            "python3.11-pip",
            "NetworkManager",
            "@development-tools",
            "_x",
        ] {
            assert_eq!(parse_rpm_package(name).unwrap(), name);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in [
            "", "@", "-y", "vim*", "a/b", "./x.rpm", "@a b", "@@a", "vim-", "a:b", "vim>1",
        ] {
            assert!(parse_rpm_package(name).is_err(), "{name:?}");
        }
        for attack in ATTACKS {
            assert!(parse_rpm_package(attack).is_err(), "{attack:?}");
        }
    }

    #[test]
    fn versions_pass_with_epoch_and_release() {
        for version in [
            "7.4.629",
            "7.4.629-8.el7_9",
            "2:8.0.1763-19.el8",
            "1.0~rc1",
            "1.0^git1-1",
        ] {
            assert_eq!(parse_rpm_version(version).unwrap(), version);
        }
        for version in ["", "-1", "1-", "1-2-3", "x:1", "1 2", "*", "1:"] {
            assert!(parse_rpm_version(version).is_err(), "{version:?}");
        }
        for attack in ATTACKS {
            assert!(parse_rpm_version(attack).is_err(), "{attack:?}");
        }
    }
}

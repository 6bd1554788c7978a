//! Names of files in the catalog, and the place a tool is installed at.

use super::NameError;

/// One path part: letters and digits of any script and `. _ - + ~ @ =`, not `.` or `..`, and no
/// `-` first, where a command would take it for an option. Also the rule for the folders that
/// group mirror files.
pub fn parse_file_name(text: &str) -> Result<String, NameError> {
    let fits = !text.is_empty()
        && text.len() <= 255
        && text != "."
        && text != ".."
        && !text.starts_with('-')
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || "._-+~@=".contains(c));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(NameError::new(
            "应为单个文件名（字母、数字及 . _ - + ~ @ =，不以 - 开头，不含路径）",
            "must be the name of one file: letters, digits and . _ - + ~ @ = without - first and \
             without a path",
        ))
    }
}

/// Folders that belong to the distribution, with everything below them.
const SYSTEM_TREES: [&str; 25] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr/bin",
    "/usr/include",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/libx32",
    "/usr/sbin",
    "/usr/share",
    "/usr/src",
    "/usr/local/bin",
    "/var",
];

/// Folders that are shared: something may be installed below them, not into them.
const SHARED_FOLDERS: [&str; 16] = [
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/srv",
    "/usr",
    "/usr/games",
    "/usr/local",
    "/usr/local/etc",
    "/usr/local/include",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/usr/local/sbin",
    "/usr/local/share",
    "/usr/local/src",
];

/// An absolute folder to install a tool under, without a slash at its end.
pub fn parse_install_location(text: &str) -> Result<String, NameError> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let parts_fit = path.strip_prefix('/').is_some_and(|relative| {
        relative.split('/').all(|part| {
            !matches!(part, "" | "." | "..")
                && !part.starts_with('-')
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        })
    });
    let in_system_tree = SYSTEM_TREES.iter().any(|tree| {
        path.strip_prefix(tree)
            .is_some_and(|below| below.is_empty() || below.starts_with('/'))
    });
    if parts_fit && path.len() <= 200 && !in_system_tree && !SHARED_FOLDERS.contains(&path) {
        Ok(path.to_owned())
    } else {
        Err(NameError::new(
            "应为绝对路径，由字母、数字及 . _ - 组成，不含 ..，且不是系统目录，例如 /usr/local/dros/python",
            "must be an absolute path of letters, digits and . _ - without .. that is no system \
             folder, such as /usr/local/dros/python",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::attacks::ATTACKS;

    #[test]
    fn one_path_part_passes() {
        for name in [
            "ubuntu-18.04.list",
            ".condarc",
            "Python-3.8.10.tgz",
            "源.list",
            "cpython-3.11.9+20240415-x86_64-unknown-linux-gnu-install_only.tar.gz",
        ] {
            assert_eq!(parse_file_name(name).unwrap(), name);
        }
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a\\b",
            "/etc/passwd",
            "-rf",
            "a\tb",
            "a\u{202e}b",
            "．．",
            "a／b",
            "a b",
            "a*",
        ] {
            assert!(parse_file_name(name).is_err(), "{name:?}");
        }
        for attack in ATTACKS {
            assert!(parse_file_name(attack).is_err(), "{attack:?}");
        }
    }

    #[test]
    fn tools_go_below_shared_folders_and_never_into_the_systems() {
        for (path, parsed) in [
            ("/usr/local/dros/python", "/usr/local/dros/python"),
            ("/opt/python-3.8/", "/opt/python-3.8"),
            ("/data", "/data"),
        ] {
            assert_eq!(parse_install_location(path).unwrap(), parsed);
        }
        for path in [
            "",
            "/",
            "//",
            "/usr",
            "/usr/",
            "/usr/local",
            "/etc",
            "/etc/x",
            "/bin",
            "/usr/bin/x",
            "/opt",
            "opt/x",
            "/opt/../etc",
            "/opt/./x",
            "/opt//x",
            "/opt/a b",
            "/opt/-x",
            "/proc/self",
            "/var/lib/dpkg",
            "/opt/$HOME",
        ] {
            assert!(parse_install_location(path).is_err(), "{path:?}");
        }
        for attack in ATTACKS {
            assert!(parse_install_location(attack).is_err(), "{attack:?}");
        }
    }
}

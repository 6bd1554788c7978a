//! The probe: a script that inspects a base image from inside a container, and the parser of its
//! output.
//!
//! The script prints lines of `@@key value` and ends with `@@end`. Everything else in the output
//! (warnings of a shell, banners of an image) is ignored.

use crate::{
    failure::{Failure, ReasonCode},
    image_spec::PackageManager,
    profile::{
        CommandFound, CondaFound, ImageConfig, ImageProfile, OsRelease, PackageManagerFound,
    },
};

/// The script: POSIX `sh` (dash, bash, busybox ash), to be given to `sh -c` or on standard input.
/// It works as any user, without network and on a read-only file system, and takes under two
/// seconds where the image's commands do.
pub const SCRIPT: &str = include_str!("probe.sh");

/// Mirrors by the domains they serve packages under.
const MIRRORS: [(&str, &[&str]); 4] = [
    ("aliyun", &["aliyun.com", "aliyuncs.com"]),
    ("163", &["mirrors.163.com"]),
    ("tsinghua", &["tsinghua.edu.cn", "tuna.wiki"]),
    ("ustc", &["ustc.edu.cn"]),
];

/// Why a probe's output cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The script did not reach its end.
    #[error("the probe did not run to its end; its last line was \"{last_line}\"")]
    Incomplete {
        /// The last line of the output, shortened.
        last_line: String,
    },
}

impl ProbeError {
    /// The failure of a check of `image`.
    pub fn failure(&self, image: &str) -> Failure {
        let Self::Incomplete { last_line } = self;
        Failure::new(
            ReasonCode::BaseImageUnsupported,
            format!("无法检测镜像 {image}：检测脚本没有运行完，最后一行输出为“{last_line}”。"),
            format!("The image {image} cannot be inspected: {self}."),
        )
        .with_culprit(image)
    }
}

/// The profile in a probe's output; `image_id`, `size` (bytes), `architecture` and `config` are
/// what the engine says of the image.
///
/// # Errors
/// When the script did not run to its end.
pub fn parse(
    output: &str,
    image_id: &str,
    size: u64,
    architecture: &str,
    config: ImageConfig,
) -> Result<ImageProfile, ProbeError> {
    let findings = Findings::read(output)?;
    let os = os_release(&findings);
    Ok(ImageProfile {
        image_id: image_id.to_owned(),
        size,
        architecture: architecture.to_owned(),
        config,
        kernel: findings.first("kernel").unwrap_or_default().to_owned(),
        package_manager: package_manager(&findings, &os),
        os,
        pythons: commands(
            &findings,
            "python",
            &["python", "python2", "python3"],
            "Python ",
        ),
        externally_managed: findings.all("python3").any(|line| line == "managed"),
        has_venv: findings.all("python3").any(|line| line == "venv"),
        pips: commands(&findings, "pip", &["pip", "pip2", "pip3"], "pip "),
        pip_mirrors: mirrors(&findings, "pip.host"),
        conda: conda(&findings),
        sshd: sshd(&findings),
        jupyter_lab: findings
            .all("jupyter_lab")
            .find(|line| line.starts_with(|c: char| c.is_ascii_digit()))
            .map(str::to_owned),
        has_sudo: findings.first("sudo").is_some(),
    })
}

/// The `@@key value` lines of an output, in order.
struct Findings<'output>(Vec<(&'output str, String)>);

impl<'output> Findings<'output> {
    fn read(output: &'output str) -> Result<Self, ProbeError> {
        let found: Vec<(&str, String)> = output
            .lines()
            .filter_map(|line| {
                let (key, value) = line.strip_prefix("@@")?.split_once(' ')?;
                let value = value
                    .chars()
                    .filter(|c| !c.is_control())
                    .collect::<String>();
                Some((key, value.trim_end().to_owned()))
            })
            .collect();
        if found.last().is_some_and(|(key, _)| *key == "end") {
            return Ok(Self(found));
        }
        let last = output.lines().rev().find(|line| !line.trim().is_empty());
        let last_line = last.unwrap_or_default().chars().filter(|c| !c.is_control());
        Err(ProbeError::Incomplete {
            last_line: last_line.take(200).collect(),
        })
    }

    fn all<'key>(&'key self, key: &'key str) -> impl Iterator<Item = &'key str> {
        self.0
            .iter()
            .filter(move |(found, _)| *found == key)
            .map(|(_, value)| value.as_str())
    }

    fn first(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, value)| *found == key && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }
}

fn os_release(findings: &Findings<'_>) -> OsRelease {
    let field = |name: &str| {
        findings
            .all("os")
            .filter_map(|line| line.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| unquote(value))
            .unwrap_or_default()
    };
    OsRelease {
        id: field("ID").to_lowercase(),
        id_like: field("ID_LIKE")
            .to_lowercase()
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        name: field("NAME"),
        version: field("VERSION"),
        version_id: field("VERSION_ID"),
        codename: field("VERSION_CODENAME"),
        release_line: findings.first("release").unwrap_or_default().to_owned(),
    }
}

/// A value of os-release (5): shell assignment syntax without expansions.
fn unquote(value: &str) -> String {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
        {
            let mut text = String::new();
            let mut characters = inner.chars();
            while let Some(character) = characters.next() {
                match character {
                    '\\' if quote == '"' => text.extend(characters.next()),
                    other => text.push(other),
                }
            }
            return text;
        }
    }
    value.to_owned()
}

/// apt or yum. Where both are there (a Debian with dnf beside it, a Red Hat with apt), the one of
/// the distribution's family.
fn package_manager(findings: &Findings<'_>, os: &OsRelease) -> Option<PackageManagerFound> {
    let apt = findings.first("apt");
    let yum = findings.first("yum.command");
    let kind = match (apt, yum) {
        (Some(_), Some(_)) => os.family().package_manager().unwrap_or(PackageManager::Apt),
        (Some(_), None) => PackageManager::Apt,
        (None, Some(_)) => PackageManager::Yum,
        (None, None) => return None,
    };
    let (key, host_key) = match kind {
        PackageManager::Apt => ("apt", "apt.host"),
        PackageManager::Yum => ("yum", "yum.host"),
    };
    // dnf complains about its log file first where the file system is read-only.
    let version = findings
        .all(key)
        .find(|line| line.starts_with(|c: char| c.is_ascii_digit()) || line.starts_with("apt "))
        .or(findings.first(key));
    Some(PackageManagerFound {
        kind,
        has_dnf: findings.first("dnf").is_some(),
        version: version.unwrap_or_default().to_owned(),
        mirrors: mirrors(findings, host_key),
    })
}

/// The commands of `names` whose answer begins as the real one's does; a wrapper that only says
/// how to install the command is none.
fn commands(findings: &Findings<'_>, key: &str, names: &[&str], start: &str) -> Vec<CommandFound> {
    names
        .iter()
        .filter_map(|name| {
            let key = format!("{key}.{name}");
            let version = findings.all(&key).find(|line| line.starts_with(start))?;
            Some(CommandFound {
                command: (*name).to_owned(),
                version: version.to_owned(),
            })
        })
        .collect()
}

fn mirrors(findings: &Findings<'_>, key: &str) -> Vec<String> {
    let serves = |domain: &str| {
        findings.all(key).any(|host| {
            host.strip_suffix(domain)
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
    };
    MIRRORS
        .iter()
        .filter(|(_, domains)| domains.iter().any(|domain| serves(domain)))
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

fn conda(findings: &Findings<'_>) -> Option<CondaFound> {
    let version = findings
        .all("conda")
        .find(|line| line.starts_with("conda "))?;
    let environments = findings
        .all("conda.environment")
        .filter_map(|line| {
            // `name  *  /path`; an environment outside conda's own folder has no name.
            let mut words = line.split_whitespace();
            let name = words.next()?;
            let path = words.last()?;
            (path.starts_with('/') && !name.starts_with(['#', '/', '*'])).then(|| name.to_owned())
        })
        .collect();
    Some(CondaFound {
        version: version.to_owned(),
        path: findings.first("conda.path").unwrap_or_default().to_owned(),
        environments,
        mirrors: mirrors(findings, "conda.host"),
    })
}

/// `OpenSSH_9.2p1 Debian-2+deb12u3`: what the server (or the client beside it) says of itself up
/// to the comma, or the package's version.
fn sshd(findings: &Findings<'_>) -> Option<String> {
    findings.first("sshd.path")?;
    let said = findings.all("sshd").find_map(|line| {
        Some(
            line.get(line.find("OpenSSH_")?..)?
                .split(',')
                .next()?
                .trim(),
        )
    });
    let packaged = || {
        findings
            .all("sshd.package")
            .find(|line| line.starts_with(|c: char| c.is_ascii_digit()))
    };
    Some(said.or_else(packaged).unwrap_or("installed").to_owned())
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;

//! An image profile in the form of the old protocol's `check-image` answer.

use serde::{Deserialize, Serialize};

use super::{CommandFound, ImageProfile, OsRelease};
use crate::{
    distro::{Family, RedHatKind},
    image_spec::PackageManager,
};

/// What `check-image` answers: every part is there, found or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The image's name as it was asked for.
    pub image_name: String,
    /// `uname -a`.
    pub kernel: VersionDescriptor,
    /// The distribution.
    pub os: VersionDescriptor,
    /// apt or yum.
    pub package_manager: SourcedDescriptor,
    /// pip commands.
    pub pip: ManyVersionsDescriptor,
    /// conda.
    pub conda: CondaDescriptor,
    /// Python commands.
    pub python: VersionsDescriptor,
    /// The engine's id of the image, `sha256:...`.
    pub image_id: String,
    /// The SSH server.
    pub sshd: VersionDescriptor,
    /// JupyterLab.
    pub jupyter_lab: VersionDescriptor,
}

/// A part with one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionDescriptor {
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub available: bool,
    /// Its version, empty when it is not there.
    pub version: String,
}

/// A part with one version and the mirrors it uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcedDescriptor {
    /// Known mirrors: aliyun, 163, tsinghua, ustc.
    pub source: Vec<String>,
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub available: bool,
    /// Its version, empty when it is not there.
    pub version: String,
}

/// A part of which there may be several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionsDescriptor {
    /// Its name.
    pub name: String,
    /// Whether there is any.
    pub available: bool,
    /// `command(version)` of each.
    pub version: Vec<String>,
}

/// A part of which there may be several, and the mirrors it uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManyVersionsDescriptor {
    /// Known mirrors: aliyun, 163, tsinghua, ustc.
    pub source: Vec<String>,
    /// Its name.
    pub name: String,
    /// Whether there is any.
    pub available: bool,
    /// `command(version)` of each.
    pub version: Vec<String>,
}

/// conda, its environments and the mirrors it uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CondaDescriptor {
    /// Known mirrors: aliyun, 163, tsinghua, ustc.
    pub source: Vec<String>,
    /// Names of its environments.
    pub environments: Vec<String>,
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub available: bool,
    /// Its version, empty when it is not there.
    pub version: String,
}

impl Descriptor {
    /// `profile` as the old protocol spells it, under the name the caller used.
    pub fn new(image_name: &str, profile: &ImageProfile) -> Self {
        let manager = profile.package_manager.as_ref();
        let conda = profile.conda.as_ref();
        Self {
            image_name: image_name.to_owned(),
            kernel: one(
                "Linux",
                Some(profile.kernel.clone()).filter(|text| !text.is_empty()),
            ),
            os: os(&profile.os),
            package_manager: SourcedDescriptor {
                source: manager
                    .map(|found| found.mirrors.clone())
                    .unwrap_or_default(),
                name: manager
                    .map(|found| match found.kind {
                        PackageManager::Apt => "apt",
                        PackageManager::Yum => "yum",
                    })
                    .unwrap_or_default()
                    .to_owned(),
                available: manager.is_some(),
                version: manager
                    .map(|found| found.version.clone())
                    .unwrap_or_default(),
            },
            pip: ManyVersionsDescriptor {
                source: profile.pip_mirrors.clone(),
                name: "pip".to_owned(),
                available: !profile.pips.is_empty(),
                version: commands(&profile.pips),
            },
            conda: CondaDescriptor {
                source: conda.map(|found| found.mirrors.clone()).unwrap_or_default(),
                environments: conda
                    .map(|found| found.environments.clone())
                    .unwrap_or_default(),
                name: "conda".to_owned(),
                available: conda.is_some(),
                version: conda.map(|found| found.version.clone()).unwrap_or_default(),
            },
            python: VersionsDescriptor {
                name: "python".to_owned(),
                available: !profile.pythons.is_empty(),
                version: commands(&profile.pythons),
            },
            image_id: profile.image_id.clone(),
            sshd: one("sshd", profile.sshd.clone()),
            jupyter_lab: one("jupyterlab", profile.jupyter_lab.clone()),
        }
    }
}

fn one(name: &str, version: Option<String>) -> VersionDescriptor {
    VersionDescriptor {
        name: name.to_owned(),
        available: version.is_some(),
        version: version.unwrap_or_default(),
    }
}

fn commands(found: &[CommandFound]) -> Vec<String> {
    found
        .iter()
        .map(|one| format!("{}({})", one.command, one.version))
        .collect()
}

/// Ubuntu and CentOS under the names the old protocol has for them, every other distribution
/// under its own.
pub(crate) fn os(release: &OsRelease) -> VersionDescriptor {
    let (name, version) = match release.family() {
        Family::Ubuntu => ("Ubuntu", release.version.as_str()),
        Family::RedHat(RedHatKind::CentOs) if release.release_line.is_empty() => {
            ("Centos", release.version.as_str())
        }
        Family::RedHat(RedHatKind::CentOs) => ("Centos", release.release_line.as_str()),
        _ => (release.name.as_str(), release.version.as_str()),
    };
    let version = if version.is_empty() {
        release.version_id.as_str()
    } else {
        version
    };
    VersionDescriptor {
        name: name.to_owned(),
        available: !name.is_empty(),
        version: version.to_owned(),
    }
}

//! The image profile: what the probe found in an image.

mod descriptor;

use serde::{Deserialize, Serialize};

pub(crate) use self::descriptor::os;
pub use self::descriptor::{
    CondaDescriptor, Descriptor, ManyVersionsDescriptor, SourcedDescriptor, VersionDescriptor,
    VersionsDescriptor,
};
use crate::image_spec::PackageManager;

/// What an image contains. Stored per image id and reused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageProfile {
    /// The engine's id of the image, `sha256:...`.
    pub image_id: String,
    /// Bytes the image takes on the engine.
    pub size: u64,
    /// `amd64`, `arm64`, ... as in the image's configuration (OCI `architecture`).
    pub architecture: String,
    /// What the image's configuration says about running it.
    pub config: ImageConfig,
    /// `uname -a` inside a container of the image.
    pub kernel: String,
    /// The distribution.
    pub os: OsRelease,
    /// The package manager, if there is a known one.
    pub package_manager: Option<PackageManagerFound>,
    /// Python commands found among `python`, `python2`, `python3`.
    pub pythons: Vec<CommandFound>,
    /// Whether the distribution's python3 refuses `pip install` (PEP 668).
    pub externally_managed: bool,
    /// Whether `python3 -m venv` can make an environment with pip in it.
    pub has_venv: bool,
    /// pip commands found among `pip`, `pip2`, `pip3`.
    pub pips: Vec<CommandFound>,
    /// Known mirrors named by pip's configuration.
    pub pip_mirrors: Vec<String>,
    /// conda, if there is one.
    pub conda: Option<CondaFound>,
    /// `sshd`'s version, if it is installed.
    pub sshd: Option<String>,
    /// JupyterLab's version, if it is installed.
    pub jupyter_lab: Option<String>,
    /// Whether `sudo` is installed.
    pub has_sudo: bool,
}

/// The part of an image's configuration that must hold in an image made from it
/// (OCI image specification, `config`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `User`; empty is root.
    pub user: String,
    /// `Entrypoint`, empty when unset.
    pub entrypoint: Vec<String>,
    /// `Cmd`, empty when unset.
    pub command: Vec<String>,
    /// `WorkingDir`.
    pub working_dir: String,
    /// `Env`, as `NAME=value`.
    pub env: Vec<String>,
    /// `OnBuild`, the triggers that the next build would run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// `Shell`, what the next build would run `RUN` lines with; empty when unset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// How many layers the image has (OCI `rootfs.diff_ids`); 0 in a profile made before this was counted.
    #[serde(default)]
    pub layers: u32,
}

impl ImageConfig {
    /// The shell of `RUN` where an image sets none, and that FastBuild's scripts are written for.
    pub(crate) fn default_shell() -> [String; 2] {
        ["/bin/sh".to_owned(), "-c".to_owned()]
    }

    /// Whether the next build would run `RUN` lines with another shell than [`Self::default_shell`].
    pub(crate) fn has_own_shell(&self) -> bool {
        !self.shell.is_empty() && self.shell != Self::default_shell()
    }
}

/// The distribution, from `/etc/os-release` and, for CentOS, `/etc/centos-release`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OsRelease {
    /// `ID`, such as `ubuntu`, `debian`, `centos`, `openEuler`, `anolis`, `kylin`; lower case.
    pub id: String,
    /// `ID_LIKE`, split at blanks, lower case.
    pub id_like: Vec<String>,
    /// `NAME`.
    pub name: String,
    /// `VERSION`.
    pub version: String,
    /// `VERSION_ID`, such as `18.04` or `7`.
    pub version_id: String,
    /// `VERSION_CODENAME`, where given.
    pub codename: String,
    /// The first line of `/etc/centos-release` or `/etc/redhat-release`, where there is one.
    pub release_line: String,
}

/// The package manager an image has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageManagerFound {
    /// Which.
    pub kind: PackageManager,
    /// Whether `dnf` is there (Red Hat family).
    pub has_dnf: bool,
    /// The first line of its own version answer.
    pub version: String,
    /// Known mirrors named by its sources: `aliyun`, `163`, `tsinghua`, `ustc`.
    pub mirrors: Vec<String>,
}

/// A command and the version it reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandFound {
    /// The command, such as `python3`.
    pub command: String,
    /// Its version line, such as `Python 3.8.10` or `pip 20.0.2 from ... (python 3.8)`.
    pub version: String,
}

/// conda in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CondaFound {
    /// Its version line, such as `conda 23.1.0`.
    pub version: String,
    /// Absolute path of the command.
    pub path: String,
    /// Names of its environments.
    pub environments: Vec<String>,
    /// Known mirrors named by its configuration.
    pub mirrors: Vec<String>,
}

//! The image spec: what both request formats are parsed into. Every name in it is valid, and it
//! holds no secret.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    catalog::{MirrorFile, ToolFile},
    reference::ImageReference,
    requirements::RequirementSet,
};

/// What an image should be. Secrets travel beside it, in [`ServicePasswords`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// The image to start from.
    pub base: ImageReference,
    /// The image to make.
    pub target: ImageReference,
    /// Who asked for it; one line of printable text.
    pub maintainer: String,
    /// What it is for; free text in one line, only ever a label.
    pub description: String,
    /// A Python to install from the catalog.
    pub python: Option<PythonSpec>,
    /// System packages.
    pub system: SystemSpec,
    /// pip packages.
    pub pip: PipSpec,
    /// conda and its packages.
    pub conda: CondaSpec,
    /// Whether an SSH server with a root password is wanted.
    pub ssh: bool,
    /// Whether JupyterLab with a password is wanted.
    pub jupyter_lab: bool,
    /// Environment variables of the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Labels of the image, beside those FastBuild gives it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Whether neither images nor layers of earlier builds may be reused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_cache: bool,
}

/// A Python to install from the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonSpec {
    /// Source archive (`Python-3.8.10.tgz`) or prebuilt tree (`*-install_only*.tar.gz`).
    pub tool: ToolFile,
    /// Absolute folder it goes under; `/usr/local/dros/python` unless the caller chose another.
    pub install_location: String,
}

/// The system's package manager as a request can name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageManager {
    /// Debian family.
    Apt,
    /// Red Hat family; `dnf` answers to it as well.
    Yum,
}

/// System packages and where they come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SystemSpec {
    /// The manager the request names; `None` leaves it to the base image.
    pub manager: Option<PackageManager>,
    /// The mirror file to use instead of the image's own sources (kind apt or yum).
    pub mirror: Option<MirrorFile>,
    /// The packages.
    pub packages: Vec<SystemPackage>,
}

/// A Debian or RPM package, by name and perhaps version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemPackage {
    /// Name (Debian policy 5.6.7, or an RPM name).
    pub name: String,
    /// Version in the manager's own syntax.
    pub version: Option<String>,
}

/// pip packages and where they come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PipSpec {
    /// Whether to install pip itself with the catalog's `get-pip.py`.
    pub get_pip: bool,
    /// The `pip.conf` to use.
    pub mirror: Option<MirrorFile>,
    /// Requirements in PEP 508 form without URL or marker, such as `requests[socks]>=2,<3`.
    pub requirements: Vec<String>,
    /// What requirement files want beside them.
    #[serde(default, skip_serializing_if = "RequirementSet::is_empty")]
    pub files: RequirementSet,
    /// Whether uv installs them where the operator has it; `None` leaves it to the operator.
    #[serde(default)]
    pub uv: Option<bool>,
}

impl PipSpec {
    /// Whether packages are to be installed.
    pub fn has_packages(&self) -> bool {
        !self.requirements.is_empty() || !self.files.requirements.is_empty()
    }
}

/// conda and its packages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CondaSpec {
    /// The installer to run.
    pub installer: Option<ToolFile>,
    /// The `.condarc` to use.
    pub mirror: Option<MirrorFile>,
    /// Match specs such as `scipy=1.9.3`, for the environment `default`.
    pub packages: Vec<String>,
    /// The channels they come from, beside or instead of those that conda is configured with.
    #[serde(default, skip_serializing_if = "CondaChannels::is_default")]
    pub channels: CondaChannels,
    /// Requirements that pip installs into that environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pip: Vec<String>,
    /// Whether micromamba installs them where the operator has it; `None` leaves it to the operator.
    #[serde(default)]
    pub micromamba: Option<bool>,
}

/// Where conda packages come from (CEP 24).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CondaChannels {
    /// Names of channels, first of all the one to prefer.
    pub names: Vec<String>,
    /// Whether the channels that conda is configured with are left out (`nodefaults`).
    #[serde(default)]
    pub without_defaults: bool,
}

impl CondaChannels {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The passwords that go with a spec, never stored or printed in the clear.
#[derive(Debug, Clone, Default)]
pub struct ServicePasswords {
    /// The root password for SSH, when SSH is wanted.
    pub ssh: Option<SecretString>,
    /// The JupyterLab password, when JupyterLab is wanted.
    pub jupyter_lab: Option<SecretString>,
}

impl ImageSpec {
    /// Whether anything in this spec needs pip.
    pub fn needs_pip(&self) -> bool {
        self.pip.get_pip || self.pip.has_packages() || self.jupyter_lab
    }

    /// Equal for builds that take about the same time: base image and installers, without the
    /// packages. Durations of past builds are looked up by it to estimate new ones.
    pub fn similarity_key(&self) -> String {
        let mut parts = vec![self.base.to_string()];
        if let Some(python) = &self.python {
            parts.push(python.tool.file_name.clone());
        }
        for (runs, name) in [
            (!self.system.packages.is_empty(), "system"),
            (self.pip.get_pip, "get-pip"),
            (self.pip.has_packages(), "pip"),
            (!self.conda.packages.is_empty(), "conda"),
            (self.ssh, "ssh"),
            (self.jupyter_lab, "jupyter"),
        ] {
            if runs {
                parts.push(name.to_owned());
            }
        }
        if let Some(installer) = &self.conda.installer {
            parts.push(installer.file_name.clone());
        }
        parts.join(" + ")
    }
}

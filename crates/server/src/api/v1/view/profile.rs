//! Image profiles: what an image contains.

use fastbuild_builder::CheckedImage;
use fastbuild_spec::{
    image_spec,
    profile::{self, CommandFound, CondaFound, PackageManagerFound},
};
use serde::Serialize;
use utoipa::ToSchema;

/// An image and what it contains.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProfiledImage {
    /// Its name, with its tag.
    image: String,
    /// Whether this was known before; else the image was looked into just now.
    was_known: bool,
    /// What it contains.
    profile: ImageProfile,
}

impl From<CheckedImage> for ProfiledImage {
    fn from(checked: CheckedImage) -> Self {
        Self {
            image: checked.image.to_string(),
            was_known: checked.was_known,
            profile: checked.profile.into(),
        }
    }
}

/// What an image contains.
#[derive(Debug, Serialize, ToSchema)]
struct ImageProfile {
    /// The engine's id of the image.
    image_id: String,
    /// Bytes it takes on the engine.
    size: u64,
    /// Its processor architecture, as the OCI image specification names it.
    #[schema(example = "amd64")]
    architecture: String,
    /// `uname -a` in a container of it.
    kernel: String,
    /// The distribution.
    os: Os,
    /// Its package manager; null where there is no known one.
    package_manager: Option<PackageManager>,
    /// The Python commands.
    pythons: Vec<Command>,
    /// The pip commands.
    pips: Vec<Command>,
    /// Whether its python3 refuses `pip install` outside an environment (PEP 668).
    externally_managed: bool,
    /// Known mirrors in pip's configuration.
    pip_mirrors: Vec<String>,
    /// conda; null where there is none.
    conda: Option<Conda>,
    /// The SSH server's version; null where there is none.
    sshd: Option<String>,
    /// JupyterLab's version; null where there is none.
    jupyter_lab: Option<String>,
}

/// A distribution.
#[derive(Debug, Serialize, ToSchema)]
struct Os {
    /// `ID` of `/etc/os-release`.
    #[schema(example = "debian")]
    id: String,
    /// `NAME`.
    name: String,
    /// `VERSION`.
    version: String,
    /// `VERSION_ID`.
    #[schema(example = "12")]
    version_id: String,
    /// `VERSION_CODENAME`.
    codename: String,
}

/// A package manager.
#[derive(Debug, Serialize, ToSchema)]
struct PackageManager {
    /// `apt`, `yum`, or `dnf`, which answers to `yum` as well.
    #[schema(example = "apt")]
    name: &'static str,
    /// Its own version line.
    version: String,
    /// Known mirrors in its sources.
    mirrors: Vec<String>,
}

/// A command.
#[derive(Debug, Serialize, ToSchema)]
struct Command {
    /// Its name.
    #[schema(example = "python3")]
    command: String,
    /// Its own version line.
    version: String,
}

/// conda.
#[derive(Debug, Serialize, ToSchema)]
struct Conda {
    /// Its own version line.
    version: String,
    /// Where it lies.
    path: String,
    /// Its environments.
    environments: Vec<String>,
    /// Known mirrors in its configuration.
    mirrors: Vec<String>,
}

impl From<profile::ImageProfile> for ImageProfile {
    fn from(profile: profile::ImageProfile) -> Self {
        let commands = |found: Vec<CommandFound>| {
            let shown = found.into_iter().map(|found| Command {
                command: found.command,
                version: found.version,
            });
            shown.collect()
        };
        Self {
            os: Os {
                id: profile.os.id,
                name: profile.os.name,
                version: profile.os.version,
                version_id: profile.os.version_id,
                codename: profile.os.codename,
            },
            package_manager: profile.package_manager.map(PackageManager::from),
            pythons: commands(profile.pythons),
            pips: commands(profile.pips),
            conda: profile.conda.map(Conda::from),
            image_id: profile.image_id,
            size: profile.size,
            architecture: profile.architecture,
            kernel: profile.kernel,
            externally_managed: profile.externally_managed,
            pip_mirrors: profile.pip_mirrors,
            sshd: profile.sshd,
            jupyter_lab: profile.jupyter_lab,
        }
    }
}

impl From<PackageManagerFound> for PackageManager {
    fn from(found: PackageManagerFound) -> Self {
        Self {
            name: match (found.kind, found.has_dnf) {
                (image_spec::PackageManager::Apt, _) => "apt",
                (image_spec::PackageManager::Yum, false) => "yum",
                (image_spec::PackageManager::Yum, true) => "dnf",
            },
            version: found.version,
            mirrors: found.mirrors,
        }
    }
}

impl From<CondaFound> for Conda {
    fn from(found: CondaFound) -> Self {
        Self {
            version: found.version,
            path: found.path,
            environments: found.environments,
            mirrors: found.mirrors,
        }
    }
}

//! System packages: chooses the base image's package manager, its mirror and its install commands.

use super::{
    Dialect, PlanContext, Planner, apt,
    dockerfile::{Mount, Script},
    quote, yum,
};
use crate::{
    catalog::MirrorFile,
    image_spec::{PackageManager, SystemPackage},
    profile::ImageProfile,
};

/// How the base image installs system packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    /// `apt-get`.
    Apt,
    /// `dnf`, under whatever name.
    Dnf,
    /// yum 3.
    Yum,
}

impl Manager {
    /// The base image's manager, if it has one.
    pub(super) fn of(profile: &ImageProfile) -> Option<Self> {
        let found = profile.package_manager.as_ref()?;
        Some(match (found.kind, found.has_dnf) {
            (PackageManager::Apt, _) => Self::Apt,
            (PackageManager::Yum, true) => Self::Dnf,
            (PackageManager::Yum, false) => Self::Yum,
        })
    }
}

/// Installs system packages in a base image.
#[derive(Debug, Clone)]
pub(super) struct Installer {
    /// By which manager.
    pub(super) manager: Manager,
    dialect: Dialect,
    fresh: u32,
    cache: String,
}

impl Installer {
    /// The installer for a base image; `None` when it has no package manager.
    pub(super) fn of(
        profile: &ImageProfile,
        mirror: Option<&MirrorFile>,
        context: &PlanContext,
    ) -> Option<Self> {
        let manager = Manager::of(profile)?;
        let name = match manager {
            Manager::Apt => "apt",
            Manager::Dnf => "dnf",
            Manager::Yum => "yum",
        };
        Some(Self {
            manager,
            dialect: context.dialect,
            fresh: context.lists_fresh_minutes,
            cache: cache_id(name, profile, mirror),
        })
    }

    /// The mounts a `RUN` needs that installs.
    pub(super) fn mounts(&self) -> Vec<Mount> {
        let target = match (self.dialect, self.manager) {
            (Dialect::Classic, _) => return vec![],
            (Dialect::BuildKit, Manager::Apt) => apt::CACHE,
            (Dialect::BuildKit, Manager::Dnf) => yum::DNF_CACHE,
            (Dialect::BuildKit, Manager::Yum) => yum::YUM_CACHE,
        };
        vec![Mount::Cache {
            id: self.cache.clone(),
            target,
        }]
    }

    /// The commands that install `packages`, and those that the shell text `more` expands to.
    pub(super) fn install(&self, packages: &[SystemPackage], more: Option<&str>) -> Script {
        match self.manager {
            Manager::Apt => apt::install(self.dialect, self.fresh, packages, more),
            Manager::Dnf => yum::install(self.dialect, true, self.fresh, packages, more),
            Manager::Yum => yum::install(self.dialect, false, self.fresh, packages, more),
        }
    }
}

/// The id of a tool's cache. Distributions and mirrors do not mix in it: what one serves or compiles need not fit
/// the other.
pub(super) fn cache_id(tool: &str, profile: &ImageProfile, mirror: Option<&MirrorFile>) -> String {
    let mirror = mirror.map_or("own".to_owned(), |file| {
        format!("{}-{}", file.group, file.file_name)
    });
    quote::cache_id(&format!(
        "fastbuild-{tool}-{}-{}-{mirror}",
        profile.os.id, profile.os.version_id
    ))
}

/// Whether pip may depend on one of these packages: headers, libraries and compilers for what it
/// compiles, or Python packages it finds installed. Errs on the side of yes.
pub(super) fn serve_pip(packages: &[SystemPackage]) -> bool {
    const ENDS: [&str; 5] = ["-dev", "-devel", "-headers", "-static", "-config"];
    const PARTS: [&str; 22] = [
        "python",
        "gcc",
        "g++",
        "clang",
        "llvm",
        "make",
        "build",
        "development",
        "rust",
        "cargo",
        "golang",
        "swig",
        "jdk",
        "java",
        "fortran",
        "cython",
        "pkg-config",
        "pkgconf",
        "cuda",
        "mpi",
        "nodejs",
        "-c++",
    ];
    packages.iter().any(|package| {
        let name = package.name.as_str();
        name.starts_with("lib")
            || name.starts_with('@')
            || ENDS.iter().any(|end| name.ends_with(end))
            || PARTS.iter().any(|part| name.contains(part))
    })
}

/// Packages by name alone.
pub(super) fn packages<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<SystemPackage> {
    names
        .into_iter()
        .map(|name| SystemPackage {
            name: name.to_owned(),
            version: None,
        })
        .collect()
}

/// Puts the chosen mirror in the place of the image's own sources, in the stage being written.
pub(super) fn mirror(planner: &mut Planner<'_>) {
    let Some(file) = planner.spec.system.mirror.clone() else {
        return;
    };
    match planner
        .installer
        .as_ref()
        .map(|installer| installer.manager)
    {
        Some(Manager::Apt) => apt::mirror(planner, file),
        Some(Manager::Dnf | Manager::Yum) => yum::mirror(planner, file),
        None => {}
    }
}

/// The system packages of the request.
pub(super) fn requested(planner: &mut Planner<'_>) {
    let wanted = &planner.spec.system.packages;
    if let Some(installer) = planner.installer.as_ref()
        && !wanted.is_empty()
    {
        planner.out.comment("System packages.");
        let script = installer.install(wanted, None);
        planner.out.run(&installer.mounts(), &script);
    }
}

/// The first number of the distribution's version.
pub(super) fn major_version(profile: &ImageProfile) -> Option<u32> {
    profile.os.version_id.split('.').next()?.parse().ok()
}

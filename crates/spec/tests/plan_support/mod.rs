//! Base images and requests that the plan's tests are made of.

use fastbuild_spec::{
    catalog::{Catalog, MirrorFile, MirrorKind, ToolFile, ToolKind},
    image_spec::{
        CondaSpec, ImageSpec, PackageManager, PipSpec, PythonSpec, SystemPackage, SystemSpec,
    },
    profile::{
        CommandFound, CondaFound, ImageConfig, ImageProfile, OsRelease, PackageManagerFound,
    },
};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn found(command: &str, version: &str) -> CommandFound {
    CommandFound {
        command: command.to_owned(),
        version: version.to_owned(),
    }
}

/// An image with nothing but a distribution.
pub(crate) fn profile(
    id: &str,
    version_id: &str,
    manager: Option<(PackageManager, bool)>,
) -> ImageProfile {
    ImageProfile {
        image_id: format!("sha256:{}", "0".repeat(64)),
        size: 100_000_000,
        architecture: "amd64".to_owned(),
        config: ImageConfig {
            command: vec!["bash".to_owned()],
            env: vec![PATH.to_owned()],
            ..ImageConfig::default()
        },
        kernel: String::new(),
        os: OsRelease {
            id: id.to_owned(),
            version_id: version_id.to_owned(),
            version: version_id.to_owned(),
            ..OsRelease::default()
        },
        package_manager: manager.map(|(kind, has_dnf)| PackageManagerFound {
            kind,
            has_dnf,
            version: String::new(),
            mirrors: vec![],
        }),
        pythons: vec![],
        externally_managed: false,
        has_venv: false,
        pips: vec![],
        pip_mirrors: vec![],
        conda: None,
        sshd: None,
        jupyter_lab: None,
        has_sudo: false,
    }
}

/// A distribution with apt.
pub(crate) fn apt(id: &str, version_id: &str) -> ImageProfile {
    profile(id, version_id, Some((PackageManager::Apt, false)))
}

/// A distribution with yum; `has_dnf` tells dnf from yum 3.
pub(crate) fn yum(id: &str, version_id: &str, has_dnf: bool) -> ImageProfile {
    profile(id, version_id, Some((PackageManager::Yum, has_dnf)))
}

/// The same image with Python 3 and pip.
pub(crate) fn with_python(mut profile: ImageProfile, version: &str) -> ImageProfile {
    profile.pythons = vec![found("python3", &format!("Python {version}.2"))];
    profile.pips = vec![found(
        "pip3",
        &format!("pip 23.0 from /x (python {version})"),
    )];
    profile
}

/// Debian 12 with its Python 3 and pip, which refuse to install into the system.
pub(crate) fn debian_python() -> ImageProfile {
    let mut profile = with_python(apt("debian", "12"), "3.11");
    profile.externally_managed = true;
    profile.has_venv = true;
    profile
}

/// Debian 12 with a user, an entrypoint and a command of its own.
pub(crate) fn application(user: &str) -> ImageProfile {
    let mut profile = apt("debian", "12");
    profile.config.user = user.into();
    profile.config.entrypoint = vec!["/entry.sh".to_owned(), "it's \"$HOME\"".to_owned()];
    profile.config.command = vec![
        "/bin/sh".to_owned(),
        "-c".to_owned(),
        "echo $USER".to_owned(),
    ];
    profile.config.working_dir = "/app".into();
    profile
}

/// An image with conda.
pub(crate) fn with_conda(mut profile: ImageProfile, environments: &[&str]) -> ImageProfile {
    profile.conda = Some(CondaFound {
        version: "conda 23.1.0".to_owned(),
        path: "/opt/conda/bin/conda".to_owned(),
        environments: environments.iter().map(|name| (*name).to_owned()).collect(),
        mirrors: vec![],
    });
    profile
}

/// A request for nothing.
pub(crate) fn nothing() -> ImageSpec {
    ImageSpec {
        base: "registry.example:5000/base/debian:12".parse().unwrap(),
        target: "registry.example:5000/team/made:1.0".parse().unwrap(),
        maintainer: "admin".to_owned(),
        description: String::new(),
        python: None,
        system: SystemSpec::default(),
        pip: PipSpec::default(),
        conda: CondaSpec::default(),
        ssh: false,
        jupyter_lab: false,
        env: std::collections::BTreeMap::new(),
        labels: std::collections::BTreeMap::new(),
        no_cache: false,
    }
}

/// System packages; `name=version` gives a version.
pub(crate) fn packages(names: &[&str]) -> Vec<SystemPackage> {
    names
        .iter()
        .map(|name| match name.split_once('=') {
            Some((name, version)) => SystemPackage {
                name: name.to_owned(),
                version: Some(version.to_owned()),
            },
            None => SystemPackage {
                name: (*name).to_owned(),
                version: None,
            },
        })
        .collect()
}

/// A mirror file of the group `ali`.
pub(crate) fn mirror(kind: MirrorKind, file_name: &str) -> MirrorFile {
    MirrorFile {
        kind,
        group: "ali".to_owned(),
        file_name: file_name.to_owned(),
    }
}

/// A tool file.
pub(crate) fn tool(kind: ToolKind, file_name: &str) -> ToolFile {
    ToolFile {
        kind,
        file_name: file_name.to_owned(),
    }
}

/// A Python of the catalog at the usual place.
pub(crate) fn python(file_name: &str) -> PythonSpec {
    PythonSpec {
        tool: tool(ToolKind::Python, file_name),
        install_location: "/usr/local/dros/python".to_owned(),
    }
}

/// Source, prebuilt and old Pythons, get-pip for both, conda, and mirrors for everybody.
pub(crate) fn catalog() -> Catalog {
    Catalog {
        mirrors: [
            (MirrorKind::Apt, "debian-12.list"),
            (MirrorKind::Apt, "ubuntu-18.04.list"),
            (MirrorKind::Apt, "ubuntu-20.04.list"),
            (MirrorKind::Apt, "ubuntu-24.04.sources"),
            (MirrorKind::Yum, "Centos-7.repo"),
            (MirrorKind::Yum, "Centos-8.repo"),
            (MirrorKind::Pip, "pip.conf"),
            (MirrorKind::Conda, ".condarc"),
        ]
        .map(|(kind, name)| mirror(kind, name))
        .to_vec(),
        tools: vec![
            tool(ToolKind::Python, PYTHON_SOURCE),
            tool(ToolKind::Python, PYTHON_PREBUILT),
            tool(ToolKind::Python, PYTHON_PREBUILT_XZ),
            tool(ToolKind::Python, "Python-2.7.18.tar.xz"),
            tool(ToolKind::Pip2, "get-pip.py"),
            tool(ToolKind::Pip3, "get-pip.py"),
            tool(ToolKind::Conda, MINICONDA),
        ],
    }
}

/// A source archive in the catalog.
pub(crate) const PYTHON_SOURCE: &str = "Python-3.8.10.tgz";
/// A prebuilt tree in the catalog.
pub(crate) const PYTHON_PREBUILT: &str =
    "cpython-3.11.9+20240415-x86_64-unknown-linux-gnu-install_only.tar.gz";
/// The same in another compression.
pub(crate) const PYTHON_PREBUILT_XZ: &str =
    "cpython-3.11.9+20240415-x86_64-unknown-linux-gnu-install_only.tar.xz";
/// A conda installer in the catalog.
pub(crate) const MINICONDA: &str = "Miniconda3-py38_23.1.0-1-Linux-x86_64.sh";

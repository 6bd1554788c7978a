//! pip: which Python it belongs to, how it comes into the image, and its packages.

use super::{
    ContextSource, Dialect, Planner,
    dockerfile::Mount,
    pip_install,
    python::PythonTool,
    quote,
    system::{self, Manager},
    uv,
};
use crate::{
    catalog::{Catalog, ToolFile, ToolKind},
    distro::Family,
    failure::{Failure, ReasonCode},
    image_spec::{ImageSpec, SystemPackage},
    profile::ImageProfile,
};

/// The environment made where the distribution's own Python refuses pip (PEP 668).
pub(super) const VENV: &str = "/usr/local/dros/venv";

/// How `pip` comes to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Obtain {
    /// It is there, or comes with the Python.
    Present,
    /// The catalog's script installs it.
    GetPip(ToolFile),
    /// Python's own copy of it, for images without a package manager.
    EnsurePip,
}

/// The one environment that pip, its packages and JupyterLab live in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PipEnvironment {
    /// The command or path of the Python it is made from.
    base_python: String,
    /// Whether a virtual environment goes on top.
    venv: bool,
    obtain: Obtain,
    /// System packages it needs first.
    pub(super) packages: Vec<SystemPackage>,
    /// Whether the Python belongs to FastBuild and not to the distribution.
    pub(super) own: bool,
    /// What installs in pip's place, where the operator has it and the Python is new enough for it.
    pub(super) uv: Option<ToolFile>,
}

impl PipEnvironment {
    /// Chooses the environment; `None` when nothing needs pip.
    ///
    /// The request's own Python comes first, then the image's Python 3, then the
    /// distribution's. A Python 2 of the image is used only when nothing but the catalog's
    /// `get-pip.py` for Python 2 is there to serve the request.
    ///
    /// # Errors
    /// `ToolMissing` for `get-pip.py`, `BaseImageUnsupported` when there is no way to a pip.
    pub(super) fn choose(
        spec: &ImageSpec,
        profile: &ImageProfile,
        catalog: &Catalog,
        tool: Option<&PythonTool>,
    ) -> Result<Option<Self>, Failure> {
        if !spec.needs_pip() {
            return Ok(None);
        }
        let mut chosen = Self::choose_python(spec, profile, catalog, tool)?;
        let version = tool.map_or_else(
            || chosen.version_of_base_python(profile),
            |tool| Some((tool.version.0, tool.version.1)),
        );
        chosen.uv =
            uv::tool(spec, catalog).filter(|_| version.is_some_and(|version| version >= uv::SINCE));
        Ok(Some(chosen))
    }

    fn choose_python(
        spec: &ImageSpec,
        profile: &ImageProfile,
        catalog: &Catalog,
        tool: Option<&PythonTool>,
    ) -> Result<Self, Failure> {
        let get_pip = get_pip(spec, catalog, tool)?;
        let obtain = |otherwise: Obtain| get_pip.clone().map_or(otherwise, Obtain::GetPip);
        if let Some(tool) = tool {
            return Ok(Self {
                base_python: format!("{}/python", tool.bin()),
                venv: false,
                obtain: obtain(Obtain::Present),
                packages: vec![],
                own: true,
                uv: None,
            });
        }
        if let Some(file) = &get_pip
            && file.kind == ToolKind::Pip2
            && let Some(command) = python_command(profile, "Python 2")
        {
            return Ok(Self {
                base_python: command,
                venv: false,
                obtain: Obtain::GetPip(file.clone()),
                packages: vec![],
                own: false,
                uv: None,
            });
        }
        let manager = Manager::of(profile);
        let Some(command) = python_command(profile, "Python 3") else {
            let venv = match manager {
                Some(Manager::Apt) => fresh_python_refuses_pip(profile),
                Some(Manager::Dnf | Manager::Yum) => false,
                None => return Err(no_way_to("Python 3", spec)),
            };
            let mut names = vec!["python3"];
            if get_pip.is_none() {
                names.push(if venv { "python3-venv" } else { "python3-pip" });
            }
            return Ok(Self {
                base_python: "python3".to_owned(),
                venv,
                obtain: obtain(Obtain::Present),
                packages: system::packages(names),
                own: false,
                uv: None,
            });
        };
        let present = if profile.externally_managed {
            profile.has_venv
        } else {
            profile
                .pips
                .iter()
                .any(|pip| pip.version.contains("(python 3"))
        };
        let mut packages = vec![];
        let mut otherwise = Obtain::Present;
        if !present && get_pip.is_none() {
            match (manager, profile.externally_managed) {
                (Some(Manager::Apt), true) => packages = system::packages(["python3-venv"]),
                (Some(_), _) => packages = system::packages(["python3-pip"]),
                (None, false) if profile.has_venv => otherwise = Obtain::EnsurePip,
                (None, _) => return Err(no_way_to("pip", spec)),
            }
        }
        Ok(Self {
            base_python: command,
            venv: profile.externally_managed,
            obtain: obtain(otherwise),
            packages,
            own: false,
            uv: None,
        })
    }

    /// Whether its pip may be older than 20.3, the first that knows the platform tags of today's wheels (PEP 600).
    pub(super) fn may_be_old(&self, profile: &ImageProfile) -> bool {
        const KNOWS_TAGS: (u32, u32) = (20, 3);
        /// The first Python whose own copy of pip is recent enough.
        const BRINGS_RECENT: (u32, u32) = (3, 10);
        if matches!(self.obtain, Obtain::GetPip(_)) {
            return false;
        }
        let is_recent = self
            .version_of_base_python(profile)
            .is_some_and(|version| version >= BRINGS_RECENT);
        let found = profile.pips.iter().map(|pip| pip_version(&pip.version));
        if self.venv || profile.pips.is_empty() {
            return !is_recent;
        }
        found
            .into_iter()
            .any(|version| version.is_none_or(|version| version < KNOWS_TAGS))
    }

    /// The version of the Python it is made from; of one that is yet to be installed, the least it may be.
    fn version_of_base_python(&self, profile: &ImageProfile) -> Option<(u32, u32)> {
        let found = profile
            .pythons
            .iter()
            .find(|python| python.command == self.base_python);
        match found {
            Some(found) => {
                let mut numbers = found
                    .version
                    .split_whitespace()
                    .last()?
                    .split('.')
                    .map_while(|part| part.parse().ok());
                Some((numbers.next()?, numbers.next()?))
            }
            None => (self.venv && fresh_python_refuses_pip(profile)).then_some((3, 11)),
        }
    }

    /// Has pip install: uv comes by a mount, which the classic builder has not.
    pub(super) fn without_uv(&mut self) {
        self.uv = None;
    }

    /// Whether all that pip installs lands in a folder that the base image does not have yet. An image that
    /// an earlier build made says by its PATH that it has it.
    pub(super) fn is_new_environment(&self, profile: &ImageProfile) -> bool {
        self.venv
            && !profile
                .config
                .env
                .iter()
                .any(|entry| entry.starts_with("PATH=") && entry.contains(VENV))
    }

    /// The folder that must be first on PATH for this environment to be found.
    pub(super) fn bin(&self) -> Option<String> {
        self.venv.then(|| format!("{VENV}/bin"))
    }

    /// Its path, as a word of a shell: uv takes a bare `python3` for a wish and looks for an environment of that version.
    pub(super) fn path_of_python(&self) -> String {
        let python = self.python();
        if python.starts_with('/') {
            return python;
        }
        format!("\"$({python} -c 'import sys; print(sys.executable)')\"")
    }

    /// The environment's Python, as a shell word.
    pub(super) fn python(&self) -> String {
        match self.bin() {
            Some(bin) => format!("{bin}/python"),
            None => quote::shell(&self.base_python),
        }
    }
}

/// Major and minor number of `pip 20.0.2 from ... (python 3.8)`.
fn pip_version(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line
        .strip_prefix("pip ")?
        .split(['.', ' '])
        .map_while(|part| part.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// The image's command for a Python of that major version.
fn python_command(profile: &ImageProfile, version: &str) -> Option<String> {
    let mut found: Vec<&str> = profile
        .pythons
        .iter()
        .filter(|python| python.version.starts_with(version))
        .map(|python| python.command.as_str())
        .collect();
    // `python3` says what it is; `python` may come to mean another one.
    found.sort_unstable_by_key(|command| std::cmp::Reverse(command.len()));
    found.first().map(|command| (*command).to_owned())
}

/// Whether the distribution's python3, once installed, refuses pip: Debian 12, Ubuntu 23.04 and
/// later. Where the version is not known an environment of its own works either way.
fn fresh_python_refuses_pip(profile: &ImageProfile) -> bool {
    !matches!(
        (profile.family(), system::major_version(profile)),
        (Family::Debian, Some(..12)) | (Family::Ubuntu, Some(..23))
    )
}

fn no_way_to(what: &str, spec: &ImageSpec) -> Failure {
    Failure::new(
        ReasonCode::BaseImageUnsupported,
        format!(
            "基础镜像 {} 没有 {what}，也没有可用于安装它的 apt 或 yum。",
            spec.base
        ),
        format!(
            "The base image {} has no {what}, and neither apt nor yum to install it with.",
            spec.base
        ),
    )
}

/// The catalog's `get-pip.py` for the Python that will be used, when the request asks for it.
///
/// # Errors
/// `ToolMissing` when it is not there.
pub(super) fn get_pip(
    spec: &ImageSpec,
    catalog: &Catalog,
    tool: Option<&PythonTool>,
) -> Result<Option<ToolFile>, Failure> {
    if !spec.pip.get_pip {
        return Ok(None);
    }
    let file = |kind| ToolFile {
        kind,
        file_name: "get-pip.py".to_owned(),
    };
    let wanted = match tool {
        Some(tool) if tool.version.0 == 2 => file(ToolKind::Pip2),
        _ => file(ToolKind::Pip3),
    };
    if tool.is_none() && !spec.jupyter_lab && !catalog.tools.contains(&wanted) {
        let older = file(ToolKind::Pip2);
        if catalog.tools.contains(&older) {
            return Ok(Some(older));
        }
    }
    super::check::tool(&wanted, catalog)?;
    Ok(Some(wanted))
}

/// The mirror for pip.
pub(super) fn mirror(planner: &mut Planner<'_>) {
    if planner.spec.pip.mirror.is_some() {
        planner.out.comment("The mirror for pip.");
        settings_of_mirror(planner);
    }
}

/// The mirror's file where pip looks for it.
pub(super) fn settings_of_mirror(planner: &mut Planner<'_>) {
    if let Some(file) = &planner.spec.pip.mirror {
        let source = ContextSource::Mirror(file.clone());
        planner.file("mirrors/pip.conf", 0o644, source);
        planner.out.copy("mirrors/pip.conf", "/etc/pip.conf");
    }
}

/// Makes the environment and puts pip into it.
pub(super) fn environment(planner: &mut Planner<'_>) {
    let Some(pip) = planner.pip.clone() else {
        return;
    };
    let mut script = pip_install::of_mirror(planner.spec);
    let mut mounts = vec![];
    if pip.venv {
        let bundled = matches!(pip.obtain, Obtain::Present);
        let without = if bundled && pip.uv.is_none() {
            ""
        } else {
            " --without-pip"
        };
        script.line(format!(
            "{} -m venv --system-site-packages{without} {VENV}",
            quote::shell(&pip.base_python)
        ));
        if bundled && let Some(file) = &pip.uv {
            mounts.push(uv::mount(planner, file));
            script.append(uv::bundled_pip(&pip));
        }
    }
    planner.out.comment("The Python environment for pip.");
    match &pip.obtain {
        Obtain::Present => {}
        Obtain::EnsurePip => {
            script.line(format!("{} -m ensurepip", pip.python()));
        }
        Obtain::GetPip(file) => {
            planner.file(
                "tools/pip/get-pip.py",
                0o644,
                ContextSource::Tool(file.clone()),
            );
            let classic = planner.context.dialect == Dialect::Classic;
            let folder = if classic {
                "/tmp/fastbuild-pip"
            } else {
                "/mnt"
            };
            if classic {
                planner.out.copy("tools/pip/", "/tmp/fastbuild-pip/");
            } else {
                mounts = vec![Mount::Context {
                    source: "tools/pip",
                    target: "/mnt",
                }];
            }
            script.line(format!(
                "{} {folder}/get-pip.py --no-cache-dir --disable-pip-version-check",
                pip.python()
            ));
            if classic {
                script.line(format!("rm -rf {folder}"));
            }
        }
    }
    if pip.uv.is_some() && planner.pip_is_apart() {
        script.append(uv::keep_settings(&pip));
    } else {
        script.line(format!("{} -m pip --version", pip.python()));
    }
    planner.out.run(&mounts, &script);
}

//! The build plan: from an image spec and the profile of its base image to a Dockerfile, its context
//! files and secrets. Pure; the builder gives the plan to an engine.

mod apt;
mod base_image;
mod check;
mod conda;
mod dockerfile;
mod entrypoint;
mod jupyter;
mod key;
mod labels;
mod layers;
mod micromamba;
mod path;
mod pip;
mod pip_install;
mod purpose;
mod python;
mod quote;
mod services;
mod ssh;
mod system;
mod uv;
mod yum;

pub use self::{
    base_image::check_base_image,
    check::check,
    key::{KeyFacts, key, nameless},
    purpose::purpose,
};
use self::{
    dockerfile::{Dockerfile, Mount, Script},
    path::SearchPath,
    pip::PipEnvironment,
    python::PythonTool,
    system::Installer,
};
use crate::{
    catalog::{Catalog, MirrorFile, ToolFile},
    failure::{Failure, ReasonCode},
    image_spec::ImageSpec,
    profile::{ImageConfig, ImageProfile},
};

/// The stage that the image and its Python packages stand on.
const GROUND: &str = "ground";
/// The stage that makes the Python packages.
const PYTHON_PACKAGES: &str = "python-packages";

/// Which Dockerfile features the engine's built-in frontend understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// BuildKit without `# syntax=`: cache, bind and secret mounts.
    BuildKit,
    /// The classic builder: no mounts.
    Classic,
}

/// What a plan depends on beside the request and the base image.
#[derive(Debug, Clone, Copy)]
pub struct PlanContext {
    /// What the engine understands.
    pub dialect: Dialect,
    /// Whether its frontend has `COPY --link`.
    pub link: bool,
    /// For how many minutes the package lists in the engine's caches count as fresh.
    pub lists_fresh_minutes: u32,
    /// The build's number, for its label and to keep the secrets' step out of the cache.
    pub build_id: i64,
}

/// Everything an engine needs to make the image, secrets' values excepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildPlan {
    /// The Dockerfile's text.
    pub dockerfile: String,
    /// The files of its context, by path.
    pub files: Vec<ContextFile>,
    /// The secrets it mounts; empty for the classic builder.
    pub secrets: Vec<PlanSecret>,
}

/// One file of the build context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextFile {
    /// Path in the context, of our own making; never a caller's text.
    pub path: String,
    /// Unix permission bits.
    pub mode: u32,
    /// Where its bytes come from.
    pub source: ContextSource,
}

/// Where a context file's bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextSource {
    /// Text of ours.
    Inline(String),
    /// A mirror file of the catalog.
    Mirror(MirrorFile),
    /// A tool file of the catalog.
    Tool(ToolFile),
}

/// A secret a plan mounts; its value is made at build time, passwords already hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlanSecret {
    /// The root password as crypt(5) text (`$6$...`), without newline.
    SshPasswordHash,
    /// The JupyterLab password as Jupyter Server's hashed form (`argon2:$argon2id$...`),
    /// without newline.
    JupyterPasswordHash,
    /// The accounts at named package indexes, as a netrc file.
    IndexLogins,
}

impl PlanSecret {
    /// The id it is mounted under.
    pub fn id(self) -> &'static str {
        match self {
            Self::SshPasswordHash => "ssh_password_hash",
            Self::JupyterPasswordHash => "jupyter_password_hash",
            Self::IndexLogins => "index_logins",
        }
    }
}

/// Renders the plan for `spec` on a base image with `profile`.
///
/// What changes rarely and costs much comes first, the requested packages late, and what belongs
/// to one build alone last, so that the engine finds as much as possible in its cache.
///
/// # Errors
/// A [`Failure`] when the request does not fit the base image (`MirrorMismatch`, `SpecInvalid`,
/// `BaseImageUnsupported`), the catalog lacks a file (`MirrorMismatch`, `ToolMissing`), or the
/// engine cannot take the secrets (`EngineUnsupported`).
pub fn plan(
    spec: &ImageSpec,
    profile: &ImageProfile,
    catalog: &Catalog,
    context: &PlanContext,
) -> Result<BuildPlan, Failure> {
    check(spec, Some(profile), catalog)?;
    if context.dialect == Dialect::Classic && (spec.ssh || spec.jupyter_lab) {
        return Err(Failure::new(
            ReasonCode::EngineUnsupported,
            "该 Docker 服务器没有 BuildKit，无法在不泄露的情况下写入 SSH 或 JupyterLab 的密码。",
            "This Docker Engine has no BuildKit, so the password for SSH or JupyterLab cannot be set without leaving it in the image's history.",
        ));
    }
    if context.dialect == Dialect::Classic && !spec.pip.files.options.logins.is_empty() {
        return Err(Failure::new(
            ReasonCode::EngineUnsupported,
            "该 Docker 服务器没有 BuildKit，无法在不泄露的情况下使用软件包索引的账号。",
            "This Docker Engine has no BuildKit, so the account of a package index cannot be used without leaving it in the image's history.",
        ));
    }
    let python = PythonTool::of(spec)?;
    let mut pip = PipEnvironment::choose(spec, profile, catalog, python.as_ref())?;
    if let (Dialect::Classic, Some(pip)) = (context.dialect, &mut pip) {
        pip.without_uv();
    }
    let before = python
        .iter()
        .map(PythonTool::bin)
        .chain(pip.iter().filter_map(PipEnvironment::bin));
    let path = SearchPath::new(profile, before, conda::bin(spec));
    let installer = Installer::of(profile, spec.system.mirror.as_ref(), context);
    let planner = Planner {
        spec,
        profile,
        context,
        installer,
        python,
        pip,
        micromamba: micromamba::tool(spec, catalog),
        path,
        out: Dockerfile::linking(context.link),
        files: vec![],
        secrets: vec![],
    };
    let plan = planner.render();
    base_image::check_layers(spec, profile, &plan.dockerfile)?;
    Ok(plan)
}

/// A plan in the making: what was decided, and what is written so far.
struct Planner<'a> {
    spec: &'a ImageSpec,
    profile: &'a ImageProfile,
    context: &'a PlanContext,
    installer: Option<Installer>,
    python: Option<PythonTool>,
    pip: Option<PipEnvironment>,
    micromamba: Option<ToolFile>,
    path: SearchPath,
    out: Dockerfile,
    files: Vec<ContextFile>,
    secrets: Vec<PlanSecret>,
}

impl Planner<'_> {
    fn render(mut self) -> BuildPlan {
        python::stage(&mut self);
        conda::stage(&mut self);
        if self.pip_is_apart() {
            let beside = self.pip_needs_nothing_requested();
            self.out
                .comment("What the image and its Python packages both stand on.");
            self.base(Some(GROUND));
            self.foundation();
            if !beside {
                self.conda_and_system();
            }
            self.out.comment("The Python packages, beside the rest.");
            self.out.from(GROUND, Some(PYTHON_PACKAGES));
            self.pip();
            self.out.comment("The image.");
            self.out.from(GROUND, None);
            if beside {
                self.conda_and_system();
            }
            self.out.comment("The Python packages.");
            pip::settings_of_mirror(&mut self);
            layers::copy(&mut self);
        } else {
            self.out.comment("The image.");
            self.base(None);
            self.foundation();
            if !conda::is_apart(&self) {
                conda::install(&mut self);
            }
            if self.pip_needs_nothing_requested() {
                self.pip();
                system::requested(&mut self);
            } else {
                pip::mirror(&mut self);
                pip::environment(&mut self);
                pip_install::jupyter_lab(&mut self);
                system::requested(&mut self);
                pip_install::requested(&mut self);
            }
        }
        if conda::is_apart(&self) {
            conda::install(&mut self);
        }
        conda::mirror(&mut self);
        conda::requested(&mut self);
        conda::kernel(&mut self);
        entrypoint::scripts(&mut self);
        ssh::permission(&mut self);
        services::secrets(&mut self);
        self.finish();
        BuildPlan {
            dockerfile: self.out.into_text(),
            files: self.files,
            secrets: self.secrets,
        }
    }

    /// The base image, with the rights to change it.
    fn base(&mut self, stage: Option<&str>) {
        self.out.from(&self.spec.base.to_string(), stage);
        if self.profile.config.has_own_shell() {
            // Scripts are written for `sh -c`; the image's own shell comes back at the end.
            self.out.shell(&ImageConfig::default_shell());
        }
        if !self.user_is_root() {
            self.out.user("root");
        }
    }

    /// What changes rarely and everything else stands on.
    fn foundation(&mut self) {
        system::mirror(self);
        python::install(self);
        if self.path.is_changed() {
            self.out.env("PATH", &self.path.image());
        }
        services::profile_script(self);
        self.support();
    }

    /// conda, unless it has a stage of its own, and the request's system packages.
    fn conda_and_system(&mut self) {
        if !conda::is_apart(self) {
            conda::install(self);
        }
        system::requested(self);
    }

    /// Everything pip does.
    fn pip(&mut self) {
        pip::mirror(self);
        pip::environment(self);
        pip_install::jupyter_lab(self);
        pip_install::requested(self);
    }

    /// Whether what pip does comes out the same before as after the request's system packages.
    fn pip_needs_nothing_requested(&self) -> bool {
        !system::serve_pip(&self.spec.system.packages)
    }

    /// Whether the Python packages get a stage of their own, from which they come into the image as several layers:
    /// a change of one package leaves the layers of the others. Unless they need the request's system packages they
    /// are made while those are installed, and a change of those leaves them as they are. It takes a folder
    /// that holds all of them, which an environment of our own is.
    fn pip_is_apart(&self) -> bool {
        self.context.dialect == Dialect::BuildKit
            && self
                .pip
                .as_ref()
                .is_some_and(|pip| pip.is_new_environment(self.profile))
            && (self.spec.jupyter_lab || self.spec.pip.has_packages())
    }

    /// The system packages that pip and the services stand on, in one run.
    fn support(&mut self) {
        let mut packages = ssh::packages(self.spec, self.profile);
        packages.extend(self.pip.iter().flat_map(|pip| pip.packages.clone()));
        let runtime = self.python.as_ref().and_then(PythonTool::runtime_packages);
        let mut script = Script::default();
        let mut mounts = vec![];
        if let Some(installer) = &self.installer
            && (!packages.is_empty() || runtime.is_some())
        {
            mounts = installer.mounts();
            script.append(installer.install(&packages, runtime.as_deref()));
        }
        if self.spec.ssh {
            script.append(ssh::configuration());
        }
        if !script.is_empty() {
            self.out
                .comment("What Python and the services need of the system.");
            self.out.run(&mounts, &script);
        }
    }

    fn finish(&mut self) {
        self.out.comment("How the image runs.");
        if self.spec.ssh {
            self.out.expose(22);
        }
        if self.spec.jupyter_lab {
            self.out.expose(8888);
        }
        for (name, value) in &self.spec.env {
            self.out.env(name, value);
        }
        entrypoint::entrypoint(self);
        if !self.user_is_root() {
            self.out.user(&self.profile.config.user);
        }
        if self.profile.config.has_own_shell() {
            self.out.shell(&self.profile.config.shell);
        }
        labels::write(self);
    }

    /// Adds a file to the context; the path is the same for every request.
    fn file(&mut self, path: &'static str, mode: u32, source: ContextSource) {
        if self.files.iter().all(|file| file.path != path) {
            self.files.push(ContextFile {
                path: path.to_owned(),
                mode,
                source,
            });
        }
    }

    /// Adds a file to the context, and mounts its folder at `target`.
    fn mounted(
        &mut self,
        path: &'static str,
        mode: u32,
        source: ContextSource,
        target: &'static str,
    ) -> Mount {
        self.file(path, mode, source);
        let folder = path.rsplit_once('/').map_or(path, |(folder, _)| folder);
        Mount::Context {
            source: folder,
            target,
        }
    }

    fn user_is_root(&self) -> bool {
        ssh::is_root(&self.profile.config.user)
    }

    fn has_services(&self) -> bool {
        self.spec.ssh || self.spec.jupyter_lab
    }
}

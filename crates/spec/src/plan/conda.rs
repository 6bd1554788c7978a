//! conda: its installer, its mirror and its packages.

use super::{
    ContextSource, Dialect, Planner,
    dockerfile::{Mount, Script},
    micromamba, pip, quote, system,
};
use crate::{
    failure::{Failure, ReasonCode},
    image_spec::{CondaChannels, ImageSpec},
    profile::ImageProfile,
};

/// Where the request's conda goes.
const PREFIX: &str = "/usr/local/dros/conda";
const STAGE: &str = "conda-build";
/// The name of the kernel that JupyterLab has for the environment `default`.
pub(super) const KERNEL: &str = "conda-default";

/// Whether the base image has a conda in that place: it was made by an earlier build.
fn is_there(profile: &ImageProfile) -> bool {
    profile
        .conda
        .as_ref()
        .is_some_and(|found| found.path == format!("{PREFIX}/bin/conda"))
}

/// The folder of conda's commands, when the request installs conda.
pub(super) fn bin(spec: &ImageSpec) -> Option<String> {
    spec.conda
        .installer
        .as_ref()
        .map(|_| format!("{PREFIX}/bin"))
}

/// Refuses what cannot work on the base image.
///
/// # Errors
/// `SpecInvalid` when packages are wanted and there is no conda, or the installer is for another
/// architecture.
pub(super) fn check(spec: &ImageSpec, profile: &ImageProfile) -> Result<(), Failure> {
    match (&spec.conda.installer, &profile.conda) {
        (Some(installer), _) => super::check::architecture(&installer.file_name, profile),
        (None, None) if !spec.conda.packages.is_empty() => {
            let packages = spec.conda.packages.join(", ");
            Err(Failure::new(
                ReasonCode::SpecInvalid,
                format!("要求安装 conda 软件包（{packages}），但基础镜像 {} 没有 conda，请求也没有选择 conda 安装文件。", spec.base),
                format!("conda packages are wanted ({packages}), but the base image {} has no conda and the request names no conda installer.", spec.base),
            )
            .with_hint(
                "请在请求中选择 Miniconda 或 Anaconda 安装文件，或换用带有 conda 的基础镜像。",
                "Choose a Miniconda or Anaconda installer in the request, or a base image with conda.",
            )
            .with_culprit("conda_installer_config"))
        }
        _ => Ok(()),
    }
}

/// Whether conda is made in a stage of its own, packages and all, beside everything else: where the image gets it as
/// a layer of its own, and has none in its place, as copying adds and never takes away.
pub(super) fn is_apart(planner: &Planner<'_>) -> bool {
    planner.context.dialect == Dialect::BuildKit
        && planner.context.link
        && planner.spec.conda.installer.is_some()
        && !is_there(planner.profile)
}

/// Runs the installer in a stage of its own. The classic builder has no mounts, and so the installer itself is in no
/// layer of the image; others make conda there while they make the rest.
pub(super) fn stage(planner: &mut Planner<'_>) {
    let Some(installer) = planner.spec.conda.installer.clone() else {
        return;
    };
    planner.file(
        "tools/conda/conda.sh",
        0o755,
        ContextSource::Tool(installer),
    );
    let classic = planner.context.dialect == Dialect::Classic;
    if !classic && !is_apart(planner) {
        return;
    }
    planner
        .out
        .comment("conda, installed in a stage of its own.");
    planner
        .out
        .from(&planner.spec.base.to_string(), Some(STAGE));
    if !planner.user_is_root() {
        planner.out.user("root");
    }
    if classic {
        planner.out.copy("tools/conda/", "/mnt/");
        planner.out.run(&[], &installation());
    } else {
        let installer = [Mount::Context {
            source: "tools/conda",
            target: "/mnt",
        }];
        planner.out.run(&installer, &installation());
        settings_of_mirror(planner);
        if !planner.spec.conda.pip.is_empty() {
            pip::settings_of_mirror(planner);
        }
        packages(planner);
    }
}

/// Runs the installer. With `-u` it updates the conda of an earlier build, whose environments
/// stay, where it would refuse the folder otherwise.
fn installation() -> Script {
    let mut script = Script::default();
    script
        .line("mkdir -p /usr/local/dros")
        .line(format!("sh /mnt/conda.sh -b -u -p {PREFIX}"))
        .line(format!("{PREFIX}/bin/conda --version"));
    script
}

/// Installs conda and makes login shells know it.
pub(super) fn install(planner: &mut Planner<'_>) {
    if planner.spec.conda.installer.is_none() {
        return;
    }
    planner.out.comment("conda.");
    let mut script = Script::default();
    let mut mounts = vec![];
    match planner.context.dialect {
        Dialect::BuildKit if is_apart(planner) => {
            planner.out.copy_from(STAGE, PREFIX, PREFIX);
        }
        Dialect::BuildKit => {
            mounts = vec![Mount::Context {
                source: "tools/conda",
                target: "/mnt",
            }];
            script = installation();
        }
        Dialect::Classic => {
            // COPY adds and never takes away: what the update removed would stay.
            if is_there(planner.profile) {
                let mut removal = Script::default();
                removal.line(format!("rm -rf {PREFIX}"));
                planner.out.run(&[], &removal);
            }
            planner.out.copy_from(STAGE, PREFIX, PREFIX);
        }
    }
    script.line("mkdir -p /etc/profile.d").line(format!(
        "ln -sf {PREFIX}/etc/profile.d/conda.sh /etc/profile.d/conda.sh"
    ));
    planner.out.run(&mounts, &script);
}

/// The mirror for conda.
pub(super) fn mirror(planner: &mut Planner<'_>) {
    if planner.spec.conda.mirror.is_some() {
        planner.out.comment("The mirror for conda.");
        settings_of_mirror(planner);
    }
}

fn settings_of_mirror(planner: &mut Planner<'_>) {
    if let Some(file) = &planner.spec.conda.mirror {
        let source = ContextSource::Mirror(file.clone());
        planner.file("mirrors/condarc", 0o644, source);
        planner.out.copy("mirrors/condarc", "/etc/conda/.condarc");
    }
}

/// The conda packages of the request, where they do not come with conda's own stage.
pub(super) fn requested(planner: &mut Planner<'_>) {
    if !is_apart(planner) && !planner.spec.conda.packages.is_empty() {
        planner.out.comment("conda packages.");
        packages(planner);
    }
}

/// Installs the packages in the environment `default`, so that `base` cannot break, and what its file has for pip.
fn packages(planner: &mut Planner<'_>) {
    let spec = planner.spec;
    if spec.conda.packages.is_empty() {
        return;
    }
    // `create` would empty an environment that is there.
    let (command, exists) = match &planner.profile.conda {
        Some(found) if spec.conda.installer.is_none() || is_there(planner.profile) => (
            found.path.clone(),
            found.environments.iter().any(|name| name == "default"),
        ),
        _ => (format!("{PREFIX}/bin/conda"), false),
    };
    let ours = command == format!("{PREFIX}/bin/conda");
    let classic = planner.context.dialect == Dialect::Classic;
    let verb = if exists { "install" } else { "create" };
    let mut wanted = spec.conda.packages.clone();
    // A notebook finds the packages only where they have a kernel.
    if spec.jupyter_lab && !wanted.iter().any(|word| word.starts_with("ipykernel")) {
        wanted.push("ipykernel".to_owned());
    }
    let words: Vec<String> = wanted.iter().map(|word| quote::shell(word)).collect();
    let mut mounts = vec![];
    let mut script = Script::default();
    if !classic {
        let id = system::cache_id("conda", planner.profile, spec.conda.mirror.as_ref());
        mounts.push(Mount::Cache {
            id,
            target: "/var/cache",
        });
        script.exclusive("/var/cache/fastbuild-conda");
    }
    let channels = channel_options(&spec.conda.channels);
    let by_conda = by_conda(&command, verb, &channels, &words, classic);
    // An environment that is there may lie anywhere: conda knows.
    if let Some(file) = planner.micromamba.clone()
        && ours
        && !classic
        && !exists
    {
        mounts.push(micromamba::mount(planner, &file));
        script.append(micromamba::create(
            PREFIX,
            &spec.conda.channels,
            &words,
            by_conda,
        ));
    } else {
        script.append(by_conda);
    }
    if !spec.conda.pip.is_empty() || !planner.user_is_root() {
        script.line(format!(
            "prefix=$({} env list | sed -n 's/^default[ *]*//p')",
            quote::shell(&command)
        ));
    }
    if !spec.conda.pip.is_empty() {
        script.append(pip_part(&spec.conda.pip, classic));
    }
    if !planner.user_is_root() {
        script.line(format!(
            "chown -R {} \"$prefix\"",
            quote::shell(&planner.profile.config.user)
        ));
    }
    planner.out.run(&mounts, &script);
}

/// The channels as the request orders them, before those that conda is configured with or instead of them.
fn channel_options(channels: &CondaChannels) -> Vec<String> {
    let mut options = Vec::new();
    if channels.without_defaults && !channels.names.is_empty() {
        options.push("--override-channels".to_owned());
    }
    for name in &channels.names {
        options.push(format!("--channel {}", quote::shell(name)));
    }
    options
}

/// What an environment's file has for pip goes into that environment, by its own Python.
fn pip_part(requirements: &[String], classic: bool) -> Script {
    let cache = if classic {
        "--no-cache-dir"
    } else {
        "--cache-dir=/var/cache/fastbuild-pip"
    };
    let words: Vec<String> = requirements.iter().map(|word| quote::shell(word)).collect();
    let mut script = Script::default();
    script
        .line("export PIP_ROOT_USER_ACTION=ignore PIP_PROGRESS_BAR=off")
        .command(
            &format!("\"$prefix/bin/python\" -m pip install --no-input --disable-pip-version-check {cache}"),
            &words,
        );
    script
}

/// Registers the environment `default` as a kernel of JupyterLab.
pub(super) fn kernel(planner: &mut Planner<'_>) {
    if !has_kernel(planner.spec) {
        return;
    }
    let prefix = match &planner.profile.conda {
        Some(found) if planner.spec.conda.installer.is_none() => {
            found.path.trim_end_matches("/bin/conda").to_owned()
        }
        _ => PREFIX.to_owned(),
    };
    let python = quote::json(&format!("{prefix}/envs/default/bin/python"));
    let text = format!(
        "{{\"argv\": [{python}, \"-m\", \"ipykernel_launcher\", \"-f\", \"{{connection_file}}\"], \
         \"display_name\": \"Python (conda: default)\", \"language\": \"python\"}}\n"
    );
    planner.file("jupyter/kernel.json", 0o644, ContextSource::Inline(text));
    planner.out.copy(
        "jupyter/kernel.json",
        &format!("/usr/local/share/jupyter/kernels/{KERNEL}/kernel.json"),
    );
}

/// Whether JupyterLab has the conda environment as a kernel, which is then its first.
pub(super) fn has_kernel(spec: &ImageSpec) -> bool {
    spec.jupyter_lab && !spec.conda.packages.is_empty()
}

/// Does `verb` in the environment `default`. The packages' folder is outside the image, on another filesystem: conda
/// then copies.
fn by_conda(
    command: &str,
    verb: &str,
    channels: &[String],
    words: &[String],
    classic: bool,
) -> Script {
    let cache = if classic {
        "/tmp/fastbuild-conda"
    } else {
        "/var/cache/fastbuild-conda"
    };
    let mut script = Script::default();
    script
        .line(format!("export CONDA_PKGS_DIRS={cache}"))
        .command(
            &format!("{} {verb} -y -n default", quote::shell(command)),
            channels.iter().chain(words),
        );
    if classic {
        script.line(format!("rm -rf {cache}"));
    }
    script
}

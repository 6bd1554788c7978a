//! Checks of a request against catalog and base image, before anything runs.

use super::{
    base_image::check_base_image,
    conda, pip,
    python::{self, PythonTool},
    ssh,
};
use crate::{
    catalog::{Catalog, MirrorFile, MirrorKind, ToolFile},
    failure::{Failure, ReasonCode},
    image_spec::{ImageSpec, PackageManager},
    mirror_match,
    profile::ImageProfile,
};

/// Refuses a request that cannot become an image: mirrors and tools that are not in the catalog
/// and, once the base image's profile is known, whatever does not fit that image. All that is
/// wrong with mirrors and tools is in one answer, and a mirror that does not fit is named as such
/// whether it is there or not.
///
/// # Errors
/// `MirrorMismatch`, `ToolMissing`, `SpecInvalid` or `BaseImageUnsupported`.
pub fn check(
    spec: &ImageSpec,
    profile: Option<&ImageProfile>,
    catalog: &Catalog,
) -> Result<(), Failure> {
    files(spec, profile, catalog)?;
    let python_tool = PythonTool::of(spec)?;
    if let Some(tool) = &python_tool
        && tool.version.0 == 2
        && spec.jupyter_lab
    {
        return Err(Failure::new(
            ReasonCode::SpecInvalid,
            "JupyterLab 需要 Python 3，而请求选择的是 Python 2。",
            "JupyterLab needs Python 3, but the request chooses Python 2.",
        )
        .with_hint(
            "请选择 Python 3 的安装文件，或不选 Python 而使用镜像自带的。",
            "Choose a Python 3, or none to use the image's own.",
        )
        .with_culprit("python_env.target"));
    }
    let Some(profile) = profile else {
        return Ok(());
    };
    check_base_image(&spec.base, &profile.config)?;
    if let Some(tool) = &python_tool {
        python::check(tool, spec, profile)?;
    }
    pip::PipEnvironment::choose(spec, profile, catalog, python_tool.as_ref())?;
    conda::check(spec, profile)?;
    ssh::check(spec, profile)
}

/// The mirrors and tools of the request, against the base image and the catalog.
fn files(
    spec: &ImageSpec,
    profile: Option<&ImageProfile>,
    catalog: &Catalog,
) -> Result<(), Failure> {
    let mut failures = vec![];
    let mut system = spec.system.mirror.as_ref();
    if let Some(profile) = profile {
        failures.extend(manager(spec, profile).err());
        if let (Some(file), Some(_)) = (system, &profile.package_manager) {
            failures.extend(mirror_match::check(file, profile, catalog).err());
        }
        // A mirror for another system is not looked up.
        system = system.filter(|_| failures.is_empty());
    }
    let mirrors = [system, spec.pip.mirror.as_ref(), spec.conda.mirror.as_ref()];
    failures.extend(
        mirrors
            .into_iter()
            .flatten()
            .filter_map(|file| mirror(file, catalog).err()),
    );
    let python = spec.python.as_ref().map(|python| &python.tool);
    failures.extend(
        python
            .into_iter()
            .chain(&spec.conda.installer)
            .filter_map(|file| tool(file, catalog).err()),
    );
    match PythonTool::of(spec) {
        Ok(python) => failures.extend(pip::get_pip(spec, catalog, python.as_ref()).err()),
        Err(failure) => failures.push(failure),
    }
    together(failures)
}

/// Several failures as one, with the first one's code.
fn together(failures: Vec<Failure>) -> Result<(), Failure> {
    let mut failures = failures.into_iter();
    let Some(mut all) = failures.next() else {
        return Ok(());
    };
    let join = |text: &mut String, more: &str, gap: &str| {
        if !text.contains(more) {
            text.push_str(gap);
            text.push_str(more);
        }
    };
    for one in failures {
        join(&mut all.message.zh, &one.message.zh, "");
        join(&mut all.message.en, &one.message.en, " ");
        join(&mut all.hint.zh, &one.hint.zh, "");
        join(&mut all.hint.en, &one.hint.en, " ");
        all.culprit = match (all.culprit, one.culprit) {
            (Some(all), Some(one)) => Some(format!("{all}, {one}")),
            (all, one) => all.or(one),
        };
    }
    Err(all)
}

/// The request's package manager against the image's own.
fn manager(spec: &ImageSpec, profile: &ImageProfile) -> Result<(), Failure> {
    let system = &spec.system;
    if system.packages.is_empty() && system.mirror.is_none() {
        return Ok(());
    }
    let Some(found) = &profile.package_manager else {
        return Err(Failure::new(
            ReasonCode::BaseImageUnsupported,
            format!(
                "基础镜像 {} 没有 apt 或 yum，无法安装系统软件包。",
                spec.base
            ),
            format!(
                "The base image {} has neither apt nor yum, so system packages cannot be installed in it.",
                spec.base
            ),
        ));
    };
    let of_mirror = system.mirror.as_ref().and_then(|file| match file.kind {
        MirrorKind::Apt => Some(PackageManager::Apt),
        MirrorKind::Yum => Some(PackageManager::Yum),
        MirrorKind::Pip | MirrorKind::Conda => None,
    });
    for asked in [system.manager, of_mirror].into_iter().flatten() {
        if asked != found.kind {
            let (asked, own) = (name(asked), name(found.kind));
            return Err(Failure::new(
                ReasonCode::SpecInvalid,
                format!("请求使用 {asked}，但基础镜像 {} 的软件包管理器是 {own}。", spec.base),
                format!(
                    "The request uses {asked}, but the package manager of the base image {} is {own}.",
                    spec.base
                ),
            )
            .with_hint(
                format!("请将 package_manager_installer_config 改为 {own} 及其镜像源和软件包，或更换基础镜像。"),
                format!("Set package_manager_installer_config to {own}, its mirrors and its packages, or choose another base image."),
            )
            .with_culprit("package_manager_installer_config"));
        }
    }
    Ok(())
}

fn name(manager: PackageManager) -> &'static str {
    match manager {
        PackageManager::Apt => "apt",
        PackageManager::Yum => "yum",
    }
}

/// Whether a mirror is in the catalog.
fn mirror(file: &MirrorFile, catalog: &Catalog) -> Result<(), Failure> {
    if catalog.mirrors.contains(file) {
        return Ok(());
    }
    let MirrorFile {
        kind,
        group,
        file_name,
    } = file;
    Err(Failure::new(
        ReasonCode::MirrorMismatch,
        format!("镜像源文件 {file_name} 不存在于目录 {kind}/{group} 中。"),
        format!("The mirror file {file_name} is not there in the folder {kind}/{group}."),
    )
    .with_culprit(format!("{kind}/{group}/{file_name}")))
}

/// Whether a tool is in the catalog.
pub(super) fn tool(file: &ToolFile, catalog: &Catalog) -> Result<(), Failure> {
    if catalog.tools.contains(file) {
        return Ok(());
    }
    let (folder, file_name) = (file.kind.folder(), &file.file_name);
    Err(Failure::new(
        ReasonCode::ToolMissing,
        format!("安装文件 {file_name} 不存在于目录 {folder} 中。"),
        format!("The installer {file_name} is not there in the folder {folder}."),
    )
    .with_culprit(format!("{folder}/{file_name}")))
}

/// Whether a prebuilt tool, by its name, is for the image's processor.
pub(super) fn architecture(file_name: &str, profile: &ImageProfile) -> Result<(), Failure> {
    const NAMES: [(&str, &[&str]); 2] = [
        ("amd64", &["x86_64", "amd64"]),
        ("arm64", &["aarch64", "arm64"]),
    ];
    let named = NAMES
        .iter()
        .find(|(_, names)| names.iter().any(|name| file_name.contains(name)))
        .map(|(architecture, _)| *architecture);
    match named {
        Some(named) if named != profile.architecture && !profile.architecture.is_empty() => {
            let own = &profile.architecture;
            Err(Failure::new(
                ReasonCode::SpecInvalid,
                format!("安装文件 {file_name} 适用于 {named}，而基础镜像的架构是 {own}。"),
                format!(
                    "The installer {file_name} is for {named}, but the base image is for {own}."
                ),
            )
            .with_hint(
                "请选择与基础镜像架构相符的安装文件。",
                "Choose an installer for the base image's architecture.",
            )
            .with_culprit(file_name))
        }
        _ => Ok(()),
    }
}

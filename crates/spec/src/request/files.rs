//! The rules for files of the catalog that a request names: package mirrors, Python archives, conda
//! installers.

use crate::{
    catalog::{MirrorFile, MirrorKind, ToolFile, ToolKind},
    failure::Sentence,
    image_spec::PackageManager,
    names::{NameError, parse_file_name},
};

const PYTHON_ARCHIVES: [&str; 3] = [".tgz", ".tar.gz", ".tar.xz"];
const CONDA_INSTALLERS: [&str; 3] = ["Miniconda3-", "Anaconda3-", "Miniforge3-"];
const APT_SOURCES: [&str; 2] = [".list", ".sources"];
const YUM_SOURCES: [&str; 1] = [".repo"];

/// Which half of a mirror's name a rule refuses.
#[derive(Debug)]
pub(super) enum MirrorRefused {
    Group(NameError),
    FileName(NameError),
}

impl MirrorRefused {
    /// The refusal, where both halves are one text.
    pub(super) fn into_inner(self) -> NameError {
        match self {
            Self::Group(error) | Self::FileName(error) => error,
        }
    }
}

/// A mirror file of the group; `kind` tells what it is for from its name.
pub(super) fn mirror(
    group: &str,
    file_name: &str,
    kind: impl FnOnce(&str) -> Result<MirrorKind, NameError>,
) -> Result<MirrorFile, MirrorRefused> {
    let group = parse_file_name(group).map_err(MirrorRefused::Group)?;
    let file_name = parse_file_name(file_name).map_err(MirrorRefused::FileName)?;
    Ok(MirrorFile {
        kind: kind(&file_name).map_err(MirrorRefused::FileName)?,
        group,
        file_name,
    })
}

/// What a mirror of the system's packages is for: what `manager` says, else what its name says.
pub(super) fn system_mirror_kind(
    manager: Option<PackageManager>,
    file_name: &str,
) -> Result<MirrorKind, NameError> {
    match manager {
        Some(PackageManager::Apt) => Ok(MirrorKind::Apt),
        Some(PackageManager::Yum) => Ok(MirrorKind::Yum),
        None if ends_with_any(file_name, &APT_SOURCES) => Ok(MirrorKind::Apt),
        None if ends_with_any(file_name, &YUM_SOURCES) => Ok(MirrorKind::Yum),
        None => Err(NameError::new(
            "在未指明包管理器时应以 .list、.sources（apt）或 .repo（yum）结尾",
            "must end in .list or .sources (apt) or .repo (yum) as long as no package manager is \
             named",
        )),
    }
}

/// A Python source or prebuilt archive.
pub(super) fn python_archive(name: &str) -> Result<ToolFile, NameError> {
    tool(
        ToolKind::Python,
        name,
        |name| ends_with_any(name, &PYTHON_ARCHIVES),
        || {
            Sentence::new(
                "应为 Python 源码包或预编译包的文件名，以 .tgz、.tar.gz 或 .tar.xz 结尾，例如 Python-3.8.10.tgz",
                "must be the name of a Python source or prebuilt archive that ends in .tgz, \
                 .tar.gz or .tar.xz, such as Python-3.8.10.tgz",
            )
        },
    )
}

/// An installer of conda.
pub(super) fn conda_installer(name: &str) -> Result<ToolFile, NameError> {
    tool(
        ToolKind::Conda,
        name,
        |name| {
            ends_with_any(name, &[".sh"])
                && CONDA_INSTALLERS.iter().any(|start| name.starts_with(start))
        },
        || {
            Sentence::new(
                "应为 Miniconda3-*.sh、Anaconda3-*.sh 或 Miniforge3-*.sh 的文件名",
                "must be the name of a Miniconda3-*.sh, Anaconda3-*.sh or Miniforge3-*.sh",
            )
        },
    )
}

fn tool(
    kind: ToolKind,
    name: &str,
    fits: impl FnOnce(&str) -> bool,
    allowed: impl FnOnce() -> Sentence,
) -> Result<ToolFile, NameError> {
    parse_file_name(name)
        .ok()
        .filter(|name| fits(name))
        .map(|file_name| ToolFile { kind, file_name })
        .ok_or_else(|| NameError { allowed: allowed() })
}

fn ends_with_any(name: &str, ends: &[&str]) -> bool {
    ends.iter().any(|end| name.ends_with(end))
}

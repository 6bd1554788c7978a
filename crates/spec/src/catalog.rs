//! The catalog: package mirror files and tool files that an operator has put on disk.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// Which installer a mirror file is for; also its folder's name under `source_dir`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    Display,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MirrorKind {
    /// `sources.list` or deb822 `.sources` files.
    Apt,
    /// `.repo` files.
    Yum,
    /// `pip.conf` files.
    Pip,
    /// `.condarc` files.
    Conda,
}

/// A mirror file: `<source_dir>/<kind>/<group>/<file_name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MirrorFile {
    /// The installer it is for.
    pub kind: MirrorKind,
    /// The folder that groups it, the old protocol's `source.type`, for example `ali`.
    pub group: String,
    /// The file's name, for example `ubuntu-18.04.list`.
    pub file_name: String,
}

/// Which folder under `tools_dir` an installer file lies in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, EnumIter,
)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// Python source or prebuilt archives, `python/`.
    Python,
    /// `get-pip.py` for Python 2, `pip/pip2/`.
    Pip2,
    /// `get-pip.py` for Python 3, `pip/pip3/`.
    Pip3,
    /// Miniconda or Anaconda installers, `conda/`.
    Conda,
    /// The program `uv`, which installs pip's packages faster, `uv/`.
    Uv,
    /// The program `micromamba`, which installs conda's packages faster, `micromamba/`.
    Micromamba,
}

impl ToolKind {
    /// Its folder relative to `tools_dir`.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Pip2 => "pip/pip2",
            Self::Pip3 => "pip/pip3",
            Self::Conda => "conda",
            Self::Uv => "uv",
            Self::Micromamba => "micromamba",
        }
    }
}

/// An installer file: `<tools_dir>/<folder>/<file_name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ToolFile {
    /// What it installs.
    pub kind: ToolKind,
    /// The file's name, for example `Python-3.8.10.tgz`.
    pub file_name: String,
}

/// A listing of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalog {
    /// Every mirror file, sorted.
    pub mirrors: Vec<MirrorFile>,
    /// Every tool file, sorted.
    pub tools: Vec<ToolFile>,
}

impl Catalog {
    /// The tool of a kind that is a single program, named like its folder.
    pub fn program(&self, kind: ToolKind) -> Option<ToolFile> {
        let file = ToolFile {
            kind,
            file_name: kind.folder().to_owned(),
        };
        self.tools.contains(&file).then_some(file)
    }
}

//! Where an upload's files go, and which names may go there.

use std::path::PathBuf;

use fastbuild_spec::{
    catalog::{MirrorKind, ToolKind},
    failure::{Failure, FieldError, Sentence},
    names::parse_file_name,
};
use strum::EnumString;

use super::Upload;
use crate::options::Folders;

/// Far more than the longest list of mirrors needs.
pub(super) const MIRROR_LIMIT: u64 = 1 << 20;

/// What kind of file is uploaded, the old protocol's `file_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum FileType {
    /// A mirror file.
    Source,
    /// A Python, as source or prebuilt.
    Python,
    /// `get-pip.py`.
    Pip,
    /// An installer of conda.
    Conda,
}

/// Where the files of an upload go, and which names may go there.
#[derive(Debug, Clone)]
pub struct UploadPlace {
    pub(super) folder: PathBuf,
    /// The folder of the configuration above it; it is never made here.
    pub(super) root: PathBuf,
    pub(super) kind: Kind,
    pub(super) size_limit: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Mirror(MirrorKind),
    Python,
    Pip,
    Conda,
}

/// Where files of this type go.
pub(crate) fn find(
    folders: &Folders,
    size_limit: u64,
    file_type: FileType,
    installer: Option<&str>,
    group: Option<&str>,
) -> Result<UploadPlace, Failure> {
    let installer = installer.filter(|text| !text.is_empty());
    let group = group.filter(|text| !text.is_empty());
    let tool = |tool: ToolKind, kind: Kind| UploadPlace {
        folder: folders.tools_dir.join(tool.folder()),
        root: folders.tools_dir.clone(),
        kind,
        size_limit,
    };
    match file_type {
        FileType::Source => mirror_place(folders, size_limit, installer, group),
        FileType::Python => Ok(tool(ToolKind::Python, Kind::Python)),
        FileType::Conda => Ok(tool(ToolKind::Conda, Kind::Conda)),
        FileType::Pip => match group.unwrap_or("pip3") {
            "pip3" => Ok(tool(ToolKind::Pip3, Kind::Pip)),
            "pip2" => Ok(tool(ToolKind::Pip2, Kind::Pip)),
            other => Err(Failure::invalid_fields(&[FieldError::new(
                "type",
                other,
                Sentence::new("应为 pip3 或 pip2", "must be pip3 or pip2"),
            )])),
        },
    }
}

impl FileType {
    /// Reads the protocol's word.
    ///
    /// # Errors
    /// `SpecInvalid` that names the words there are.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        text.parse().map_err(|_error| {
            let allowed = Sentence::new(
                "应为 source、python、pip 或 conda",
                "must be source, python, pip or conda",
            );
            Failure::invalid_fields(&[FieldError::new("file_type", text, allowed)])
        })
    }
}

fn mirror_place(
    folders: &Folders,
    size_limit: u64,
    installer: Option<&str>,
    group: Option<&str>,
) -> Result<UploadPlace, Failure> {
    let mut mistakes = Vec::new();
    let kind = installer.and_then(|text| text.parse::<MirrorKind>().ok());
    if kind.is_none() {
        let allowed = Sentence::new(
            "应为 apt、yum、pip 或 conda（file_type 为 source 时必填）",
            "must be apt, yum, pip or conda where file_type is source",
        );
        mistakes.push(match installer {
            Some(text) => FieldError::new("installer", text, allowed),
            None => FieldError::without_value("installer", allowed),
        });
    }
    let group = match group.map(parse_file_name) {
        Some(Ok(name)) if !name.starts_with('.') => Some(name),
        _ => {
            let allowed = Sentence::new(
                "应为镜像源分组的目录名，例如 ali（file_type 为 source 时必填）",
                "must be the name of the mirrors' group, such as ali, where file_type is source",
            );
            mistakes.push(match group {
                Some(text) => FieldError::new("type", text, allowed),
                None => FieldError::without_value("type", allowed),
            });
            None
        }
    };
    match (kind, group) {
        (Some(kind), Some(group)) if mistakes.is_empty() => Ok(UploadPlace {
            folder: folders.source_dir.join(kind.to_string()).join(group),
            root: folders.source_dir.clone(),
            kind: Kind::Mirror(kind),
            size_limit: size_limit.min(MIRROR_LIMIT),
        }),
        _ => Err(Failure::invalid_fields(&mistakes)),
    }
}

impl UploadPlace {
    /// Bytes that all files of one upload to this place may have together.
    pub fn size_limit(&self) -> u64 {
        self.size_limit
    }

    /// Begins an upload of files to this place.
    pub fn begin(self) -> Upload {
        Upload {
            left: self.size_limit,
            place: self,
            arrived: Vec::new(),
        }
    }
}

impl Kind {
    /// Whether a file of this name may go there.
    pub(super) fn takes(self, name: &str) -> bool {
        let ends = |endings: &[&str]| {
            endings
                .iter()
                .any(|ending| name.len() > ending.len() && name.ends_with(ending))
        };
        let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        match self {
            Self::Mirror(MirrorKind::Apt) => ends(&[".list", ".sources"]) && !name.starts_with('.'),
            Self::Mirror(MirrorKind::Yum) => ends(&[".repo"]) && !name.starts_with('.'),
            Self::Mirror(MirrorKind::Pip) => name == "pip.conf",
            Self::Mirror(MirrorKind::Conda) => name == ".condarc",
            Self::Python => {
                (begins(&["Python-"]) && ends(&[".tgz", ".tar.gz", ".tar.xz"]))
                    || (name.contains("-install_only")
                        && ends(&[".tar.gz"])
                        && !name.starts_with('.'))
            }
            Self::Pip => name == "get-pip.py",
            Self::Conda => begins(&["Miniconda3-", "Anaconda3-", "Miniforge3-"]) && ends(&[".sh"]),
        }
    }

    /// Which names may.
    pub(super) fn expected(self) -> Sentence {
        let names = match self {
            Self::Mirror(MirrorKind::Apt) => "*.list, *.sources",
            Self::Mirror(MirrorKind::Yum) => "*.repo",
            Self::Mirror(MirrorKind::Pip) => "pip.conf",
            Self::Mirror(MirrorKind::Conda) => ".condarc",
            Self::Python => {
                "Python-*.tgz, Python-*.tar.xz, Python-*.tar.gz, *-install_only*.tar.gz"
            }
            Self::Pip => "get-pip.py",
            Self::Conda => "Miniconda3-*.sh, Anaconda3-*.sh, Miniforge3-*.sh",
        };
        Sentence::new(
            format!("应为名为 {names} 的文件，不含路径"),
            format!("must be a file named {names}, without a path"),
        )
    }
}

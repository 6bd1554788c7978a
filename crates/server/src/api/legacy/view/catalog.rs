//! The catalog as the old protocol lists it.

use fastbuild_builder::catalog::upload::UploadedFile;
use fastbuild_spec::catalog::{Catalog, MirrorKind, ToolKind};
use serde::Serialize;
use utoipa::ToSchema;

/// The mirror files, by the installer they are for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceList {
    source_list: Mirrors,
}

#[derive(Debug, Serialize, ToSchema)]
struct Mirrors {
    /// For apt.
    apt: Vec<MirrorGroup>,
    /// For yum.
    yum: Vec<MirrorGroup>,
    /// For pip.
    pip: Vec<MirrorGroup>,
    /// For conda.
    conda: Vec<MirrorGroup>,
}

#[derive(Debug, Serialize, ToSchema)]
struct MirrorGroup {
    /// The group's name, `source.type` of a build request.
    #[serde(rename = "type")]
    #[schema(example = "ali")]
    group: String,
    /// Its files' names, `source.file_name` of a build request.
    #[schema(example = json!(["ubuntu-18.04.list"]))]
    name: Vec<String>,
}

/// The installers, by what they install.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SoftwareList {
    software_list: Software,
}

#[derive(Debug, Serialize, ToSchema)]
struct Software {
    /// Pythons.
    #[schema(example = json!(["Python-3.8.10.tgz"]))]
    python: Vec<String>,
    /// `get-pip.py`, where there is one.
    #[schema(example = json!(["get-pip.py"]))]
    pip: Vec<String>,
    /// Installers of conda.
    #[schema(example = json!(["Miniconda3-py39_4.9.2-Linux-x86_64.sh"]))]
    conda: Vec<String>,
}

/// Files that are in the catalog now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Uploaded {
    /// Their names.
    #[serde(rename = "complete upload filenames")]
    #[schema(example = json!(["Python-3.8.10.tgz"]))]
    names: Vec<String>,
    /// The same files with what became of them.
    files: Vec<StoredFile>,
}

#[derive(Debug, Serialize, ToSchema)]
struct StoredFile {
    /// The file's name.
    name: String,
    /// SHA-256 of its content, hexadecimal.
    sha256: String,
    /// Its size in bytes.
    size: u64,
    /// Whether it took the place of another of that name.
    replaced: bool,
}

impl From<Catalog> for SourceList {
    fn from(catalog: Catalog) -> Self {
        let mut source_list = Mirrors {
            apt: Vec::new(),
            yum: Vec::new(),
            pip: Vec::new(),
            conda: Vec::new(),
        };
        // Sorted, so the files of a group follow each other.
        for file in catalog.mirrors {
            let groups = match file.kind {
                MirrorKind::Apt => &mut source_list.apt,
                MirrorKind::Yum => &mut source_list.yum,
                MirrorKind::Pip => &mut source_list.pip,
                MirrorKind::Conda => &mut source_list.conda,
            };
            match groups.last_mut() {
                Some(last) if last.group == file.group => last.name.push(file.file_name),
                _ => groups.push(MirrorGroup {
                    group: file.group,
                    name: vec![file.file_name],
                }),
            }
        }
        Self { source_list }
    }
}

impl From<Catalog> for SoftwareList {
    fn from(catalog: Catalog) -> Self {
        let mut software_list = Software {
            python: Vec::new(),
            pip: Vec::new(),
            conda: Vec::new(),
        };
        for file in catalog.tools {
            let names = match file.kind {
                ToolKind::Python => &mut software_list.python,
                ToolKind::Pip2 | ToolKind::Pip3 => &mut software_list.pip,
                ToolKind::Conda => &mut software_list.conda,
                // EmptyObject to choose: where these are, they install whatever pip and conda would.
                ToolKind::Uv | ToolKind::Micromamba => continue,
            };
            // The two Pythons' `get-pip.py` is one choice to a caller.
            if !names.contains(&file.file_name) {
                names.push(file.file_name);
            }
        }
        Self { software_list }
    }
}

impl From<Vec<UploadedFile>> for Uploaded {
    fn from(files: Vec<UploadedFile>) -> Self {
        Self {
            names: files.iter().map(|file| file.name.clone()).collect(),
            files: files
                .into_iter()
                .map(|file| StoredFile {
                    name: file.name,
                    sha256: file.sha256,
                    size: file.size,
                    replaced: file.replaced,
                })
                .collect(),
        }
    }
}

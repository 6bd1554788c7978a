//! The catalog: mirrors and tools as they lie on disk at the moment of asking.

use std::{io, path::Path, path::PathBuf};

use fastbuild_spec::{
    catalog::{Catalog, MirrorFile, MirrorKind, ToolFile, ToolKind},
    failure::{Failure, ReasonCode},
    plan::ContextSource,
};
use tokio::fs;

use crate::{options::Folders, upload};

const MIRROR_KINDS: [MirrorKind; 4] = [
    MirrorKind::Apt,
    MirrorKind::Yum,
    MirrorKind::Pip,
    MirrorKind::Conda,
];

const TOOL_KINDS: [ToolKind; 6] = [
    ToolKind::Python,
    ToolKind::Pip2,
    ToolKind::Pip3,
    ToolKind::Conda,
    ToolKind::Uv,
    ToolKind::Micromamba,
];

/// Lists the mirrors and tools that exist right now. A folder that is not there is empty.
///
/// # Errors
/// `Internal` naming the folder that cannot be read.
pub(crate) async fn read(folders: &Folders) -> Result<Catalog, Failure> {
    let mut catalog = Catalog::default();
    for kind in MIRROR_KINDS {
        let root = folders.source_dir.join(kind.to_string());
        for group in names(&root, Wanted::Folders).await? {
            for file_name in names(&root.join(&group), Wanted::Files).await? {
                catalog.mirrors.push(MirrorFile {
                    kind,
                    group: group.clone(),
                    file_name,
                });
            }
        }
    }
    for kind in TOOL_KINDS {
        let root = folders.tools_dir.join(kind.folder());
        for file_name in names(&root, Wanted::Files).await? {
            catalog.tools.push(ToolFile { kind, file_name });
        }
    }
    Ok(catalog)
}

/// Where a file of the catalog lies; `None` for text of ours.
pub(crate) fn locate(folders: &Folders, source: &ContextSource) -> Option<PathBuf> {
    match source {
        ContextSource::Inline(_) => None,
        ContextSource::Mirror(file) => Some(
            folders
                .source_dir
                .join(file.kind.to_string())
                .join(&file.group)
                .join(&file.file_name),
        ),
        ContextSource::Tool(file) => Some(
            folders
                .tools_dir
                .join(file.kind.folder())
                .join(&file.file_name),
        ),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Folders,
    Files,
}

/// The sorted names in a folder; links are followed, names that are not UTF-8 left out.
async fn names(folder: &Path, wanted: Wanted) -> Result<Vec<String>, Failure> {
    let unreadable = |error: io::Error| unreadable(folder, &error);
    let mut entries = match fs::read_dir(folder).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut names = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(unreadable)? {
        // An entry that vanished between listing and asking is simply not there any more.
        let Ok(metadata) = fs::metadata(entry.path()).await else {
            continue;
        };
        let fits = match wanted {
            Wanted::Folders => metadata.is_dir(),
            Wanted::Files => metadata.is_file(),
        };
        if fits
            && let Ok(name) = entry.file_name().into_string()
            && !upload::is_arriving(&name)
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn unreadable(folder: &Path, error: &io::Error) -> Failure {
    Failure::new(
        ReasonCode::Internal,
        format!("无法读取目录 {}：{error}。", folder.display()),
        format!("The folder {} cannot be read: {error}.", folder.display()),
    )
    .blaming(folder.display().to_string())
    .hinting(
        "请管理员检查该目录的权限。",
        "Ask the operator to check the folder's permissions.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lists_what_lies_on_disk_now() {
        let base = tempfile::tempdir().unwrap();
        let folders = Folders {
            source_dir: base.path().join("source"),
            tools_dir: base.path().join("tools"),
            task_dir: base.path().join("task"),
        };
        assert_eq!(read(&folders).await.unwrap(), Catalog::default());

        for path in [
            "source/apt/ali/ubuntu-18.04.list",
            "source/conda/ali/.condarc",
            "source/apt/loose-file",
            "tools/python/Python-3.8.10.tgz",
            "tools/pip/pip3/get-pip.py",
        ] {
            let path = base.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let catalog = read(&folders).await.unwrap();
        let mirrors: Vec<String> = catalog
            .mirrors
            .iter()
            .map(|file| format!("{}/{}/{}", file.kind, file.group, file.file_name))
            .collect();
        assert_eq!(mirrors, ["apt/ali/ubuntu-18.04.list", "conda/ali/.condarc"]);
        let tools: Vec<String> = catalog
            .tools
            .iter()
            .map(|file| format!("{}/{}", file.kind.folder(), file.file_name))
            .collect();
        assert_eq!(tools, ["python/Python-3.8.10.tgz", "pip/pip3/get-pip.py"]);
        for source in catalog.mirrors.into_iter().map(ContextSource::Mirror) {
            assert!(locate(&folders, &source).unwrap().is_file());
        }
        for source in catalog.tools.into_iter().map(ContextSource::Tool) {
            assert!(locate(&folders, &source).unwrap().is_file());
        }
    }
}

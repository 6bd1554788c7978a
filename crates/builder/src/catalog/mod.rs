//! The catalog: package mirrors and tool files as they lie on disk.
//!
//! The two folders are read whenever somebody asks. That takes 0.2 ms for 200 files, and a file
//! that was copied there by hand counts at once.

mod content;
pub mod upload;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use fastbuild_engine::FileSource;
use fastbuild_spec::{
    catalog::{Catalog, MirrorFile, MirrorKind, ToolFile, ToolKind},
    failure::{Failure, ReasonCode},
    plan::ContextSource,
};
use sha2::{Sha256, digest::Output};
use strum::IntoEnumIterator as _;
use tokio::task::spawn_blocking;

use self::{
    content::Contents,
    upload::{FileType, UploadPlace},
};
use crate::{
    clock::SharedClock,
    common::internal,
    options::{Folders, Options},
};

/// The package mirrors and tool files of this installation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CatalogStore {
    folders: Folders,
    upload_bytes: u64,
    contents: Arc<Contents>,
}

impl CatalogStore {
    pub(crate) fn new(options: &Options, clock: SharedClock) -> Self {
        Self {
            folders: options.folders.clone(),
            upload_bytes: options.limits.upload_bytes,
            contents: Arc::new(Contents::new(clock)),
        }
    }

    /// The mirrors and tools on disk right now. A folder that does not exist is empty.
    ///
    /// # Errors
    /// [`ReasonCode::Internal`] when a folder cannot be read; the sentence names it.
    pub async fn list(&self) -> Result<Catalog, Failure> {
        let folders = self.folders.clone();
        blocking(move || list(&folders)).await
    }

    /// Where files of this type go. `installer` and `group` are for mirrors; for `get-pip.py` the
    /// group may be `pip2` or `pip3`, which it is unless given.
    ///
    /// # Errors
    /// `SpecInvalid` with every parameter that is missing or wrong.
    pub fn upload_place(
        &self,
        file_type: FileType,
        installer: Option<&str>,
        group: Option<&str>,
    ) -> Result<UploadPlace, Failure> {
        upload::find_place(
            &self.folders,
            self.upload_bytes,
            file_type,
            installer,
            group,
        )
    }

    /// Removes the temporary files of uploads whose process died. An upload that another process
    /// is receiving right now is left alone.
    pub async fn sweep_uploads(&self) {
        let folders = self.folders.clone();
        let swept = spawn_blocking(move || upload::sweep(&folders)).await;
        if let Err(error) = swept {
            tracing::error!(%error, "failed to sweep abandoned uploads");
        }
    }

    /// What an engine is sent for a file of a plan. Blocks.
    ///
    /// # Errors
    /// [`ReasonCode::Internal`] naming the file that cannot be read.
    pub(crate) fn context_file(&self, source: &ContextSource) -> Result<FileSource, Failure> {
        match source {
            ContextSource::Inline(text) => Ok(FileSource::Memory(text.clone().into())),
            ContextSource::Mirror(file) => self.read(mirror_path(&self.folders, file)),
            ContextSource::Tool(file) => self.read(tool_path(&self.folders, file)),
        }
    }

    /// What stands for the content of a file of a plan in the plan's key; `None` for one that cannot
    /// be read. Blocks.
    pub(crate) fn content_key(&self, source: &ContextSource) -> Option<String> {
        match self.context_file(source) {
            Ok(file) => Some(format!("{:x}", Output::<Sha256>::from(file.digest()))),
            Err(failure) => {
                tracing::warn!(%failure, "failed to read a catalog file");
                None
            }
        }
    }

    fn read(&self, path: PathBuf) -> Result<FileSource, Failure> {
        let shown = path.clone();
        self.contents
            .read(path)
            .map_err(|error| file_unreadable(&shown, &error))
    }
}

fn mirror_path(folders: &Folders, file: &MirrorFile) -> PathBuf {
    folders
        .source_dir
        .join(file.kind.to_string())
        .join(&file.group)
        .join(&file.file_name)
}

fn tool_path(folders: &Folders, file: &ToolFile) -> PathBuf {
    folders
        .tools_dir
        .join(file.kind.folder())
        .join(&file.file_name)
}

fn list(folders: &Folders) -> Result<Catalog, Failure> {
    let mut catalog = Catalog::default();
    for kind in MirrorKind::iter() {
        let root = folders.source_dir.join(kind.to_string());
        for group in names(&root, Wanted::Folders)? {
            for file_name in names(&root.join(&group), Wanted::Files)? {
                catalog.mirrors.push(MirrorFile {
                    kind,
                    group: group.clone(),
                    file_name,
                });
            }
        }
    }
    for kind in ToolKind::iter() {
        for file_name in names(&folders.tools_dir.join(kind.folder()), Wanted::Files)? {
            catalog.tools.push(ToolFile { kind, file_name });
        }
    }
    Ok(catalog)
}

#[derive(Clone, Copy)]
enum Wanted {
    Folders,
    Files,
}

/// The sorted names in a folder; links are followed, names that are not UTF-8 left out.
fn names(folder: &Path, wanted: Wanted) -> Result<Vec<String>, Failure> {
    let unreadable = |error: io::Error| folder_unreadable(folder, &error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let mut kind = entry.file_type().map_err(unreadable)?;
        if kind.is_symlink() {
            // It may lead nowhere, for now.
            let Ok(target) = fs::metadata(entry.path()) else {
                continue;
            };
            kind = target.file_type();
        }
        let fits = match wanted {
            Wanted::Folders => kind.is_dir(),
            Wanted::Files => kind.is_file(),
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

/// Runs work that blocks on the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(internal(&error)))
}

fn folder_unreadable(folder: &Path, error: &io::Error) -> Failure {
    Failure::new(
        ReasonCode::Internal,
        format!("无法读取目录 {}：{error}。", folder.display()),
        format!("The folder {} cannot be read: {error}.", folder.display()),
    )
    .with_culprit(folder.display().to_string())
    .with_hint(
        "请管理员检查该目录的权限。",
        "Ask the operator to check the folder's permissions.",
    )
}

fn file_unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        ReasonCode::Internal,
        format!("无法读取文件 {}：{error}。", path.display()),
        format!("The file {} cannot be read: {error}.", path.display()),
    )
    .with_culprit(path.display().to_string())
    .with_hint(
        "请管理员检查该文件是否存在及其权限。",
        "Ask the operator to check that the file exists and who may read it.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_what_is_on_disk_now() {
        let base = tempfile::tempdir().unwrap();
        let folders = Folders {
            source_dir: base.path().join("source"),
            tools_dir: base.path().join("tools"),
            task_dir: base.path().join("task"),
        };
        assert_eq!(list(&folders).unwrap(), Catalog::default());

        for path in [
            "source/apt/ali/ubuntu-18.04.list",
            "source/apt/ali/.upload-x.part",
            "source/conda/ali/.condarc",
            "source/apt/loose-file",
            "tools/python/Python-3.8.10.tgz",
            "tools/pip/pip3/get-pip.py",
        ] {
            let path = base.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let shown = || {
            let catalog = list(&folders).unwrap();
            let mirrors = catalog
                .mirrors
                .iter()
                .inspect(|file| assert!(mirror_path(&folders, file).is_file()))
                .map(|file| format!("{}/{}/{}", file.kind, file.group, file.file_name));
            let tools = catalog
                .tools
                .iter()
                .inspect(|file| assert!(tool_path(&folders, file).is_file()))
                .map(|file| format!("{}/{}", file.kind.folder(), file.file_name));
            mirrors.chain(tools).collect::<Vec<_>>()
        };
        let first = [
            "apt/ali/ubuntu-18.04.list",
            "conda/ali/.condarc",
            "python/Python-3.8.10.tgz",
            "pip/pip3/get-pip.py",
        ];
        assert_eq!(shown(), first);

        // What a link leads to may come later.
        let target = base.path().join("mounted-later");
        let link = base.path().join("tools/conda");
        fs::create_dir(&link).unwrap();
        std::os::unix::fs::symlink(&target, link.join("Miniconda3-a.sh")).unwrap();
        assert_eq!(shown(), first);
        fs::write(target, "").unwrap();
        assert_eq!(shown()[4], "conda/Miniconda3-a.sh");
    }
}

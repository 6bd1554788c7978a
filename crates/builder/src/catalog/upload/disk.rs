//! How an upload's files get onto the disk and into place, and what becomes of those that never do.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use fastbuild_spec::failure::{Failure, ReasonCode};
use tempfile::NamedTempFile;

use super::{
    Arrived, Upload, UploadPlace, UploadedFile,
    undo::{self, Undo},
};
use crate::options::Folders;

/// What the name of a file that is still arriving begins and ends with; no listing shows it.
const PREFIX: &str = ".upload-";
const SUFFIX: &str = ".part";
/// How deep below a root of the catalog its files lie.
const DEPTH: usize = 3;

/// Opens a file that vanishes with its handle, in the folder or the nearest one above it that is
/// there, so that the move into place stays within one file system.
pub(super) fn open(place: &UploadPlace) -> Result<(NamedTempFile, File), Failure> {
    let folder = place
        .folder
        .ancestors()
        .take_while(|folder| folder.starts_with(&place.root))
        .find(|folder| folder.is_dir())
        .unwrap_or(&place.root);
    let opened = || loop {
        let file = temporary_in(folder)?;
        // The lock tells a sweep in another process that this one is still alive.
        file.as_file().lock()?;
        // A sweep may have come between the file and its lock.
        if file.as_file().metadata()?.nlink() > 0 {
            let writer = file.as_file().try_clone()?;
            return Ok((file, writer));
        }
    };
    opened().map_err(|error| unwritable(folder, &error))
}

/// A new file of the catalog under a name that no listing shows; it is gone when dropped.
///
/// # Errors
/// What the operating system says when nothing can be made in the folder.
pub fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .suffix(SUFFIX)
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)
}

/// Moves the files of an upload to where they belong: all of them, or none.
pub(super) fn install(upload: Upload) -> Result<Vec<UploadedFile>, Failure> {
    let folder = upload.place.folder;
    let arrived = upload.arrived;
    let moved = || -> io::Result<Vec<UploadedFile>> {
        let made = !folder.is_dir();
        fs::create_dir_all(&folder)?;
        if made && let Some(parent) = folder.parent() {
            File::open(parent)?.sync_all()?;
        }
        let files = arrived.iter().map(|file| (file.name.as_str(), &file.file));
        let undo = Undo::begin(&folder, files)?;
        let mut uploaded = Vec::new();
        for file in arrived {
            match put(&folder, file) {
                Ok(file) => uploaded.push(file),
                Err(error) => {
                    undo.roll_back()?;
                    return Err(error);
                }
            }
        }
        undo.done()?;
        Ok(uploaded)
    };
    moved().map_err(|error| unwritable(&folder, &error))
}

/// Moves one file into place.
pub(super) fn put(folder: &Path, arrived: Arrived) -> io::Result<UploadedFile> {
    let target = folder.join(&arrived.name);
    let replaced = target.exists();
    arrived.file.persist(&target).map_err(|error| error.error)?;
    Ok(UploadedFile {
        name: arrived.name,
        sha256: arrived.sha256,
        size: arrived.size,
        replaced,
    })
}

/// Whether a file of the catalog's folders belongs to an upload that is under way.
pub(crate) fn is_arriving(name: &str) -> bool {
    name == undo::LIST || is_named(name, SUFFIX) || is_named(name, undo::KEPT_SUFFIX)
}

fn is_named(name: &str, suffix: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(suffix)
}

/// Removes what uploads left whose process died.
pub(super) fn sweep(folders: &Folders) {
    for root in [&folders.source_dir, &folders.tools_dir] {
        sweep_folder(root, DEPTH);
    }
}

fn sweep_folder(folder: &Path, depth: usize) {
    match undo::recover(folder) {
        Ok(true) => {
            tracing::info!(folder = %folder.display(), "took back an upload that was half way in place");
        }
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "an upload that was half way in place cannot be taken back");
        }
    }
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let named = |suffix| name.to_str().is_some_and(|name| is_named(name, suffix));
        let removed = if named(SUFFIX) && path.is_file() {
            remove_abandoned(&path)
        } else if named(undo::KEPT_SUFFIX) {
            remove_needless(folder, &path)
        } else {
            if depth > 0 && path.is_dir() {
                sweep_folder(&path, depth - 1);
            }
            Ok(false)
        };
        match removed {
            Ok(true) => {
                tracing::info!(file = %path.display(), "removed what an upload left behind");
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "what an upload left behind cannot be removed");
            }
        }
    }
}

/// Removes the second name of a replaced file, unless a list that could need it is there; whether
/// it did.
fn remove_needless(folder: &Path, path: &Path) -> io::Result<bool> {
    if folder.join(undo::LIST).exists() {
        return Ok(false);
    }
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes the file unless the process that writes it is alive; whether it did.
fn remove_abandoned(path: &Path) -> io::Result<bool> {
    // Opened for writing, which some network file systems ask of who wants the lock.
    let file = File::options().write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => fs::remove_file(path).map(|()| true),
        Err(fs::TryLockError::WouldBlock) => Ok(false),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// The failure of a folder that cannot be written to.
pub(super) fn unwritable(folder: &Path, error: &io::Error) -> Failure {
    tracing::error!(folder = %folder.display(), %error, "an upload cannot be written");
    Failure::new(
        ReasonCode::Internal,
        format!("无法将上传的文件写入目录 {}：{error}。", folder.display()),
        format!(
            "The upload cannot be written to the folder {}: {error}.",
            folder.display()
        ),
    )
    .with_culprit(folder.display().to_string())
    .with_hint(
        "请管理员检查该目录的权限和磁盘空间。",
        "Ask the operator to check the folder's permissions and its disk's free space.",
    )
}

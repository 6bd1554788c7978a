//! Writes an upload's files to the disk, renames them into place, and removes abandoned ones.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use fastbuild_spec::failure::{Failure, ReasonCode};
use tempfile::NamedTempFile;

use super::{Arrived, Upload, UploadPlace, UploadedFile};
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

/// Renames the files of an upload into place. The first that cannot be ends it; those before it
/// stay.
pub(super) fn install(upload: Upload) -> Result<Vec<UploadedFile>, Failure> {
    let folder = upload.place.folder;
    let moved = || -> io::Result<Vec<UploadedFile>> {
        let made = !folder.is_dir();
        fs::create_dir_all(&folder)?;
        if made && let Some(parent) = folder.parent() {
            File::open(parent)?.sync_all()?;
        }
        let moves = upload.arrived.into_iter().map(|file| put(&folder, file));
        let uploaded = moves.collect::<io::Result<_>>()?;
        // The renames are on disk before the caller is told.
        File::open(&folder)?.sync_all()?;
        Ok(uploaded)
    };
    moved().map_err(|error| unwritable(&folder, &error))
}

/// Moves one file into place.
fn put(folder: &Path, arrived: Arrived) -> io::Result<UploadedFile> {
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
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// Removes what uploads left whose process died.
pub(crate) fn sweep(folders: &Folders) {
    for root in [&folders.source_dir, &folders.tools_dir] {
        sweep_folder(root, DEPTH);
    }
}

fn sweep_folder(folder: &Path, depth: usize) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if depth > 0 {
                sweep_folder(&path, depth - 1);
            }
            continue;
        }
        if !entry.file_name().to_str().is_some_and(is_arriving) {
            continue;
        }
        match remove_abandoned(&path) {
            Ok(true) => {
                tracing::info!(file = %path.display(), "removed an abandoned upload");
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "failed to remove an abandoned upload");
            }
        }
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

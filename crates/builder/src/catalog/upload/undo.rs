//! Moving several files of one upload into place so that all are there or none, also over a crash
//! half way.
//!
//! Before the first move, what is there is kept under a second name, and a list of what to undo is
//! written into the folder and is on disk. Once all files are in place the list goes: that is the
//! moment from which they stay. Whoever finds a list that nobody holds a lock on takes back what it
//! names: a start, or the next upload to the folder. The list's lock also keeps uploads to one
//! folder apart.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

/// The list's name in its folder; no listing shows it.
pub(super) const LIST: &str = ".upload-undo";
/// What the second name of a replaced file begins and ends with.
const KEPT_PREFIX: &str = ".upload-";
pub(super) const KEPT_SUFFIX: &str = ".kept";

/// How one file is taken back.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    name: String,
    /// The new file, as the file system numbers it: a file of that name that is another was never
    /// moved there by us, or was replaced since, and stays.
    inode: u64,
    /// The second name of the file it replaces, where there is one.
    kept: Option<String>,
}

/// The right to move files into a folder, with what it takes to undo that. Dropped before
/// [`Undo::done`], the list stays for whoever comes next.
#[derive(Debug)]
pub(super) struct Undo {
    folder: PathBuf,
    list: File,
    entries: Vec<Entry>,
}

impl Undo {
    /// Waits until no other upload moves files into the folder, takes back what one left half done
    /// that is gone, and writes down what these moves will need. Nothing is moved yet.
    pub(super) fn begin<'a>(
        folder: &Path,
        files: impl Iterator<Item = (&'a str, &'a NamedTempFile)>,
    ) -> io::Result<Self> {
        let mut list = take_list(folder)?;
        roll_back(folder, &mut list)?;
        let mut entries = Vec::new();
        for (name, file) in files {
            let inode = file.as_file().metadata()?.ino();
            let kept = match keep(folder, name, inode) {
                Ok(kept) => kept,
                Err(error) => {
                    forget(folder, &entries);
                    fs::remove_file(folder.join(LIST)).ok();
                    return Err(error);
                }
            };
            entries.push(Entry {
                name: name.to_owned(),
                inode,
                kept,
            });
        }
        let text = serde_json::to_vec(&entries)?;
        list.rewind()?;
        list.write_all(&text)?;
        list.sync_all()?;
        // The list and the second names are on disk before anything moves.
        File::open(folder)?.sync_all()?;
        Ok(Self {
            folder: folder.to_owned(),
            list,
            entries,
        })
    }

    /// All files are in place and stay there.
    pub(super) fn done(self) -> io::Result<()> {
        // The moves are on disk before the list goes.
        let folder = File::open(&self.folder)?;
        folder.sync_all()?;
        fs::remove_file(self.folder.join(LIST))?;
        folder.sync_all()?;
        forget(&self.folder, &self.entries);
        Ok(())
    }

    /// Takes back what was moved.
    pub(super) fn roll_back(mut self) -> io::Result<()> {
        roll_back(&self.folder, &mut self.list)?;
        fs::remove_file(self.folder.join(LIST))
    }
}

/// Gives a file that is to be replaced a second name; the name, where there is such a file. The
/// number of the file that replaces it is in the name: the upload before, whose list is gone, may not
/// have removed its own second names yet.
fn keep(folder: &Path, name: &str, inode: u64) -> io::Result<Option<String>> {
    let target = folder.join(name);
    match fs::symlink_metadata(&target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        // No file takes a folder's place: the move will say so.
        Ok(metadata) if metadata.is_dir() => return Ok(None),
        Ok(_) => {}
    }
    let kept = format!("{KEPT_PREFIX}{inode}{KEPT_SUFFIX}");
    let path = folder.join(&kept);
    // Some network file systems have no second names.
    if fs::hard_link(&target, &path).is_err() {
        fs::copy(&target, &path)?;
        File::open(&path)?.sync_all()?;
    }
    Ok(Some(kept))
}

/// Opens the folder's list, made where there is none, and locks it.
fn take_list(folder: &Path) -> io::Result<File> {
    loop {
        let list = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(LIST))?;
        list.lock()?;
        // Whoever held the lock may have removed the list since it was opened.
        if list.metadata()?.nlink() > 0 {
            return Ok(list);
        }
    }
}

/// Takes back what a folder's list names whose process is gone, and removes the list; whether there
/// was one. The list of an upload that is alive is let be.
pub(super) fn recover(folder: &Path) -> io::Result<bool> {
    let path = folder.join(LIST);
    let mut list = match File::options().read(true).write(true).open(&path) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match list.try_lock() {
        Ok(()) if list.metadata()?.nlink() > 0 => {
            roll_back(folder, &mut list)?;
            fs::remove_file(path)?;
            Ok(true)
        }
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Takes back what a list names, as often as need be, and empties it.
fn roll_back(folder: &Path, list: &mut File) -> io::Result<()> {
    let mut text = String::new();
    list.rewind()?;
    list.read_to_string(&mut text)?;
    // Cut off while it was written: nothing was moved yet.
    let entries: Vec<Entry> = serde_json::from_str(&text).unwrap_or_default();
    for entry in &entries {
        let target = folder.join(&entry.name);
        let is_ours = match fs::symlink_metadata(&target) {
            Ok(metadata) => metadata.ino() == entry.inode,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        match &entry.kept {
            Some(kept) if is_ours => fs::rename(folder.join(kept), &target)?,
            None if is_ours => fs::remove_file(&target)?,
            _ => {}
        }
    }
    File::open(folder)?.sync_all()?;
    forget(folder, &entries);
    list.set_len(0)?;
    list.sync_all()
}

/// Removes second names that are not needed any more.
fn forget(folder: &Path, entries: &[Entry]) {
    for kept in entries.iter().filter_map(|entry| entry.kept.as_deref()) {
        let path = folder.join(kept);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %path.display(), %error, "the second name of a replaced file cannot be removed");
            }
            _ => {}
        }
    }
}

//! The content of catalog files, for engines and for the keys of plans. Content decides whether two
//! files are one; names, sizes and times do not.

use std::{
    collections::HashMap,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use fastbuild_engine::{DiskFile, FileSource};
use jiff::{SignedDuration, Timestamp};

use crate::clock::SharedClock;

/// Files up to this size are read each time they are used: package mirrors, `get-pip.py`.
const SMALL: u64 = 4 << 20;
/// File systems count a change's time in steps, the coarsest of two seconds: a file that changed
/// within one may change again without a new time.
const TIME_STEP: SignedDuration = SignedDuration::from_secs(2);

/// Reads catalog files; remembers the digests of large ones, an installer of 100 MB takes a good
/// part of a second to read.
#[derive(Debug)]
pub(super) struct Contents {
    clock: SharedClock,
    known: Mutex<HashMap<PathBuf, (Identity, DiskFile)>>,
}

/// What the file system says of a file. A process can set the time of modification, but not the
/// time of change (`ctime`); the number of the inode tells a file from one moved into its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the file can change at `now` only with another time of change.
    fn is_settled(&self, now: Timestamp) -> bool {
        let (seconds, nanoseconds) = self.changed;
        Timestamp::new(seconds, i32::try_from(nanoseconds).unwrap_or_default())
            .is_ok_and(|changed| now.duration_since(changed) > TIME_STEP)
    }
}

impl Contents {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            known: Mutex::default(),
        }
    }

    /// A small file's bytes, or a large file with its digest. Blocks.
    pub(super) fn read(&self, path: PathBuf) -> io::Result<FileSource> {
        let metadata = fs::metadata(&path)?;
        if metadata.len() <= SMALL {
            return Ok(FileSource::Memory(fs::read(path)?.into()));
        }
        let identity = Identity::of(&metadata);
        if let Some((known, file)) = self.locked().get(&path)
            && *known == identity
        {
            return Ok(FileSource::Disk(file.clone()));
        }
        let settled = identity.is_settled(self.clock.now());
        let file = DiskFile::read(path.clone())?;
        if settled && Identity::of(&fs::metadata(&path)?) == identity {
            self.locked().insert(path, (identity, file.clone()));
        }
        Ok(FileSource::Disk(file))
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<PathBuf, (Identity, DiskFile)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Clock as _, ManualClock, SystemClock};

    fn write(path: &std::path::Path, byte: u8) {
        fs::write(path, vec![byte; usize::try_from(SMALL).unwrap() + 1]).unwrap();
    }

    fn digest(contents: &Contents, path: &std::path::Path) -> [u8; 32] {
        match contents.read(path.to_owned()).unwrap() {
            FileSource::Disk(file) => file.digest,
            FileSource::Memory(_) => panic!("it is large"),
        }
    }

    #[test]
    fn a_large_file_is_read_again_once_it_may_have_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Miniconda3-a.sh");
        write(&path, b'a');
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let contents = Contents::new(clock.clone());
        let first = digest(&contents, &path);
        // Within the step of its time a file may change unseen.
        assert!(contents.locked().is_empty());
        clock.advance(SignedDuration::from_secs(10));
        assert_eq!(digest(&contents, &path), first);
        assert_eq!(contents.locked().len(), 1);

        // Another file of that name, size and time.
        let other = folder.path().join("other");
        write(&other, b'b');
        fs::File::options()
            .append(true)
            .open(&other)
            .unwrap()
            .set_modified(time)
            .unwrap();
        fs::rename(&other, &path).unwrap();
        assert_ne!(digest(&contents, &path), first);
    }

    #[test]
    fn small_files_are_held_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pip.conf");
        fs::write(&path, "# team a").unwrap();
        let contents = Contents::new(Arc::new(SystemClock));
        let FileSource::Memory(bytes) = contents.read(path).unwrap() else {
            panic!("it is small");
        };
        assert_eq!(bytes, "# team a");
    }
}

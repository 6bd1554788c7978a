//! The build context in the form BuildKit's file sync (`fsutil`) reads it: a sorted list of entries.
//!
//! The engine keeps what it received under a key and asks next time only for files whose size, mode
//! or modification time differ. Every file gets an mtime derived from its content, so equal
//! content is sent once and different content is never mistaken for equal.

use std::{collections::BTreeMap, io};

use async_stream::try_stream;
use bollard_buildkit_proto::fsutil::types::Stat;
use futures_util::Stream;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

use crate::build::request::{BuildFile, DiskFile, FileSource};

/// Go's `fs.ModeDir`.
const DIRECTORY: u32 = 1 << 31;
/// Bytes of a file per packet.
const CHUNK: usize = 128 * 1024;
/// 2000-01-01, the earliest time a file gets, in seconds.
const MIN_MTIME: i64 = 946_684_800;

/// One entry of the walk.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) stat: Stat,
    /// `None` for a directory.
    pub(super) source: Option<FileSource>,
}

/// A context, or the directory of a Dockerfile.
#[derive(Debug, Default)]
pub(super) struct Tree {
    entries: Vec<Entry>,
}

impl Tree {
    /// Puts the files in order.
    ///
    /// # Errors
    /// A sentence when a path leaves the context.
    pub(super) fn of(files: &[BuildFile]) -> Result<Self, String> {
        // Keyed by the parts of the path: the walk compares part by part, so `a/b` precedes `a-b`.
        let mut entries: BTreeMap<Vec<&str>, Entry> = BTreeMap::new();
        for file in files {
            let parts: Vec<_> = file.path.split('/').collect();
            if parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
                return Err(format!(
                    "the context path {:?} is not a plain relative path",
                    file.path
                ));
            }
            for length in 1..parts.len() {
                entries
                    .entry(parts[..length].to_vec())
                    .or_insert_with(|| directory(&parts[..length].join("/")));
            }
            entries.insert(parts, entry(file));
        }
        Ok(Self {
            entries: entries.into_values().collect(),
        })
    }

    /// The entries a build asks for: those named, what lies in them and what they lie in; everything
    /// when nothing is named or a name is a pattern.
    pub(super) fn entries_for(&self, paths: &[String]) -> Vec<Entry> {
        let paths: Vec<_> = paths.iter().map(|path| path.trim_matches('/')).collect();
        let everything = paths.is_empty()
            || paths
                .iter()
                .any(|path| matches!(*path, "" | ".") || path.contains(['*', '?', '[', '\\']));
        self.entries
            .iter()
            .filter(|entry| {
                let own = entry.stat.path.as_str();
                everything
                    || paths
                        .iter()
                        .any(|path| own == *path || inside(own, path) || inside(path, own))
            })
            .cloned()
            .collect()
    }

    /// A key that contexts with the same names of files on disk share: builds with the same large
    /// files then find them on the engine, whatever small files come with them. What a file holds is
    /// told by its time.
    pub(super) fn key(files: &[BuildFile]) -> String {
        let mut hash = Sha256::new();
        let mut paths: Vec<_> = files
            .iter()
            .filter(|file| matches!(file.source, FileSource::Disk(_)))
            .map(|file| file.path.as_str())
            .collect();
        paths.sort_unstable();
        for path in paths {
            hash.update(path.as_bytes());
            hash.update([0]);
        }
        let digest = hash.finalize();
        let start = digest[..8]
            .iter()
            .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        format!("fastbuild-{start:016x}")
    }
}

fn inside(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.starts_with('/'))
}

fn directory(path: &str) -> Entry {
    let stat = Stat {
        path: path.to_owned(),
        mode: DIRECTORY | 0o755,
        mod_time: MIN_MTIME * 1_000_000_000,
        ..Stat::default()
    };
    Entry { stat, source: None }
}

fn entry(file: &BuildFile) -> Entry {
    let size = match &file.source {
        FileSource::Memory(bytes) => bytes.len() as u64,
        FileSource::Disk(file) => file.size,
    };
    let stat = Stat {
        path: file.path.clone(),
        mode: file.mode & 0o777,
        size: i64::try_from(size).unwrap_or(i64::MAX),
        mod_time: content_time(file.source.digest()),
        ..Stat::default()
    };
    Entry {
        stat,
        source: Some(file.source.clone()),
    }
}

/// The content of a file in chunks.
///
/// # Errors
/// What the operating system says. A file on disk that was changed since it was read for its digest
/// fails before its end: the engine would keep it under another content's time.
pub(super) fn chunks(source: FileSource) -> impl Stream<Item = io::Result<Vec<u8>>> + Send {
    try_stream! {
        match source {
            FileSource::Memory(bytes) => {
                for chunk in bytes.chunks(CHUNK) {
                    yield chunk.to_vec();
                }
            }
            FileSource::Disk(DiskFile { path, digest, .. }) => {
                let mut file = tokio::fs::File::open(&path).await?;
                let mut hash = Sha256::new();
                loop {
                    let mut chunk = Vec::with_capacity(CHUNK);
                    if (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).await? == 0 {
                        break;
                    }
                    hash.update(&chunk);
                    yield chunk;
                }
                if <[u8; 32]>::from(hash.finalize()) != digest {
                    Err(io::Error::other(format!(
                        "the file {} was changed while the build used it",
                        path.display()
                    )))?;
                }
            }
        }
    }
}

/// A modification time, in nanoseconds since 1970, made from content: between 2000 and 2017, so that no
/// tool in an image finds a file from the future.
fn content_time(digest: [u8; 32]) -> i64 {
    let number = |range: std::ops::Range<usize>| {
        digest[range]
            .iter()
            .fold(0_i64, |sum, byte| (sum << 8) | i64::from(*byte))
    };
    (MIN_MTIME + (number(0..4) & 0x1fff_ffff)) * 1_000_000_000 + number(4..8) % 1_000_000_000
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    fn memory(path: &str, content: &str) -> BuildFile {
        BuildFile {
            path: path.into(),
            mode: 0o644,
            source: FileSource::Memory(content.to_owned().into()),
        }
    }

    fn paths(entries: &[Entry]) -> Vec<&str> {
        entries
            .iter()
            .map(|entry| entry.stat.path.as_str())
            .collect()
    }

    #[test]
    fn walk_sorts_by_path_component_and_lists_directories_first() {
        let tree = Tree::of(&[
            memory("a-b", ""),
            memory("a/c/d", "x"),
            memory("a/b", ""),
            memory("Z", ""),
        ])
        .unwrap();
        assert_eq!(
            paths(&tree.entries_for(&[])),
            ["Z", "a", "a/b", "a/c", "a/c/d", "a-b"]
        );
    }

    #[test]
    fn walk_is_limited_to_requested_paths() {
        let files = [
            memory("a/b", ""),
            memory("a/c", ""),
            memory("ab", ""),
            memory("d/e/f", ""),
        ];
        let tree = Tree::of(&files).unwrap();
        let ask = |wanted: &[&str]| {
            let wanted: Vec<_> = wanted.iter().map(|path| (*path).to_owned()).collect();
            paths(&tree.entries_for(&wanted)).join(" ")
        };
        assert_eq!(ask(&["a/b"]), "a a/b");
        assert_eq!(ask(&["/a"]), "a a/b a/c");
        assert_eq!(ask(&["d/e", "ab"]), "ab d d/e d/e/f");
        assert_eq!(ask(&["a/*"]), "a a/b a/c ab d d/e d/e/f");
        assert_eq!(ask(&[".dockerignore"]), "");
    }

    #[test]
    fn path_outside_the_context_is_rejected() {
        for path in ["../x", "/etc/passwd", "a//b", "a/./b", ""] {
            assert!(Tree::of(&[memory(path, "")]).is_err(), "{path}");
        }
    }

    fn on_disk(folder: &tempfile::TempDir, name: &str, content: &str) -> DiskFile {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let past = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        std::fs::File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .set_modified(past)
            .unwrap();
        DiskFile::read(path).unwrap()
    }

    #[test]
    fn files_of_equal_size_and_mtime_differ_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let stat = |name, content| {
            let file = BuildFile {
                source: FileSource::Disk(on_disk(&folder, name, content)),
                ..memory("pip.conf", "")
            };
            let tree = Tree::of(&[file]).unwrap();
            tree.entries_for(&[]).pop().unwrap().stat
        };
        let (a, b, again) = (stat("a", "# a"), stat("b", "# b"), stat("c", "# a"));
        assert_eq!((a.size, a.mode), (b.size, b.mode));
        assert_ne!(a.mod_time, b.mod_time);
        assert_eq!(a, again);
    }

    #[tokio::test]
    async fn file_changed_since_it_was_hashed_fails_before_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = on_disk(&folder, "pip.conf", "# a");
        let sent = async || {
            chunks(FileSource::Disk(file.clone()))
                .try_collect::<Vec<_>>()
                .await
        };
        assert_eq!(sent().await.unwrap(), [b"# a"]);
        on_disk(&folder, "pip.conf", "# b");
        let failed = sent().await.unwrap_err().to_string();
        assert!(failed.contains("was changed"), "{failed}");
    }

    #[test]
    fn mtime_depends_on_content() {
        let content_time = |content: &[u8]| content_time(Sha256::digest(content).into());
        assert_eq!(content_time(b"one"), content_time(b"one"));
        assert_ne!(content_time(b"one"), content_time(b"two"));
        for content in [b"one".as_slice(), b"two", b""] {
            let years = content_time(content) / 1_000_000_000 / 31_556_952;
            assert!((30..48).contains(&years), "{years}");
        }
    }

    #[test]
    fn contexts_with_the_same_disk_files_share_a_key() {
        let disk = |path: &str| BuildFile {
            source: FileSource::Disk(DiskFile {
                path: "/x".into(),
                size: 0,
                digest: [0; 32],
            }),
            ..memory(path, "")
        };
        assert_eq!(
            Tree::key(&[disk("a"), memory("m", "1")]),
            Tree::key(&[memory("n", "2"), disk("a")])
        );
        assert_ne!(Tree::key(&[disk("a")]), Tree::key(&[disk("b")]));
    }
}

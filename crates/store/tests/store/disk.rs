//! What happens to a database whose disk is full or read-only, or whose file somebody else touches.
//! Needs root, for a file system of its own.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use fastbuild_spec::{
    failure::{Language, ReasonCode},
    state::Step,
};
use fastbuild_store::{FencedError, Seal, Store, StoreError};
use tempfile::TempDir;

use crate::parts::{
    KEY, LEASE, REVISIONS, Site, at, callback, log, request, success, target, work_dir,
};

/// Bytes of a page of SQLite and of a tmpfs.
const PAGE: usize = 4096;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A small file system in memory, which goes when it is dropped.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    fn mount(kilobytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let size = format!("size={kilobytes}k");
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &path]);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn open(&self) -> Store {
        open(&self.path("fastbuild.db")).await.unwrap()
    }

    /// Fills it but for so many pages.
    fn fill(&self, pages: usize) {
        let mut file = std::fs::File::create(self.path("filler")).unwrap();
        let page = [7; PAGE];
        let mut written = 0;
        loop {
            match file.write_all(&page) {
                Ok(()) => written += PAGE,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::StorageFull);
                    break;
                }
            }
        }
        let kept = written.saturating_sub(pages * PAGE);
        file.set_len(u64::try_from(kept).unwrap()).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.path("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount")
            .arg("--lazy")
            .arg(self.folder.path())
            .status()
            .ok();
    }
}

async fn open(file: &Path) -> Result<Store, StoreError> {
    let url = format!("sqlite://{}", file.display());
    Store::open(&url, Seal::from_key(&KEY).unwrap()).await
}

/// The database as a killed process leaves it: copied by another process, since this one would give
/// its locks up if it opened the files by hand.
async fn killed(file: &Path) -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let from = format!("{}{suffix}", file.display());
        if Path::new(&from).exists() {
            let to = folder.path().join(format!("fastbuild.db{suffix}"));
            run("cp", &[&from, &to.display().to_string()]);
        }
    }
    let store = open(&folder.path().join("fastbuild.db")).await.unwrap();
    (folder, store)
}

/// A whole build's life, up to the first write that fails; its number once it was queued.
async fn live(
    store: &Store,
    number: usize,
    seconds: i64,
) -> (Option<i64>, Result<(), FencedError>) {
    let queued = store
        .enqueue(request(&target(number)), &work_dir, at(seconds))
        .await;
    let build = match queued {
        Ok(build) => build.id,
        Err(fastbuild_store::EnqueueError::Store(error)) => return (None, Err(error.into())),
        Err(other) => panic!("{other}"),
    };
    let rest = async {
        let claimed = store.claim("worker-1", LEASE, at(seconds)).await?.unwrap();
        assert_eq!(claimed.build.id, build);
        let attempt = claimed.attempt;
        crate::parts::try_up_to_the_push(store, attempt, seconds).await?;
        let line = "x".repeat(PAGE);
        let lines = (0..4).map(|_| log(Step::Push, &line)).collect();
        store.append_events(attempt, lines, at(seconds)).await?;
        store
            .finish(attempt, &success(), REVISIONS, &callback, at(seconds))
            .await?;
        Ok(())
    };
    (Some(build), rest.await)
}

#[tokio::test]
async fn a_disk_that_fills_at_any_write_loses_no_acknowledged_build() {
    let mut failed_writes = 0;
    for pages in 0..40 {
        let disk = SmallDisk::mount(2048);
        let store = disk.open().await;
        disk.fill(pages);
        let (first, outcome) = live(&store, 1, 0).await;
        if let Err(error) = &outcome {
            failed_writes += 1;
            let FencedError::Store(error) = error else {
                panic!("{error}")
            };
            let failure = error.failure();
            assert_eq!(failure.code, ReasonCode::DatabaseUnavailable);
            assert!(failure.to_string().contains("disk is full"), "{failure}");
            assert!(store.write_probe(at(0)).await.is_err() || pages > 0);
        }
        disk.free();

        store.write_probe(at(1)).await.unwrap();
        store
            .requeue_orphans(true, &callback, at(50))
            .await
            .unwrap();
        if let Some(first) = first {
            store
                .request_cancel(first, &callback, at(51))
                .await
                .unwrap();
        }
        let (second, lived) = live(&store, 2, 60).await;
        lived.unwrap();

        let shown = store.builds_by_target("image-").await.unwrap();
        let (_folder, after) = killed(&disk.path("fastbuild.db")).await;
        assert_eq!(
            after.builds_by_target("image-").await.unwrap(),
            shown,
            "{pages} pages"
        );
        let numbers: Vec<i64> = shown.iter().map(|build| build.id).collect();
        for acknowledged in [first, second].into_iter().flatten() {
            assert!(
                numbers.contains(&acknowledged),
                "{pages} pages: {numbers:?}"
            );
        }
    }
    assert!(failed_writes > 5, "the disk was full {failed_writes} times");
}

#[tokio::test]
async fn another_process_that_looks_into_the_file_does_not_unhook_its_log() {
    let site = Site::new();
    let store = site.open().await;
    crate::parts::enqueue(&store, 1, 0).await;
    let file = site.file().display().to_string();
    assert_eq!(
        run("sqlite3", &[&file, "SELECT count(*) FROM builds"]),
        "1\n"
    );
    let folder = site.folder.path().display().to_string();
    let open: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .map(|target| target.display().to_string())
        .filter(|target| target.starts_with(&folder))
        .collect();
    assert!(open.iter().any(|name| name.ends_with("-wal")), "{open:?}");
    assert!(
        !open.iter().any(|name| name.contains("(deleted)")),
        "{open:?}"
    );
    let late = crate::parts::enqueue(&store, 2, 1).await;
    let (_folder, after) = killed(&site.file()).await;
    assert_eq!(after.build(late.id).await.unwrap(), Some(late));
}

#[tokio::test]
async fn an_orderly_end_leaves_one_complete_file() {
    let site = Site::new();
    let store = site.open().await;
    let build = crate::parts::enqueue(&store, 1, 0).await;
    store.close().await.unwrap();
    let log = format!("{}-wal", site.file().display());
    assert_eq!(std::fs::metadata(log).map_or(0, |log| log.len()), 0);
    let other = Site::new();
    std::fs::copy(site.file(), other.file()).unwrap();
    let store = other.open().await;
    assert_eq!(store.build(build.id).await.unwrap(), Some(build));
}

#[tokio::test]
async fn a_file_that_is_deleted_or_replaced_is_written_no_more() {
    for replaced in [false, true] {
        let site = Site::new();
        let store = site.open().await;
        crate::parts::enqueue(&store, 1, 0).await;
        std::fs::rename(site.file(), site.folder.path().join("moved")).unwrap();
        if replaced {
            std::fs::write(site.file(), "").unwrap();
        }
        let refused = store
            .enqueue(request(&target(2)), &work_dir, at(1))
            .await
            .unwrap_err()
            .failure();
        let name = site.file().display().to_string();
        assert!(refused.to_string().contains(&name), "{refused}");
        assert!(
            refused.to_string().contains("deleted or replaced"),
            "{refused}"
        );
        assert!(matches!(
            store.write_probe(at(1)).await,
            Err(StoreError::FileMoved { .. })
        ));
    }
}

#[tokio::test]
async fn a_damaged_file_is_named_at_the_start() {
    let site = Site::new();
    let store = site.open().await;
    for number in 0..40 {
        crate::parts::enqueue(&store, number, 0).await;
    }
    store.close().await.unwrap();
    let whole = std::fs::read(site.file()).unwrap();
    let mut torn = whole.clone();
    let middle = whole.len() / 2;
    torn[middle..middle + 3 * PAGE].fill(0xa5);
    for damaged in [&torn[..], b"this is no database, but long enough to be taken for the head of one, which has a hundred bytes"] {
        std::fs::write(site.file(), damaged).unwrap();
        let refused = open(&site.file()).await.unwrap_err();
        assert!(matches!(refused, StoreError::CorruptFile { .. }), "{refused}");
        assert!(refused.to_string().contains("fastbuild restore"), "{refused}");
    }
    std::fs::write(site.file(), whole).unwrap();
    open(&site.file()).await.unwrap();
}

/// Another process that has the write lock of a database until its input ends.
fn lock(file: &Path) -> Child {
    let mut child = Command::new("sqlite3")
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = child.stdin.as_mut().unwrap();
    input
        .write_all(b"BEGIN IMMEDIATE;\nSELECT 'locked';\n")
        .unwrap();
    input.flush().unwrap();
    let mut said = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    assert_eq!(&said, b"locked");
    child
}

#[tokio::test]
async fn a_lock_of_another_process_is_named_and_outlived() {
    let site = Site::new();
    let store = site.open().await;
    let mut other = lock(&site.file());
    let bad = store.write_probe(at(0)).await.unwrap_err().failure();
    let said = bad.sentence(Language::English);
    assert!(said.contains("locked the database file"), "{said}");
    let refused = store
        .enqueue(request(&target(1)), &work_dir, at(0))
        .await
        .unwrap_err()
        .failure();
    assert!(
        refused.to_string().contains("Another process has locked"),
        "{refused}"
    );
    drop(other.stdin.take());
    other.wait().unwrap();
    store.write_probe(at(1)).await.unwrap();
    crate::parts::enqueue(&store, 1, 1).await;
}

#[tokio::test]
async fn a_read_only_disk_is_named() {
    let disk = SmallDisk::mount(4096);
    disk.open().await.close().await.unwrap();
    let path = disk.folder.path().display().to_string();
    run("mount", &["-o", "remount,ro", &path]);
    let refused = open(&disk.path("fastbuild.db")).await.unwrap_err();
    assert!(
        refused.failure().to_string().contains("read-only"),
        "{refused}"
    );
    let missing = open(&disk.path("other.db")).await.unwrap_err();
    assert!(
        missing.to_string().contains("Read-only file system"),
        "{missing}"
    );
    run("mount", &["-o", "remount,rw", &path]);
    disk.open().await;
    assert!(
        OpenOptions::new()
            .write(true)
            .open(disk.path("fastbuild.db"))
            .is_ok()
    );
}

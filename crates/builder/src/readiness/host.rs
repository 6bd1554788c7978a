//! The service's own machine: free space and inodes below the base directory, file descriptors.

use std::{io, path::Path};

use fastbuild_spec::failure::{Failure, ReasonCode, Sentence};
use nix::sys::{
    resource::{Resource, getrlimit},
    statvfs::statvfs,
};

use super::Found;

/// Below this nothing may be written safely any more.
const MIN_FREE_BYTES: u64 = 100 << 20;
/// Below this it is time to act.
const LOW_FREE_BYTES: u64 = 1 << 30;
const MIN_FREE_INODES: u64 = 1_000;
const LOW_FREE_INODES: u64 = 10_000;

/// What is left of something, and the marks below which that is bad or low.
struct Left {
    free: u64,
    min: u64,
    low: u64,
}

/// The file system that builds' files are written to.
pub(super) fn disk(folder: &Path) -> Found {
    let existing = folder.ancestors().find(|folder| folder.is_dir());
    let shown = folder.display();
    let stat = match statvfs(existing.unwrap_or(folder)) {
        Ok(stat) => stat,
        Err(error) => {
            return Found::Bad(Box::new(Failure::new(
                ReasonCode::HostExhausted,
                format!("无法得知目录 {shown} 的剩余空间：{error}。"),
                format!("The free space of the folder {shown} cannot be read: {error}."),
            )));
        }
    };
    let bytes = Left {
        free: stat.blocks_available() * stat.fragment_size(),
        min: MIN_FREE_BYTES,
        low: LOW_FREE_BYTES,
    };
    let inodes = Left {
        // Some file systems have no table of inodes and report none.
        free: if stat.files() == 0 {
            u64::MAX
        } else {
            stat.files_available()
        },
        min: MIN_FREE_INODES,
        low: LOW_FREE_INODES,
    };
    judge_disk(&shown.to_string(), &bytes, &inodes)
}

fn judge_disk(folder: &str, bytes: &Left, inodes: &Left) -> Found {
    let megabytes = bytes.free >> 20;
    let said = Sentence::new(
        format!("目录 {folder} 剩余 {megabytes} MB。"),
        format!("The folder {folder} has {megabytes} MB left."),
    );
    let failure = |zh: &str, en: &str| {
        let failure = Failure::new(ReasonCode::HostExhausted, zh, en);
        Box::new(failure.with_culprit(folder).with_hint(
            "请管理员清理该磁盘或扩大容量；旧任务的文件可由 cleaning.task_retention_days 自动清理。",
            "Ask the operator to free or enlarge this disk; cleaning.task_retention_days removes the files of old builds by itself.",
        ))
    };
    let inodes_said = (
        format!("目录 {folder} 只剩 {} 个 inode。", inodes.free),
        format!("The folder {folder} has only {} inodes left.", inodes.free),
    );
    if bytes.free < bytes.min {
        Found::Bad(failure(&said.zh, &said.en))
    } else if inodes.free < inodes.min {
        Found::Bad(failure(&inodes_said.0, &inodes_said.1))
    } else if bytes.free < bytes.low {
        Found::Warning(failure(&said.zh, &said.en))
    } else if inodes.free < inodes.low {
        Found::Warning(failure(&inodes_said.0, &inodes_said.1))
    } else {
        Found::Good(said)
    }
}

/// The file descriptors of this process.
pub(super) fn open_files() -> Found {
    let read = || -> io::Result<(u64, u64)> {
        let open = std::fs::read_dir("/proc/self/fd")?.count() as u64;
        let (limit, _hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok((open, limit))
    };
    match read() {
        Ok((open, limit)) => judge_open_files(open, limit),
        Err(error) => Found::NotSeen(Sentence::new(
            format!("无法得知已打开的文件数：{error}。"),
            format!("The number of open files cannot be read: {error}."),
        )),
    }
}

fn judge_open_files(open: u64, limit: u64) -> Found {
    let said = Sentence::new(
        format!("已使用 {open} 个文件描述符，上限 {limit}。"),
        format!("{open} file descriptors are in use of at most {limit}."),
    );
    let failure = || {
        let failure = Failure::new(ReasonCode::TooManyOpenFiles, &said.zh, &said.en);
        Box::new(failure)
    };
    if open >= limit - limit / 20 {
        Found::Bad(failure())
    } else if open >= limit - limit / 5 {
        Found::Warning(failure())
    } else {
        Found::Good(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(found: &Found) -> &'static str {
        match found {
            Found::Good(_) => "good",
            Found::Warning(_) => "warning",
            Found::Bad(_) => "bad",
            Found::NotConfigured(_) | Found::NotSeen(_) => "unknown",
        }
    }

    #[test]
    fn little_space_or_few_inodes_warn_before_they_are_bad() {
        let state = |megabytes: u64, inodes: u64| {
            let left = |free, min, low| Left { free, min, low };
            let bytes = left(megabytes << 20, MIN_FREE_BYTES, LOW_FREE_BYTES);
            let inodes = left(inodes, MIN_FREE_INODES, LOW_FREE_INODES);
            word(&judge_disk("/var/lib/fastbuild", &bytes, &inodes))
        };
        assert_eq!(state(5_000, u64::MAX), "good");
        assert_eq!(state(500, u64::MAX), "warning");
        assert_eq!(state(5_000, 5_000), "warning");
        assert_eq!(state(50, u64::MAX), "bad");
        assert_eq!(state(5_000, 500), "bad");
    }

    #[test]
    fn this_machine_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let found = disk(&folder.path().join("not/made/yet"));
        assert_ne!(word(&found), "unknown", "{found:?}");
        assert_ne!(word(&open_files()), "unknown");
    }

    #[test]
    fn open_files_near_their_limit_warn_before_they_are_bad() {
        let states = [100, 820, 960].map(|open| word(&judge_open_files(open, 1_000)));
        assert_eq!(states, ["good", "warning", "bad"]);
    }
}

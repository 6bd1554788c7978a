//! Background processes that outlive the command that started them, found again through a record file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fastbuild_testkit::wait::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::run::last_lines;

/// How long a process may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(20);

/// A background process with its record and its log.
pub(super) struct Daemon {
    record: PathBuf,
    log: PathBuf,
}

/// A process is ours when number and start time both match: numbers are used again, the pair is not.
#[derive(Serialize, Deserialize)]
struct Record {
    pid: i32,
    /// Clock ticks from boot to the start of the process, field 22 of `/proc/PID/stat`.
    started: u64,
}

impl Daemon {
    /// The process of this name in the given folders.
    pub(super) fn new(run: &Path, logs: &Path, name: &str) -> Self {
        Self {
            record: run.join(format!("{name}.process.json")),
            log: logs.join(format!("{name}.log")),
        }
    }

    /// Its number while it runs.
    pub(super) fn pid(&self) -> Option<i32> {
        let record: Record = serde_json::from_str(&fs::read_to_string(&self.record).ok()?).ok()?;
        (start_time(record.pid) == Some(record.started)).then_some(record.pid)
    }

    /// Starts the program in a session of its own and waits until `ready` holds. When the program ends before
    /// that, the error shows the last lines of its log.
    pub(super) fn start(
        &self,
        program: &str,
        limit: Duration,
        prepare: impl FnOnce(&mut Command),
        mut ready: impl FnMut() -> bool,
    ) -> Result<()> {
        let log = File::create(&self.log)
            .with_context(|| format!("the log {} cannot be written", self.log.display()))?;
        // setsid replaces itself by the program, so the child's number is the program's.
        let mut command = Command::new("setsid");
        command
            .arg(program)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .current_dir("/");
        prepare(&mut command);
        let child = command
            .spawn()
            .with_context(|| format!("{program} could not be started"))?;
        let pid = i32::try_from(child.id())?;
        let started = start_time(pid)
            .with_context(|| format!("{program} ended at once; {}", self.log_tail()))?;
        fs::write(
            &self.record,
            serde_json::to_string(&Record { pid, started })?,
        )?;
        let mut ended = false;
        let is_ready = wait_until(limit, || {
            ended = self.pid().is_none();
            ended || ready()
        });
        if ended {
            bail!("{program} ended while it started; {}", self.log_tail());
        }
        if !is_ready {
            bail!(
                "{program} did not answer within {} s; {}",
                limit.as_secs(),
                self.log_tail()
            );
        }
        Ok(())
    }

    /// Ends the process; true when there was one.
    pub(super) fn stop(&self, signal: Signal) -> Result<bool> {
        let Some(pid) = self.pid() else {
            return Ok(false);
        };
        end_process(pid, signal, || self.pid().is_none())?;
        fs::remove_file(&self.record)?;
        Ok(true)
    }

    fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        format!(
            "the end of {}:\n{}",
            self.log.display(),
            last_lines(&text, 15)
        )
    }
}

/// Signals a process, waits until it is gone, kills it after the grace time.
pub(super) fn end_process(pid: i32, signal: Signal, gone: impl Fn() -> bool) -> Result<()> {
    // A process that ended meanwhile cannot be signalled; the wait sees it gone.
    let _ = kill(Pid::from_raw(pid), signal);
    if wait_until(GRACE, &gone) {
        return Ok(());
    }
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    if !wait_until(GRACE, &gone) {
        bail!("process {pid} does not end, not even when killed");
    }
    Ok(())
}

/// Start time of a process that runs (a zombie does not).
pub(super) fn start_time(pid: i32) -> Option<u64> {
    let fields = stat(pid)?;
    let runs = !matches!(fields.first()?.as_str(), "Z" | "X");
    fields.get(19).filter(|_| runs)?.parse().ok()
}

/// The children of a process, but for containerd's own.
pub(super) fn children(parent: i32) -> Vec<i32> {
    let parent = parent.to_string();
    all_processes()
        .into_iter()
        .filter(|pid| stat(*pid).is_some_and(|fields| fields.get(1) == Some(&parent)))
        .filter(|pid| !name_starts_with(*pid, "containerd"))
        .collect()
}

/// Processes with the given beginning of their name and the given text in an argument.
pub(super) fn processes_with_argument(name: &str, text: &str) -> Vec<i32> {
    all_processes()
        .into_iter()
        .filter(|pid| name_starts_with(*pid, name))
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(text))
        })
        .collect()
}

fn name_starts_with(pid: i32, beginning: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with(beginning))
}

fn all_processes() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The fields of `/proc/PID/stat` from the third, the state, onwards. The second, the program's name, is in
/// parentheses and may itself hold blanks and parentheses.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = text.rsplit_once(')')?.1;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

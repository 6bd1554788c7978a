//! Running other programs, and saying how long things took.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

/// Lines of a failed program's output that go into the error.
const LAST_LINES: usize = 20;

/// A command line, ready to get more arguments.
pub fn program(name: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments);
    command
}

/// Runs a program to its end and returns what it wrote to its standard output. The error shows the command,
/// how it ended and its last lines.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("`{}` could not be started", shown(command)))?;
    checked(command, &output)
}

/// Like [`run`], with text on the program's standard input: the way for secrets, which must not be arguments.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{}` could not be started", shown(command)))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    checked(command, &output)
}

/// Runs a program whose output the person at the terminal reads as it comes.
pub fn run_in_the_open(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("`{}` could not be started", shown(command)))?;
    if status.success() {
        return Ok(());
    }
    bail!("`{}` failed ({status})", shown(command))
}

/// Builds a program of the workspace, cargo's progress in the open, and returns its path.
///
/// # Errors
/// When it does not compile.
pub fn build(package: &str, release: bool) -> Result<PathBuf> {
    println!("Building {package}; the first time takes some minutes.");
    let mut cargo = program(env!("CARGO"), &["build", "--package", package]);
    // The messages go to standard output, progress and what the compiler says to standard error.
    cargo.args(["--message-format", "json-render-diagnostics"]);
    if release {
        cargo.arg("--release");
    }
    let output = cargo
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo could not be started")?;
    let messages = checked(&cargo, &output)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == package)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo named no program for the package {package}"))
}

/// Whether a program ran and ended well; its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn checked(command: &Command, output: &Output) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let text = format!("{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    bail!(
        "`{}` failed ({}):\n{}",
        shown(command),
        output.status,
        last_lines(&text, LAST_LINES)
    )
}

/// The last non-empty lines of a text, indented for an error message.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| {
            part.to_string_lossy()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// The present time since the Unix epoch: makes names that no earlier run used.
#[expect(
    clippy::disallowed_methods,
    reason = "the task runner has no clock to hand around"
)]
pub fn now() -> Result<Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}

/// Does one piece of work and prints its title and how long it took.
pub fn step<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = work();
    match &result {
        Ok(_) => report(title, start),
        Err(_) => report(&format!("{title}: FAILED"), start),
    }
    result.with_context(|| title.to_owned())
}

/// Prints what was done since `start`.
pub fn report(title: &str, start: Instant) {
    println!("  {:>6.1} s  {title}", start.elapsed().as_secs_f64());
}

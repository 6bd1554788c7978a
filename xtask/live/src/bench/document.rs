//! Figures in docs/performance.md: each benchmark writes between two marks of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const REPORT: &str = "docs/performance.md";

/// A file of the repository.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

/// Prints a benchmark's text, and puts it where its last one was.
pub(super) fn replace(benchmark: &str, text: &str) -> Result<()> {
    println!("\n{text}");
    let mark = |end: &str| format!("<!-- figures of `cargo xtask {benchmark}`: {end} -->");
    let (begin, end) = (mark("begin"), mark("end"));
    let path = path(REPORT);
    let report = std::fs::read_to_string(&path)?;
    let lost = |mark: &str| format!("{REPORT} has lost the line {mark}");
    let (before, rest) = report.split_once(&begin).with_context(|| lost(&begin))?;
    let (_, after) = rest.split_once(&end).with_context(|| lost(&end))?;
    std::fs::write(&path, format!("{before}{begin}\n\n{text}\n{end}{after}"))?;
    println!("written into {REPORT}");
    Ok(())
}

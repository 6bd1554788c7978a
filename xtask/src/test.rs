//! Formatting, files, licences, lints and every test, against the test environment. What CI runs.

use std::time::Instant;

use anyhow::Result;
use xtask::{
    env,
    run::{program, run_in_the_open, succeeds},
};

use crate::{orphan_files, slowest};

/// Crates whose documentation has examples that run.
const WITH_EXAMPLES: [&str; 1] = ["fastbuild-spec"];

/// Runs everything; the first thing that fails ends it.
pub(crate) fn execute() -> Result<()> {
    let started = Instant::now();
    stage("formatting", || cargo(&["fmt", "--all", "--check"]))?;
    stage("every file in a module", orphan_files::check)?;
    stage("licences and sources", || {
        installed("deny", "cargo-deny")?;
        // Advisories come from the network, and would fail a build that nobody changed.
        cargo(&["deny", "check", "bans", "licenses", "sources"])
    })?;
    stage("lints", || {
        cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "--deny",
            "warnings",
        ])
    })?;
    stage("test environment", || env::up().map(drop))?;
    stage("tests", || {
        installed("nextest", "cargo-nextest")?;
        // Printed when tests failed, too.
        let tests = cargo(&["nextest", "run", "--workspace"]);
        slowest::print().and(tests)
    })?;
    stage("documentation tests", || {
        let packages = WITH_EXAMPLES.iter().flat_map(|name| ["--package", *name]);
        let arguments: Vec<&str> = ["test", "--doc", "--quiet"]
            .into_iter()
            .chain(packages)
            .collect();
        cargo(&arguments)
    })?;
    println!(
        "everything passed in {:.0} s",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

fn cargo(arguments: &[&str]) -> Result<()> {
    run_in_the_open(&mut program(env!("CARGO"), arguments))
}

/// Installs a cargo subcommand unless it is there; cargo keeps it for the next run.
fn installed(subcommand: &str, package: &str) -> Result<()> {
    if succeeds(&mut program(env!("CARGO"), &[subcommand, "--version"])) {
        return Ok(());
    }
    let started = Instant::now();
    println!("Installing {package}; this takes some minutes, once.");
    cargo(&["install", "--locked", package])?;
    println!(
        "{package} installed in {:.0} s",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

fn stage(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    println!("== {name}");
    work()?;
    println!("== {name}: {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

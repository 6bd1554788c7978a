//! Formatting, lints and every test, against the real parts. What CI runs.

use std::time::Instant;

use anyhow::Result;

use crate::{env, run};

/// Runs everything; the first thing that fails ends it.
pub(crate) fn execute() -> Result<()> {
    let started = Instant::now();
    let cargo =
        |arguments: &[&str]| run::run_in_the_open(&mut run::program(env!("CARGO"), arguments));
    stage("formatting", || cargo(&["fmt", "--all", "--check"]))?;
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
    stage("real parts", || env::up().map(drop))?;
    // The parts that tests start by themselves are programs of the workspace.
    stage("build", || cargo(&["build", "--workspace", "--quiet"]))?;
    if !run::succeeds(&mut run::program(env!("CARGO"), &["nextest", "--version"])) {
        stage("nextest", || {
            cargo(&["install", "--locked", "--quiet", "cargo-nextest"])
        })?;
    }
    stage("tests", || cargo(&["nextest", "run", "--workspace"]))?;
    stage("documentation tests", || {
        cargo(&["test", "--workspace", "--doc", "--quiet"])
    })?;
    println!(
        "everything passed in {:.0} s",
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

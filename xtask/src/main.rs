//! The task runner: `cargo xtask COMMAND`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task runner talks to the person at the terminal"
)]

mod openapi;
mod orphan_files;
mod slowest;
mod test;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use clap::Parser;
use xtask::{env, run};

/// FastBuild's task runner.
#[derive(Parser)]
#[command(name = "cargo xtask", version, about)]
enum Task {
    /// Starts, stops and shows the engines, the registry and the fixtures for demo and tests.
    #[command(subcommand)]
    Env(env::EnvTask),
    /// Checks formatting, files, licences and lints and runs every test. What CI runs.
    Test,
    /// Writes the service's OpenAPI document to docs/openapi.json.
    Openapi,
    /// Shows the main job from end to end on the test environment, each claim with its proof.
    #[command(disable_help_flag = true)]
    Demo(Live),
    /// Measures speed against named baselines and writes docs/performance.md.
    #[command(disable_help_flag = true)]
    Bench(Live),
    /// Measures the queue and the lists on both databases and writes docs/performance.md.
    #[command(disable_help_flag = true)]
    BenchQueue(Live),
    /// Lets a whole cluster fail at random, again and again, and checks what becomes of its builds.
    #[command(disable_help_flag = true)]
    Chaos(Live),
}

/// Arguments of a command that `xtask-live` carries out.
#[derive(clap::Args)]
struct Live {
    /// See `cargo xtask COMMAND --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::Env(task) => env::execute(&task),
        Task::Test => test::execute(),
        Task::Openapi => openapi::execute(),
        Task::Demo(live) => live.run("demo"),
        Task::Bench(live) => live.run("bench"),
        Task::BenchQueue(live) => live.run("bench-queue"),
        Task::Chaos(live) => live.run("chaos"),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Live {
    /// Builds `xtask-live` and hands the command over to it.
    fn run(&self, command: &str) -> Result<()> {
        let program = run::build("xtask-live", false)?;
        let mut live = run::program(program, &[command]);
        run::run_in_the_open(live.args(&self.arguments))
    }
}

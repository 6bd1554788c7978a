//! The task runner: `cargo xtask COMMAND` starts the real parts that FastBuild is shown and tested against.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task runner talks to the person at the terminal"
)]

mod bench;
mod chaos;
mod demo;
mod env;
mod openapi;
mod run;
mod test;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use fastbuild_testkit::callback_receiver;

/// FastBuild's task runner.
#[derive(Parser)]
#[command(name = "cargo xtask", version, about)]
enum Task {
    /// Starts, stops and shows the engines, the registry and the fixtures for demo and tests.
    #[command(subcommand)]
    Env(env::EnvTask),
    /// Shows the main job from end to end on the real parts, each claim with its proof.
    Demo,
    /// Checks formatting and lints and runs every test against the real parts.
    Test,
    /// Measures speed against named baselines and writes docs/performance.md.
    Bench(bench::Options),
    /// Writes the service's OpenAPI document to docs/openapi.json.
    Openapi,
    /// Lets a whole site fail at random, again and again, and checks what becomes of its builds.
    Chaos(chaos::Options),
    /// Measures the queue and the lists on both databases and writes docs/performance.md.
    BenchQueue,
    /// Receives callbacks and records them (started by `env up`).
    CallbackReceiver {
        /// TCP port on 127.0.0.1.
        #[arg(long)]
        port: u16,
        /// File that gets one JSON object per request.
        #[arg(long)]
        log: PathBuf,
    },
}

fn receive_callbacks(port: u16, log: &Path) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(callback_receiver::serve(port, log))
}

fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::Env(task) => env::execute(&task),
        Task::Demo => demo::execute(),
        Task::Test => test::execute(),
        Task::Bench(options) => bench::execute(&options),
        Task::Openapi => openapi::execute(),
        Task::Chaos(options) => chaos::execute(&options),
        Task::BenchQueue => bench::queue::execute(),
        Task::CallbackReceiver { port, log } => receive_callbacks(port, &log),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

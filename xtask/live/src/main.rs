//! The commands of `cargo xtask` that talk to a running service, and the callback receiver of the
//! test environment. A program of its own, so that the task runner itself compiles in seconds.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task runner talks to the person at the terminal"
)]

mod bench;
mod chaos;
mod demo;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::Parser;
use fastbuild_testkit::callback_receiver;

/// FastBuild's task runner: what talks to a running service.
#[derive(Parser)]
#[command(name = "cargo xtask", version, about)]
enum Task {
    /// Shows the main job from end to end on the test environment, each claim with its proof.
    Demo(demo::Options),
    /// Measures speed against named baselines and writes docs/performance.md.
    Bench(bench::Options),
    /// Measures the queue and the lists on both databases and writes docs/performance.md.
    BenchQueue,
    /// Lets a whole cluster fail at random, again and again, and checks what becomes of its builds.
    Chaos(chaos::Options),
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

fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::Demo(options) => demo::execute(&options),
        Task::Bench(options) => bench::execute(&options),
        Task::BenchQueue => bench::queue::execute(),
        Task::Chaos(options) => chaos::execute(&options),
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

fn receive_callbacks(port: u16, log: &Path) -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(callback_receiver::serve(port, log))
}

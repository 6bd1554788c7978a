//! The task runner: `cargo xtask COMMAND` starts the real parts that FastBuild is shown and tested against.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task runner talks to the person at the terminal"
)]

mod bench;
mod callback_receiver;
mod chaos;
mod demo;
mod env;
mod openapi;
mod run;
mod test;

use std::process::ExitCode;

use clap::Parser;

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
    CallbackReceiver(callback_receiver::Options),
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
        Task::CallbackReceiver(options) => callback_receiver::serve(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

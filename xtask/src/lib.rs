//! The task runner's own parts: the test environment, and running programs. `xtask-live` uses them too.
#![expect(
    clippy::print_stdout,
    reason = "a task runner talks to the person at the terminal"
)]

pub mod env;
pub mod run;

//! The names of a build's files, in its folder on disk and under `/task/<work_dir_name>/`.

use fastbuild_spec::state::Step;

/// The request with its defaults filled in and its secrets masked, as JSON.
pub const REQUEST_FILE: &str = "request.json";
/// The Dockerfile the engine ran.
pub const DOCKERFILE: &str = "Dockerfile";

/// The log of a step.
pub fn log_file(step: Step) -> String {
    format!("{step}.log")
}

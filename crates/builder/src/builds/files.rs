//! The names of a build's files, in its folder on disk and under `/task/<work_dir_name>/`.

use std::{
    io,
    path::{Component, Path},
};

use fastbuild_spec::state::Step;

/// The request with its defaults filled in and its secrets masked, as JSON.
pub const REQUEST_FILE: &str = "request.json";
/// The Dockerfile the engine ran.
pub const DOCKERFILE: &str = "Dockerfile";

/// The log of a step.
pub fn log_file(step: Step) -> String {
    format!("{step}.log")
}

/// Removes a build's folder with all in it, if there is one.
///
/// # Errors
/// What the operating system says; `InvalidInput` for a name that leads elsewhere: names come from
/// the database, some of them from an old installation's.
pub(crate) async fn remove_folder(task_dir: &Path, work_dir_name: &str) -> io::Result<()> {
    let mut parts = Path::new(work_dir_name).components();
    if !matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    ) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "its name is no name of a folder",
        ));
    }
    match tokio::fs::remove_dir_all(task_dir.join(work_dir_name)).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

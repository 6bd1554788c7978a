//! The commands around a service's data: backup, restore and the move to another database.

pub mod backup;
pub mod migrate;
pub mod restore;

use std::{
    future::Future,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use fastbuild_spec::failure::Language;
use fastbuild_store::StoreError;

/// What a command that failed says: the whole chain of causes, and for a fault of the data both
/// languages with what to do.
pub fn explain(error: &anyhow::Error) -> String {
    let Some(stored) = error.downcast_ref::<StoreError>() else {
        return format!("{error:#}");
    };
    let failure = stored.failure();
    let (zh, en) = (
        failure.sentence(Language::Chinese),
        failure.sentence(Language::English),
    );
    match stored {
        StoreError::Copy(_) => format!("{en}\n{zh}"),
        _ => format!("{error:#}\n{zh}\n{en}"),
    }
}

/// Where the key goes that belongs to a backup: beside it.
fn key_of(backup: &Path) -> PathBuf {
    let mut name = backup.as_os_str().to_owned();
    name.push(".key");
    PathBuf::from(name)
}

/// A path as the caller means it: relative to the current folder.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))
}

/// Runs one command's work to its end.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the command's thread cannot be started")?
        .block_on(work)
}

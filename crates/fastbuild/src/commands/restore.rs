//! `fastbuild restore FILE`: puts a backup in the place of the database.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use fastbuild_builder::clock::{Clock as _, SystemClock};
use fastbuild_store::{Seal, backup};

use super::{absolute, block_on, key_of};
use crate::{app, config::Config};

/// What to restore.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// A file that `fastbuild backup` made
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Move a database that is there aside
    #[arg(long)]
    replace: bool,
}

/// Restores a backup; what was done.
///
/// # Errors
/// A sentence when the service runs, a database is there already, or the backup is damaged, of a
/// newer version or of another key. Nothing is changed then.
pub fn run(config: &Config, arguments: &Arguments) -> Result<String> {
    let file = absolute(&arguments.file)?;
    let database = backup::database_file(&config.database_url)?;
    let _lock = app::lock(&config.base_dir)?;
    if database.exists() && !arguments.replace {
        bail!(
            "the database {} is there already; give --replace to move it aside",
            database.display()
        );
    }
    let (seal, key) = if let Some(seal) = Seal::load(&config.seal_key_file)? {
        (seal, None)
    } else {
        let key = key_of(&file);
        let seal = Seal::load(&key)?.with_context(|| {
            format!(
                "there is no key, neither {} nor {}; put the original key file back first",
                config.seal_key_file.display(),
                key.display()
            )
        })?;
        (seal, Some(key))
    };
    let (contents, aside) = block_on(async {
        let now = SystemClock.now();
        Ok(backup::restore(&file, &config.database_url, &seal, now).await?)
    })?;
    let mut report = format!(
        "{} is the database now: {} builds{}.",
        file.display(),
        contents.builds,
        contents
            .newest_build
            .map(|at| format!(", the newest of {at}"))
            .unwrap_or_default(),
    );
    if let Some(aside) = aside {
        write!(report, "\nThe former one is {}.", aside.display())?;
    }
    if let Some(key) = key {
        backup::copy_file(&key, &config.seal_key_file).with_context(|| {
            format!(
                "the key cannot be copied to {}",
                config.seal_key_file.display()
            )
        })?;
        write!(report, "\nThe key is {}.", config.seal_key_file.display())?;
    }
    Ok(report)
}

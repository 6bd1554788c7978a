//! `fastbuild backup FILE`: one moment of the database as one file, also while the service runs.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use fastbuild_store::backup;

use super::{absolute, block_on, key_of};
use crate::config::Config;

/// Where to.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The new file; its folder must exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Copy the key to FILE.key as well. Whoever has both can read every stored password
    #[arg(long)]
    with_key: bool,
}

/// Makes a backup; what it holds.
///
/// # Errors
/// A sentence when the database cannot be read or the file not be written.
pub fn run(config: &Config, arguments: &Arguments) -> Result<String> {
    let file = absolute(&arguments.file)?;
    let key = key_of(&file);
    if arguments.with_key && key.exists() {
        bail!("the file {} is there already", key.display());
    }
    let contents = block_on(async { Ok(backup::backup(&config.database_url, &file).await?) })?;
    let mut report = format!(
        "{}: {} bytes, {} builds{}. It was read back and is whole.\n",
        file.display(),
        contents.bytes,
        contents.builds,
        contents
            .newest_build
            .map(|at| format!(", the newest of {at}"))
            .unwrap_or_default(),
    );
    if arguments.with_key {
        backup::copy_file(&config.seal_key_file, &key)
            .with_context(|| format!("the key cannot be copied to {}", key.display()))?;
        writeln!(
            report,
            "{}: the key. Keep the two apart: together they give every stored password away.",
            key.display()
        )?;
    } else {
        writeln!(
            report,
            "The key is not in it: keep a copy of {} apart from the backup. Without it stored \
             passwords cannot be opened.",
            config.seal_key_file.display()
        )?;
    }
    report.push_str("Not in it: the configuration, mirrors, tools, certificates and build folders of the base directory.");
    Ok(report)
}

//! `fastbuild migrate --to postgres://...`: moves all rows of the SQLite database to PostgreSQL.

use anyhow::Result;
use fastbuild_store::{CopiedTable, copy_to_postgres};

use super::block_on;
use crate::{app, config::Config};

/// Where to.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// An empty PostgreSQL database: postgres://user:password@host:port/database
    #[arg(
        long,
        value_name = "URL",
        env = "FASTBUILD_MIGRATE_TO",
        hide_env_values = true
    )]
    to: String,
}

/// Copies and compares all rows, printing each table; what to do next.
///
/// # Errors
/// A sentence when the service runs, the target is in use, or rows differ in the end.
#[expect(clippy::print_stdout, reason = "a command line speaks to its user")]
pub fn run(config: &Config, arguments: &Arguments) -> Result<String> {
    // Ended first: what it wrote after the copy would be missing there.
    let _lock = app::lock(&config.base_dir)?;
    let mut copied = |table: &CopiedTable| {
        println!("{:>12}  {}", table.rows, table.name);
    };
    let tables = block_on(async {
        Ok(copy_to_postgres(&config.database_url, &arguments.to, &mut copied).await?)
    })?;
    let rows: u64 = tables.iter().map(|table| table.rows).sum();
    Ok(format!(
        "{rows} rows in {} tables are on both sides, and equal. The SQLite database is as it was.\n\
         Set database_url to the new database and start the service; keep {} where it is.",
        tables.len(),
        config.seal_key_file.display()
    ))
}

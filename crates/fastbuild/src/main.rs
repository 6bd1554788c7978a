//! The one binary: reads the configuration, runs a command.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use fastbuild::{
    app, commands,
    config::{Config, DEFAULT_FILE, Overrides},
    import, logging, skeleton,
};

/// Builds container images from a form, on a Docker Engine elsewhere
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    /// Configuration file (TOML) over the built-in default
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        env = "FASTBUILD_CONFIG"
    )]
    config: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service (the default)
    Serve,
    /// Make the folders the service needs and lay down the starter catalog of mirror files
    Init {
        /// Make the folders only
        #[arg(long)]
        without_starter: bool,
    },
    /// Read an old installation's settings, builds, images and callbacks into this one; a dry run
    /// unless --apply is given
    ImportLegacy(import::Arguments),
    /// Write the database into one file, also while the service runs
    Backup(commands::backup::Arguments),
    /// Put a backup in the place of the database; the service must be ended
    Restore(commands::restore::Arguments),
    /// Move all rows of the SQLite database to PostgreSQL; the service must be ended
    Migrate(commands::migrate::Arguments),
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print the OpenAPI document
    Openapi,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Name every mistake of the configuration at once
    Check,
    /// Print the documented default file
    Default,
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks to its user"
)]
fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::Config {
        command: ConfigCommand::Default,
    }) = cli.command
    {
        print!("{DEFAULT_FILE}");
        return ExitCode::SUCCESS;
    }
    if let Some(Command::Openapi) = cli.command {
        return match fastbuild_server::openapi().to_pretty_json() {
            Ok(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => complain(&error),
        };
    }
    let config = match Config::load(cli.config.as_deref(), &cli.overrides) {
        Ok(config) => config,
        Err(mistakes) => return complain(&mistakes),
    };
    match cli.command {
        Some(Command::Config { .. }) => {
            println!(
                "The configuration is fine; everything lives under {}.",
                config.base_dir.display()
            );
            ExitCode::SUCCESS
        }
        Some(Command::Init { without_starter }) => {
            match skeleton::init(&config, !without_starter) {
                Ok(report) => {
                    println!("{report}");
                    ExitCode::SUCCESS
                }
                Err(error) => complain(&error),
            }
        }
        Some(Command::ImportLegacy(arguments)) => report(import::run(&config, &arguments)),
        Some(Command::Backup(arguments)) => report(commands::backup::run(&config, &arguments)),
        Some(Command::Restore(arguments)) => report(commands::restore::run(&config, &arguments)),
        Some(Command::Migrate(arguments)) => report(commands::migrate::run(&config, &arguments)),
        _ => {
            #[cfg(debug_assertions)]
            match Config::crash_point() {
                Ok(Some(point)) => fastbuild_engine::crash::arm(point),
                Ok(None) => {}
                Err(mistakes) => return complain(&mistakes),
            }
            logging::start(&config.log);
            match app::serve(config) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("fastbuild: {}", commands::explain(&error));
                    ExitCode::FAILURE
                }
            }
        }
    }
}

/// Prints what a command did, or why it did not.
#[expect(clippy::print_stdout, reason = "a command line speaks to its user")]
fn report(done: anyhow::Result<String>) -> ExitCode {
    match done {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => complain(&commands::explain(&error)),
    }
}

#[expect(clippy::print_stderr, reason = "a command line speaks to its user")]
fn complain(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("fastbuild: {error}");
    ExitCode::FAILURE
}

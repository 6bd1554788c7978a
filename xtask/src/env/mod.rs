//! `cargo xtask env`: the real parts that demo and tests use, started under a folder of their own.

mod base_dir;
mod certificates;
mod daemon;
mod engines;
mod home;
mod images;
mod mirror;
mod network;
mod newer;
mod packages;
mod postgres;
mod registry;
mod service;
mod stamp;
mod uv;

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use fastbuild_testkit::env::{FILE_NAME, TestEnv};

use crate::run::{program, run, step};
use home::{Home, short_path};
pub use service::Service;

/// Starts, stops and shows the real parts.
#[derive(Subcommand)]
pub enum EnvTask {
    /// Starts whatever is not running, and makes whatever is not there.
    Up,
    /// Ends everything that was started.
    Down {
        /// Deletes the folder too, with images, certificates and passwords.
        #[arg(long)]
        purge: bool,
    },
    /// Shows what runs; the exit status is not zero when something does not.
    Status,
    /// Starts one part.
    Start {
        /// Which part.
        service: Service,
    },
    /// Stops one part, as tests of failures do.
    Stop {
        /// Which part.
        service: Service,
        /// Kills it instead of asking it to end.
        #[arg(long)]
        kill: bool,
    },
    /// Stops one part and starts it again.
    Restart {
        /// Which part.
        service: Service,
    },
}

/// Carries out an `env` command.
pub fn execute(task: &EnvTask) -> Result<()> {
    match task {
        EnvTask::Up => up().map(drop),
        EnvTask::Down { purge } => down(*purge),
        EnvTask::Status => status(),
        EnvTask::Start { service } => start(*service),
        EnvTask::Stop { service, kill } => stop(*service, *kill),
        EnvTask::Restart { service } => {
            stop(*service, false)?;
            start(*service)
        }
    }
}

/// Brings everything up and returns its description. What is up already is left alone.
pub fn up() -> Result<TestEnv> {
    let start = Instant::now();
    packages::ensure()?;
    let home = Home::find()?;
    let _lock = home.lock()?;
    home.create()?;
    let env = home.parts_or_new()?;
    home.certificates().ensure()?;
    home.link_short_path(&env)?;

    // Nothing of the root file system needs an engine, and it takes longest: both at once.
    std::thread::scope(|scope| -> Result<()> {
        let root_file_system = scope.spawn(|| mirror::ensure_root_file_system(&home));
        newer::ensure(&home)?;
        for service in Service::ALL {
            service.ensure(&home, &env)?;
        }
        home.write_parts(&env)?;
        if !env.docker.config_dir.join("config.json").exists() {
            step(
                "both engines logged in to the registry under both names",
                || {
                    registry::log_in(&env, &env.engine_plain)?;
                    registry::log_in(&env, &env.engine_tls)
                },
            )?;
        }
        joined(root_file_system)
    })?;
    images::ensure(&home, &env)?;
    base_dir::ensure(&home, &env)?;
    uv::ensure(&home, &env)?;
    println!(
        "Everything is up after {:.1} s; {} describes it.",
        start.elapsed().as_secs_f64(),
        home.path(FILE_NAME).display()
    );
    Ok(env)
}

/// The result of a thread; its panic goes on here.
fn joined<T>(handle: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn down(purge: bool) -> Result<()> {
    let home = Home::find()?;
    if !home.root().exists() {
        println!("There is nothing at {}.", home.root().display());
        return Ok(());
    }
    let _lock = home.lock()?;
    if let Some(env) = home.env()? {
        for service in Service::ALL.into_iter().rev() {
            service.stop(&home, &env, false)?;
        }
        for engine in env.engines() {
            network::remove_bridge(engine)?;
        }
        let link = short_path(&env.id);
        if link.is_symlink() {
            fs::remove_file(&link)
                .with_context(|| format!("{} cannot be removed", link.display()))?;
        }
    }
    engines::unmount_below(&home, "")?;
    if purge {
        step(&format!("{} deleted", home.root().display()), || {
            delete(home.root())
        })?;
    }
    println!("Everything is down.");
    Ok(())
}

fn delete(root: &Path) -> Result<()> {
    // A folder that somebody named by mistake must not vanish.
    if !root.join("cache/stamps").is_dir() && !root.join("lock").exists() {
        bail!(
            "{} is not a folder of `cargo xtask env`; nothing was deleted",
            root.display()
        );
    }
    run(program("rm", &["-rf", "--one-file-system", "--"]).arg(root)).map(drop)
}

/// The description, or a sentence that there is none.
fn known_parts(home: &Home) -> Result<TestEnv> {
    home.env()?.with_context(|| {
        format!(
            "nothing was started in {} yet; `cargo xtask env up` does it",
            home.root().display()
        )
    })
}

fn status() -> Result<()> {
    let home = Home::find()?;
    let env = known_parts(&home)?;
    let mut all_up = true;
    for service in Service::ALL {
        let state = service.state(&home, &env);
        all_up &= state.is_some();
        println!(
            "{:<18} {:<5} {}",
            service.name(),
            up_or_down(state.is_some()),
            state.unwrap_or_default()
        );
    }
    let missing = images::missing_from_registry(&env);
    all_up &= missing.is_empty();
    println!(
        "{:<18} {:<5} {}",
        "base images",
        up_or_down(missing.is_empty()),
        if missing.is_empty() {
            env.images.all().join(", ")
        } else {
            format!("missing: {}", missing.join(", "))
        }
    );
    let missing = base_dir::missing(&env);
    all_up &= missing.is_empty();
    println!(
        "{:<18} {:<5} {}",
        "base_dir",
        up_or_down(missing.is_empty()),
        if missing.is_empty() {
            env.base_dir.display().to_string()
        } else {
            format!("missing: {}", missing.join(", "))
        }
    );
    if !all_up {
        bail!("not everything is up; `cargo xtask env up` starts what is missing");
    }
    Ok(())
}

fn up_or_down(up: bool) -> &'static str {
    if up { "up" } else { "DOWN" }
}

/// Starts one part that `env up` has set up before.
pub fn start(service: Service) -> Result<()> {
    let home = Home::find()?;
    let _lock = home.lock()?;
    let env = known_parts(&home)?;
    home.link_short_path(&env)?;
    service.ensure(&home, &env)
}

/// Stops one part, or kills it.
pub fn stop(service: Service, kill: bool) -> Result<()> {
    let home = Home::find()?;
    let _lock = home.lock()?;
    service.stop(&home, &known_parts(&home)?, kill)
}

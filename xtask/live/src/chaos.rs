//! Chaos: a site whose replicas, engines, database and registry fail again and again; very many
//! clients that follow one build; and cancels at any moment.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, ensure};
use fastbuild_testkit::chaos::{builds, cancels, streams};
use tokio::runtime::Runtime;

use xtask::{env, run};

/// Resident memory that a service with all its clients may have, in megabytes.
const MEGABYTES: f64 = 150.0;
/// How long after a cancel the engine must be idle.
const IDLE_WITHIN: Duration = Duration::from_secs(2);

/// How much of it.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What everything is drawn from; drawn itself and printed when left out
    #[arg(long)]
    seed: Option<u64>,
    /// Only this part of it
    #[arg(long)]
    only: Option<Only>,
    /// With the service as it is released, rather than as it is debugged
    #[arg(long)]
    release: bool,
    /// With this program of the service, rather than one that is built now
    #[arg(long, conflicts_with = "release")]
    binary: Option<PathBuf>,
    /// builds: those to ask for
    #[arg(long, default_value_t = 200)]
    builds: usize,
    /// builds: things that go wrong, one after the other
    #[arg(long, default_value_t = 60)]
    faults: usize,
    /// builds: fake engines beside the two real ones
    #[arg(long, default_value_t = 2)]
    fake_engines: usize,
    /// streams: clients that follow one build
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// streams: lines that the build says
    #[arg(long, default_value_t = 2000)]
    lines: u32,
    /// streams: seconds that it takes
    #[arg(long, default_value_t = 60)]
    lasts: u64,
    /// cancels: builds to cancel
    #[arg(long, default_value_t = 100)]
    cancels: usize,
    /// cancels: builds that there are at a time
    #[arg(long, default_value_t = 4)]
    at_a_time: usize,
    /// cancels: seconds within which each is cancelled
    #[arg(long, default_value_t = 6)]
    life: u64,
}

/// A part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    /// Builds on a site that fails again and again.
    Builds,
    /// Clients that follow one build and lose their connections.
    Streams,
    /// Builds that are cancelled at any moment.
    Cancels,
}

/// Runs it and prints what came of it.
///
/// # Errors
/// When a rule was broken, or a part does not come back.
pub(crate) fn execute(options: &Options) -> Result<()> {
    env::up()?;
    let binary = match &options.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => run::build("fastbuild", options.release)?,
    };
    let seed = options.seed.unwrap_or_else(rand::random);
    println!("seed {seed}");
    let runtime = Runtime::new()?;
    let mut violations = 0;
    for (part, name) in [
        (Only::Builds, "builds"),
        (Only::Streams, "streams"),
        (Only::Cancels, "cancels"),
    ] {
        if options.only.is_none_or(|only| only == part) {
            println!("== {name}");
            violations += match part {
                Only::Builds => runtime.block_on(options.run_builds(&binary, seed)),
                Only::Streams => runtime.block_on(options.run_streams(&binary, seed)),
                Only::Cancels => runtime.block_on(options.run_cancels(&binary, seed)),
            }?;
        }
    }
    ensure!(violations == 0, "{violations} rules were broken");
    Ok(())
}

/// Each prints its report and says how many rules were broken.
impl Options {
    async fn run_builds(&self, binary: &Path, seed: u64) -> Result<usize> {
        let plan = builds::Plan {
            binary: binary.to_owned(),
            seed,
            builds: self.builds,
            faults: self.faults,
            fake_engines: self.fake_engines,
        };
        let report = builds::run(plan, |line| println!("{line}")).await?;
        println!("{report}");
        Ok(report.violations().len())
    }

    async fn run_streams(&self, binary: &Path, seed: u64) -> Result<usize> {
        let report = streams::run(streams::Plan {
            binary: binary.to_owned(),
            seed,
            clients: self.clients,
            lines: self.lines,
            lasts: Duration::from_secs(self.lasts),
            megabytes: MEGABYTES,
        })
        .await?;
        println!("{report}");
        Ok(report.violations().len())
    }

    async fn run_cancels(&self, binary: &Path, seed: u64) -> Result<usize> {
        let report = cancels::run(cancels::Plan {
            binary: binary.to_owned(),
            seed,
            cancels: self.cancels,
            at_a_time: self.at_a_time,
            life: Duration::from_secs(self.life),
            within: IDLE_WITHIN,
        })
        .await?;
        println!("{report}");
        Ok(report.violations().len())
    }
}

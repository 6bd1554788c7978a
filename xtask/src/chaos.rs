//! Chaos: a site whose replicas, engines, database and registry fail again and again.

use anyhow::{Result, ensure};
use fastbuild_testkit::chaos::run::{Plan, run};

use crate::{env, run::build_fastbuild};

/// How much of it.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What orders and faults are drawn from; drawn itself and printed when left out
    #[arg(long)]
    seed: Option<u64>,
    /// Builds to ask for
    #[arg(long, default_value_t = 200)]
    builds: usize,
    /// Things that go wrong, one after the other
    #[arg(long, default_value_t = 60)]
    faults: usize,
    /// Scripted engines beside the two real ones
    #[arg(long, default_value_t = 2)]
    scripted: usize,
}

/// Runs it and prints what came of it.
///
/// # Errors
/// When a rule was broken, or a part does not come back.
pub(crate) fn execute(options: &Options) -> Result<()> {
    env::up()?;
    let plan = Plan {
        binary: build_fastbuild(false)?,
        seed: options.seed.unwrap_or_else(rand::random),
        builds: options.builds,
        faults: options.faults,
        scripted: options.scripted,
    };
    println!("seed {}", plan.seed);
    let report = tokio::runtime::Runtime::new()?.block_on(run(plan, |line| println!("{line}")))?;
    println!("{report}");
    let wrongs = report.wrongs().len();
    ensure!(wrongs == 0, "{wrongs} rules were broken");
    Ok(())
}

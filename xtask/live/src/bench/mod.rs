//! Speed, always against a named baseline measured in the same run, on the same engine, with the same registry.

mod cases;
mod document;
mod old_way;
pub(crate) mod queue;
mod report;
mod sides;
mod timeline;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use fastbuild_testkit::{
    client::ConfigFields,
    env::{EnginePart, TestEnv},
    memory::Memory,
    service::{Service, ServiceOptions},
};

use self::{
    cases::{Case, Round},
    report::{Figures, Line, Spread},
    sides::{Bench, MOST_ROUNDS},
};
use xtask::{env, run};

const PATIENCE: Duration = Duration::from_mins(30);

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these cases, and those measured upon the same images
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<Case>,
    /// Only this engine: engine-a (20.10) or engine-c (28.5)
    #[arg(long)]
    engine: Option<String>,
    /// How often each side does each case: 1 to 7 times
    #[arg(long, default_value_t = 5, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=MOST_ROUNDS as u64))]
    rounds: usize,
}

/// Runs the benchmark and writes its figures into docs/, each as soon as it has been taken.
pub(crate) fn execute(options: &Options) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(measure(options))
}

async fn measure(options: &Options) -> Result<()> {
    env::up()?;
    let env = TestEnv::load()?;
    let binary = run::build("fastbuild", true)?;
    let folder = env.home.join("bench");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let mut figures = Figures::load()?;
    let starts = starts(&env, &binary, &folder, options.rounds).await?;
    let mut memory = None;
    for engine in [&env.engine_plain, env.engine_store()?] {
        if options
            .engine
            .as_ref()
            .is_some_and(|name| *name != engine.name)
        {
            continue;
        }
        let service = service(&env, engine, &binary, &folder).await?;
        let configured = Memory::of(service.pid())?.resident;
        let mut bench = Bench::new(&env, engine, &service).await?;
        for round in Round::ALL {
            let cases = round.cases();
            if options.cases.is_empty() || cases.iter().any(|case| options.cases.contains(case)) {
                for line in lines(&mut bench, round, &engine.name, options.rounds).await? {
                    figures.add(line);
                }
                if round == Round::Image {
                    figures.set_timelines(&engine.name, bench.timelines().await?);
                }
                figures.write()?;
            }
        }
        memory = Some((configured, Memory::of(service.pid())?.resident));
    }
    let (configured, after) =
        memory.context("there is no engine of this name: engine-a and engine-c are")?;
    figures.set_service(report::Service {
        start_seconds: starts,
        idle_megabytes: configured,
        idle_after_megabytes: after,
    });
    figures.write()
}

/// From starting the program to its ready line, each time with nothing there.
async fn starts(env: &TestEnv, binary: &Path, folder: &Path, rounds: usize) -> Result<Spread> {
    let mut seconds = Vec::new();
    for round in 0..rounds {
        let options = ServiceOptions::new(binary, folder.join(format!("start-{round}")), env);
        std::fs::create_dir_all(&options.base_dir)?;
        let mut service = Service::start(options).await?;
        seconds.push(service.ready_after.as_secs_f64());
        service.stop().await?;
    }
    Ok(Spread::of(seconds))
}

/// Waits until what the one before wrote is on the disk, so that the next does not wait for it.
fn settle() -> Result<()> {
    run::run(&mut run::program("sync", &[])).map(drop)
}

/// Both sides' rounds of one kind, as a line for each of its cases.
async fn lines(
    bench: &mut Bench<'_>,
    round: Round,
    engine: &str,
    rounds: usize,
) -> Result<Vec<Line>> {
    let cases = round.cases();
    let mut ours = vec![Vec::new(); cases.len()];
    let mut baselines = ours.clone();
    bench.prepare(round).await?;
    for number in 0..rounds {
        // The sides take turns in going first.
        let ours_first = number % 2 == 1;
        let (mut made, mut other) = (Vec::new(), Vec::new());
        for is_ours in [ours_first, !ours_first] {
            settle()?;
            if is_ours {
                made = bench.ours(round, number).await?;
            } else {
                other = bench.baseline(round, number).await?;
            }
        }
        for (index, case) in cases.iter().enumerate() {
            println!(
                "{} on {engine}: round {}: FastBuild {:.3} {unit}, {} {:.3} {unit}",
                case.name(),
                number + 1,
                made[index],
                case.baseline(),
                other[index],
                unit = case.unit()
            );
            ours[index].push(made[index]);
            baselines[index].push(other[index]);
        }
        // The Python that all its rounds have in common stays.
        if round != Round::Python {
            bench.tidy()?;
        }
    }
    let spreads = ours.into_iter().zip(baselines);
    Ok(cases
        .iter()
        .zip(spreads)
        .map(|(case, (ours, baseline))| Line {
            case: *case,
            engine: engine.to_owned(),
            rounds,
            ours: Spread::of(ours),
            baseline: Spread::of(baseline),
        })
        .collect())
}

/// A configured service on an engine, with uv among its tools, which gives built images to equal requests.
async fn service(
    env: &TestEnv,
    engine: &EnginePart,
    binary: &Path,
    folder: &Path,
) -> Result<Service> {
    let base_dir = folder.join(&engine.name);
    let tools = base_dir.join("tools");
    std::fs::create_dir_all(&tools)?;
    for (name, program) in [
        ("python", env.base_dir.join("tools/python")),
        ("uv", env.uv_folder()),
    ] {
        std::os::unix::fs::symlink(program, tools.join(name))?;
    }
    let options = ServiceOptions::new(binary, base_dir, env)
        .variable("TOOLS_DIR", tools.display().to_string())
        .variable("BUILDS__REUSE_SECONDS", "3600");
    let service = Service::start(options).await?;
    service
        .client
        .configure(ConfigFields::new(env, engine, service.port)?)
        .await?
        .data()?;
    Ok(service)
}

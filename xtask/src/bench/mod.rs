//! Speed, always against a named baseline measured in the same run, on the same engine, with the same registry.

mod cases;
mod document;
mod old_way;
pub(crate) mod queue;
mod report;
mod sides;

use std::time::Duration;

use anyhow::Result;
use fastbuild_testkit::{
    client::SiteFields,
    memory::Memory,
    parts::{EnginePart, Parts},
    service::{Service, ServiceOptions},
};

use self::{
    cases::Case,
    report::{Line, Spread},
    sides::Bench,
};
use crate::{env, run};

const PATIENCE: Duration = Duration::from_mins(30);

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these cases
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<Case>,
    /// Only this engine: engine-a (20.10) or engine-c (28.5)
    #[arg(long)]
    engine: Option<String>,
    /// How often each side does each case
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

impl Options {
    fn command(&self) -> String {
        let mut words = vec!["cargo xtask bench".to_owned()];
        words.extend(
            self.cases
                .iter()
                .map(|case| format!("--case {}", word(*case))),
        );
        words.extend(
            self.engine
                .iter()
                .map(|engine| format!("--engine {engine}")),
        );
        words.push(format!("--rounds {}", self.rounds));
        words.join(" ")
    }
}

fn word(case: Case) -> String {
    clap::ValueEnum::to_possible_value(&case)
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// Runs the benchmark and writes its figures into docs/.
pub(crate) fn execute(options: &Options) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(measure(options))
}

async fn measure(options: &Options) -> Result<()> {
    env::up()?;
    let parts = Parts::load()?;
    let binary = run::build_fastbuild(true)?;
    let folder = parts.home.join("bench");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let rounds = options.rounds.max(1);
    let mut starts = Vec::new();
    for round in 0..rounds {
        let service = ServiceOptions::new(&binary, folder.join(format!("start-{round}")), &parts);
        std::fs::create_dir_all(&service.base_dir)?;
        let mut service = Service::start(service).await?;
        starts.push(service.ready_after.as_secs_f64());
        service.stop().await?;
    }
    let cases: Vec<Case> = Case::ALL
        .into_iter()
        .filter(|case| options.cases.is_empty() || options.cases.contains(case))
        .collect();
    let mut lines = Vec::new();
    let mut memory = (0.0, 0.0);
    for engine in [&parts.engine_plain, parts.engine_store()?] {
        if options
            .engine
            .as_ref()
            .is_some_and(|name| *name != engine.name)
        {
            continue;
        }
        let (built, reusing) = (
            service(&parts, engine, &binary, &folder, "0").await?,
            service(&parts, engine, &binary, &folder, "3600").await?,
        );
        memory.0 = Memory::of(built.pid())?.resident;
        let bench = Bench {
            parts: &parts,
            engine,
            built: &built,
            reusing: &reusing,
        };
        for case in &cases {
            let (mut ours, mut baseline) = (Vec::new(), Vec::new());
            bench.prepare(*case).await?;
            for round in 1..=rounds {
                // The sides take turns in going first.
                let (made, other) = if round % 2 == 0 {
                    let made = bench.ours(*case).await?;
                    (made, bench.baseline(*case)?)
                } else {
                    let other = bench.baseline(*case)?;
                    (bench.ours(*case).await?, other)
                };
                println!(
                    "{} on {}: round {round}: FastBuild {made:.3} {unit}, {} {other:.3} {unit}",
                    case.name(),
                    engine.name,
                    case.baseline(),
                    unit = case.unit()
                );
                ours.push(made);
                baseline.push(other);
            }
            lines.push(Line {
                case: *case,
                engine: engine.name.clone(),
                ours: Spread::of(ours),
                baseline: Spread::of(baseline),
            });
        }
        memory.1 = Memory::of(built.pid())?.resident;
    }
    let service = report::Service {
        start: Spread::of(starts),
        idle_megabytes: memory.0,
        idle_after_megabytes: memory.1,
    };
    report::write(&lines, &service, rounds, &options.command())
}

/// A service on an engine that gives built images to equal requests for so many seconds.
async fn service(
    parts: &Parts,
    engine: &EnginePart,
    binary: &std::path::Path,
    folder: &std::path::Path,
    reuse: &str,
) -> Result<Service> {
    let base_dir = folder.join(format!("{}-{reuse}", engine.name));
    std::fs::create_dir_all(&base_dir)?;
    let options =
        ServiceOptions::new(binary, base_dir, parts).variable("BUILDS__REUSE_SECONDS", reuse);
    let service = Service::start(options).await?;
    service
        .client
        .configure(SiteFields::new(parts, engine, service.port)?)
        .await?
        .data()?;
    Ok(service)
}

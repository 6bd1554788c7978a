//! Speed, as ratios against the plain engine in the same run: the same Dockerfile, built and pushed
//! by hand on one side, submitted and called back on the other.

use std::{
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use fastbuild_testkit::{
    client::{SiteFields, wait_for_callbacks},
    container,
    parts::{EnginePart, Parts},
    request::Request,
    service::{Service, ServiceOptions},
};

use crate::{env, run};

const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_mins(30);
const REPORT: &str = "docs/performance.md";
const BEGIN: &str = "<!-- figures of `cargo xtask bench`: begin -->";
const END: &str = "<!-- figures of `cargo xtask bench`: end -->";

/// One kind of image that both sides make.
struct Case {
    name: &'static str,
    request: fn(Request) -> Request,
}

const CASES: [Case; 2] = [
    Case {
        name: "trivial (base image and labels)",
        request: |request| request,
    },
    Case {
        name: "apt: git curl; pip: numpy requests",
        request: |request| {
            request
                .system("apt", &["git", "curl"])
                .pip(&["numpy", "requests"])
        },
    },
];

/// Runs the benchmark and writes its figures into docs/performance.md.
pub(crate) fn execute() -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(measure())
}

async fn measure() -> Result<()> {
    env::up()?;
    let parts = Parts::load()?;
    let binary = run::build_fastbuild(true)?;
    let folder = parts.home.join("bench");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }

    let mut starts = Vec::new();
    for round in 0..ROUNDS {
        let options = ServiceOptions::new(&binary, folder.join(format!("start-{round}")), &parts);
        std::fs::create_dir_all(&options.base_dir)?;
        let mut service = Service::start(options).await?;
        starts.push(service.ready_after.as_secs_f64());
        service.stop().await?;
    }

    let options = ServiceOptions::new(&binary, folder.join("service"), &parts);
    std::fs::create_dir_all(&options.base_dir)?;
    let service = Service::start(options).await?;
    let engine = &parts.engine_plain;
    service
        .client
        .configure(SiteFields::new(&parts, engine, service.port)?)
        .await?
        .data()?;
    let idle_before = resident_megabytes(service.pid())?;

    let mut figures = Vec::new();
    let mut first_steps = Vec::new();
    for case in &CASES {
        let mut ours = Vec::new();
        let mut plain = Vec::new();
        // The first round fills the caches of downloads and is not counted; the Dockerfile it
        // rendered is what the plain engine builds. Then the sides take turns in going first.
        let template = ours_once(&parts, &service, case, 0).await?;
        plain_once(&parts, engine, &template, 0)?;
        for round in 1..=ROUNDS {
            let (made, baseline) = if round % 2 == 0 {
                let made = ours_once(&parts, &service, case, round).await?;
                (made, plain_once(&parts, engine, &template, round)?)
            } else {
                let baseline = plain_once(&parts, engine, &template, round)?;
                (ours_once(&parts, &service, case, round).await?, baseline)
            };
            println!(
                "{}: round {round}: FastBuild {:.2} s, plain engine {baseline:.2} s",
                case.name, made.seconds
            );
            ours.push(made.seconds);
            plain.push(baseline);
            first_steps.push(made.first_step);
        }
        figures.push((case.name, Spread::of(ours), Spread::of(plain)));
    }
    let idle_after = resident_megabytes(service.pid())?;
    let report = render(
        &figures,
        &Spread::of(starts),
        &Spread::of(first_steps),
        idle_before,
        idle_after,
    )?;
    println!("\n{report}");
    write_report(&report)
}

/// An image the service made, and how long that took.
struct Made {
    /// From sending the request to the callback's arrival.
    seconds: f64,
    /// From sending the request to the start of the first step, in seconds.
    first_step: f64,
    dockerfile: String,
    base: String,
    target: String,
}

/// From the submission to the callback, through the service. A base image of its own for every
/// round keeps the layer cache out; downloads stay cached on both sides.
async fn ours_once(parts: &Parts, service: &Service, case: &Case, round: usize) -> Result<Made> {
    let engine = &parts.engine_plain;
    let base = fresh_base(parts, engine, "ours", round)?;
    let stamp = stamp()?;
    let token = format!("bench-{stamp}");
    let target = parts.image(&format!("bench/ours:{stamp}"));
    let request = (case.request)(Request::new(&base, &target))
        .callback(&format!("{}/cb/{token}/done", parts.callback.url));
    let submitted = run::now()?;
    let begun = Instant::now();
    let answer = service.client.submit(request.body()).await?;
    let task_id = answer.data()?["task_id"].as_i64().context("no task_id")?;
    wait_for_callbacks(parts, &token, 1, PATIENCE).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let task = service.client.task(task_id).await?;
    ensure!(task["state"] == "PUSH_SUCCESS", "the build ended as {task}");
    let steps = service.client.steps(task_id).await?;
    let first: jiff::civil::DateTime = steps[0]["start_time"]
        .as_str()
        .unwrap_or_default()
        .parse()?;
    let first = first
        .to_zoned_datetime(jiff::tz::TimeZone::system())?
        .timestamp();
    let first_step = first.as_duration().as_secs_f64() - submitted.as_secs_f64();
    let folder = task["work_dir_name"].as_str().unwrap_or_default();
    let dockerfile = service.client.task_file(folder, "Dockerfile").await?;
    Ok(Made {
        seconds,
        first_step,
        dockerfile,
        base,
        target,
    })
}

/// The same Dockerfile, built and pushed with the engine's own command line.
fn plain_once(parts: &Parts, engine: &EnginePart, made: &Made, round: usize) -> Result<f64> {
    let base = fresh_base(parts, engine, "plain", round)?;
    let folder = tempfile::tempdir()?;
    std::fs::write(
        folder.path().join("Dockerfile"),
        made.dockerfile.replace(&made.base, &base),
    )?;
    copy_context(parts, engine, made, folder.path())?;
    let target = parts.image(&format!("bench/plain:{}", stamp()?));
    let begun = Instant::now();
    let mut build = parts.docker(engine);
    build.env("DOCKER_BUILDKIT", "1");
    run::run(
        build
            .args(["build", "--quiet", "--tag", &target])
            .arg(folder.path()),
    )?;
    let mut push = parts.docker(engine);
    run::run(push.args(["push", "--quiet", &target]))?;
    Ok(begun.elapsed().as_secs_f64())
}

/// The files that the Dockerfile copies from its context, taken from where they ended up.
fn copy_context(parts: &Parts, engine: &EnginePart, made: &Made, folder: &Path) -> Result<()> {
    for line in made.dockerfile.lines() {
        let Some(copy) = line.strip_prefix("COPY [") else {
            continue;
        };
        let names: Vec<String> = serde_json::from_str(&format!("[{copy}"))?;
        let [from, to] = names.as_slice() else {
            bail!("the benchmark cannot repeat the line {line}");
        };
        let text = container::run_once(parts, engine, &made.target, &["cat", to])?;
        let path = folder.join(from);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, text)?;
    }
    Ok(())
}

/// A base image that differs from every other by one small file, on the engine and in the registry.
fn fresh_base(parts: &Parts, engine: &EnginePart, side: &str, round: usize) -> Result<String> {
    let name = parts.image(&format!("bench/base-{side}:{}-{round}", stamp()?));
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("stamp"), &name)?;
    std::fs::write(
        folder.path().join("Dockerfile"),
        format!(
            "FROM {}\nCOPY stamp /bench-stamp\n",
            parts.image(&parts.images.debian)
        ),
    )?;
    let mut build = parts.docker(engine);
    run::run(
        build
            .args(["build", "--quiet", "--tag", &name])
            .arg(folder.path()),
    )?;
    let mut push = parts.docker(engine);
    run::run(push.args(["push", "--quiet", &name]))?;
    Ok(name)
}

fn stamp() -> Result<u128> {
    Ok(run::now()?.as_micros())
}

/// Resident memory of a process (`VmRSS`), in megabytes.
fn resident_megabytes(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes: f64 = status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .context("the process tells no VmRSS")?;
    Ok(kilobytes / 1024.0)
}

/// The median of several measurements, with the least and the greatest.
struct Spread {
    median: f64,
    least: f64,
    greatest: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            median: values[values.len() / 2],
            least: values[0],
            greatest: values[values.len() - 1],
        }
    }

    fn text(&self) -> String {
        format!(
            "{:.3} ({:.3} to {:.3})",
            self.median, self.least, self.greatest
        )
    }
}

fn render(
    figures: &[(&str, Spread, Spread)],
    start: &Spread,
    first_step: &Spread,
    idle_before: f64,
    idle_after: f64,
) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "Medians of {ROUNDS} rounds, least and greatest in brackets.\n"
    )?;
    writeln!(
        text,
        "| image | FastBuild, submit to callback, s | plain engine, build and push, s | ratio |"
    )?;
    writeln!(text, "|---|---|---|---|")?;
    for (name, ours, plain) in figures {
        let ratio = ours.median / plain.median;
        writeln!(
            text,
            "| {name} | {} | {} | {ratio:.3} |",
            ours.text(),
            plain.text()
        )?;
    }
    writeln!(text)?;
    writeln!(text, "| measure | figure |")?;
    writeln!(text, "|---|---|")?;
    writeln!(text, "| from start to ready, s | {} |", start.text())?;
    writeln!(
        text,
        "| from submit to the first step, s | {} |",
        first_step.text()
    )?;
    writeln!(
        text,
        "| idle memory once configured, MB | {idle_before:.1} |"
    )?;
    writeln!(
        text,
        "| idle memory after the builds above, MB | {idle_after:.1} |"
    )?;
    Ok(text)
}

fn write_report(figures: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(REPORT);
    let report = std::fs::read_to_string(&path)?;
    let (before, rest) = report
        .split_once(BEGIN)
        .with_context(|| format!("{REPORT} has lost the line {BEGIN}"))?;
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("{REPORT} has lost the line {END}"))?;
    std::fs::write(&path, format!("{before}{BEGIN}\n\n{figures}\n{END}{after}"))?;
    println!("written into {REPORT}");
    Ok(())
}

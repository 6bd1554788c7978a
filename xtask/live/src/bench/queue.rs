//! The queue and the lists: from submission to first step, claims per second, and what a million
//! builds cost that a thousand do not.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use fastbuild_testkit::{
    client::ConfigFields,
    env::TestEnv,
    request::Request,
    service::{Service, ServiceOptions},
};
use jiff::Timestamp;
use serde_json::Value;

use super::{PATIENCE, document, report::Spread, sides};
use xtask::{env, run};

const FIGURES: &str = "docs/performance-queue.json";
/// Builds that are submitted, each when the one before it has ended.
const SUBMISSIONS: usize = 31;

/// Runs it and writes its figures into docs/.
pub(crate) fn execute() -> Result<()> {
    env::up()?;
    let first_step = tokio::runtime::Runtime::new()?.block_on(first_step())?;
    let mut cargo = run::program(
        env!("CARGO"),
        &[
            "bench",
            "--quiet",
            "--package",
            "fastbuild-store",
            "--bench",
            "queue",
        ],
    );
    let printed = run::step("the queue and the lists on both databases", || {
        run::run(&mut cargo)
    })?;
    let mut found: Value = serde_json::from_str(&printed)
        .with_context(|| format!("the benchmark printed no JSON: {printed}"))?;
    found["first_step_seconds"] = serde_json::to_value(&first_step)?;
    std::fs::write(
        document::path(FIGURES),
        format!("{}\n", serde_json::to_string_pretty(&found)?),
    )?;
    document::replace("bench-queue", &table(&found, &first_step)?)
}

/// From sending a request to the start of its first step, on an engine that has nothing else to do.
async fn first_step() -> Result<Spread> {
    let env = TestEnv::load()?;
    let binary = run::build("fastbuild", true)?;
    let folder = env.home.join("bench-queue");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let service = Service::start(ServiceOptions::new(&binary, &folder, &env)).await?;
    let fields = ConfigFields::new(&env, &env.engine_plain, service.port)?;
    service.client.configure(fields).await?.data()?;
    let mut seconds = Vec::new();
    for _ in 0..SUBMISSIONS {
        let target = env.image(&format!("bench/queue:{}", sides::stamp()?));
        let request = Request::new(&env.image(&env.images.debian), &target);
        let sent = run::now()?.as_micros();
        let answer = service.client.submit(request.body()).await?;
        let task_id = answer.data()?["task_id"].as_i64().context("no task_id")?;
        let task = service.client.wait_for_end(task_id, PATIENCE).await?;
        ensure!(task["state"] == "PUSH_SUCCESS", "the build ended as {task}");
        let events = service.client.events(task_id).await?;
        let begun: Timestamp = events
            .iter()
            .find(|event| event["event"] == "step")
            .and_then(|event| event["at"].as_str())
            .context("the build has no step")?
            .parse()?;
        let begun = u128::try_from(begun.as_microsecond())?;
        #[expect(clippy::cast_precision_loss, reason = "a build is not years long")]
        seconds.push(begun.saturating_sub(sent) as f64 / 1e6);
    }
    Ok(Spread::of(seconds))
}

fn table(found: &Value, first_step: &Spread) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "`cargo xtask bench-queue`\n\nFrom submission to the first step, median of {SUBMISSIONS}, least and greatest in brackets: {} s.\n",
        first_step.text()
    )?;
    writeln!(
        text,
        "| database | claimers | claims per second |\n|---|---|---|"
    )?;
    for line in rows(found, "claims")? {
        let rate = &line["per_second"];
        writeln!(
            text,
            "| {} | {} | {:.0} ({:.0} to {:.0}) |",
            word(&line["database"]),
            line["claimers"],
            number(&rate["median"])?,
            number(&rate["least"])?,
            number(&rate["greatest"])?,
        )?;
    }
    writeln!(
        text,
        "\n| database | question | of 1,000 builds, ms | of 1,000,000, ms | ratio at the 99th percentile |\n|---|---|---|---|---|"
    )?;
    for line in rows(found, "lists")? {
        let quantiles = |name: &str| -> Result<String> {
            Ok(format!(
                "{:.3}, 99th {:.3}",
                number(&line[name]["median_ms"])?,
                number(&line[name]["99th_ms"])?
            ))
        };
        writeln!(
            text,
            "| {} | {} | {} | {} | {:.2} |",
            word(&line["database"]),
            word(&line["question"]),
            quantiles("thousand")?,
            quantiles("million")?,
            number(&line["ratio_99"])?,
        )?;
    }
    Ok(text)
}

fn rows<'a>(found: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    found[name]
        .as_array()
        .with_context(|| format!("the benchmark printed no {name}"))
}

fn number(value: &Value) -> Result<f64> {
    value.as_f64().context("the benchmark printed no number")
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

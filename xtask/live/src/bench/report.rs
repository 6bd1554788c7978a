//! What the benchmark found, as a table, as JSON and as a chart.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{cases::Case, document, timeline::Timeline};

const FIGURES: &str = "docs/performance.json";
const CHART: &str = "docs/performance.svg";
const TIMELINES: &str = "docs/performance-timelines.md";

/// All that was measured. A run replaces what it measures anew, and keeps the rest as it was.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Figures {
    lines: Vec<Line>,
    service: Option<Service>,
    /// By engine.
    timelines: BTreeMap<String, Vec<(Case, Timeline)>>,
}

/// One line of the table: a case on an engine, both sides in the same run.
#[derive(Deserialize)]
pub(super) struct Line {
    pub(super) case: Case,
    pub(super) engine: String,
    pub(super) rounds: usize,
    #[serde(rename = "fastbuild")]
    pub(super) ours: Spread,
    pub(super) baseline: Spread,
}

impl Line {
    /// How many times less of the baseline we took.
    fn times(&self) -> f64 {
        self.baseline.median / self.ours.median
    }

    fn reached(&self) -> &'static str {
        if self.times() >= self.case.wanted() {
            "yes"
        } else {
            "no"
        }
    }
}

impl Serialize for Line {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "case": self.case,
            "title": self.case.name(),
            "engine": self.engine,
            "rounds": self.rounds,
            "unit": self.case.unit(),
            "fastbuild": self.ours,
            "baseline": self.baseline,
            "baseline_is": self.case.baseline(),
            "times": self.times(),
            "expected_times": self.case.wanted(),
        })
        .serialize(serializer)
    }
}

/// The service by itself.
#[derive(Serialize, Deserialize)]
pub(super) struct Service {
    pub(super) start_seconds: Spread,
    pub(super) idle_megabytes: f64,
    pub(super) idle_after_megabytes: f64,
}

/// The median of several measurements, with the least and the greatest.
#[derive(Serialize, Deserialize)]
pub(super) struct Spread {
    median: f64,
    least: f64,
    greatest: f64,
}

impl Spread {
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            median: values[values.len() / 2],
            least: values[0],
            greatest: values[values.len() - 1],
        }
    }

    pub(super) fn text(&self) -> String {
        format!(
            "{:.3} ({:.3} to {:.3})",
            self.median, self.least, self.greatest
        )
    }
}

impl Figures {
    /// Those of the last run, or none before the first.
    pub(super) fn load() -> Result<Self> {
        let path = document::path(FIGURES);
        if !path.exists() {
            return Ok(Self::default());
        }
        serde_json::from_str(&std::fs::read_to_string(&path)?)
            .with_context(|| format!("{FIGURES} does not have the shape this benchmark writes"))
    }

    /// With a line instead of its older one.
    pub(super) fn add(&mut self, line: Line) {
        self.lines
            .retain(|old| (old.case, &old.engine) != (line.case, &line.engine));
        self.lines.push(line);
        self.lines
            .sort_by(|a, b| (a.case, &a.engine).cmp(&(b.case, &b.engine)));
    }

    /// With other figures of the service by itself.
    pub(super) fn set_service(&mut self, service: Service) {
        self.service = Some(service);
    }

    /// With other timelines on an engine.
    pub(super) fn set_timelines(&mut self, engine: &str, timelines: Vec<(Case, Timeline)>) {
        self.timelines.insert(engine.to_owned(), timelines);
    }

    /// Writes the tables, the figures and the pictures.
    pub(super) fn write(&self) -> Result<()> {
        let json = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(document::path(FIGURES), json)?;
        std::fs::write(document::path(CHART), chart(&self.lines)?)?;
        self.write_timelines()?;
        document::replace("bench", &table(self)?)
    }

    fn write_timelines(&self) -> Result<()> {
        let mut text = "# Where the time goes\n\nWritten by `cargo xtask bench`: single builds, from the sending of the request to the arrival of the callback, read from\nthe builds' own events. What ran within a step is marked by dots; what has the same time ran at the same time.\n".to_owned();
        for (engine, timelines) in &self.timelines {
            for (case, timeline) in timelines {
                let word = serde_json::to_value(case)?;
                let picture = format!(
                    "performance-{engine}-{}.svg",
                    word.as_str().unwrap_or_default()
                );
                std::fs::write(
                    document::path(&format!("docs/{picture}")),
                    timeline.chart()?,
                )?;
                write!(
                    text,
                    "\n## {}, on {engine}\n\n![{0}, on {engine}]({picture})\n\n{}",
                    case.name(),
                    timeline.table()?
                )?;
            }
        }
        Ok(std::fs::write(document::path(TIMELINES), text)?)
    }
}

fn table(figures: &Figures) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "`cargo xtask bench`: medians, least and greatest in brackets. The bar in the picture is the ratio, the red mark what was expected.\n\n![how many times less than the baseline](performance.svg)\n\nWhere the time goes in single builds: [performance-timelines.md](performance-timelines.md).\n"
    )?;
    writeln!(
        text,
        "| case | engine | rounds | FastBuild | baseline | times | expected | reached |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|---|---|")?;
    for line in &figures.lines {
        writeln!(
            text,
            "| {}, {} | {} | {} | {} | {}: {} | {:.2} | {:.2} | {} |",
            line.case.name(),
            line.case.unit(),
            line.engine,
            line.rounds,
            line.ours.text(),
            line.case.baseline(),
            line.baseline.text(),
            line.times(),
            line.case.wanted(),
            line.reached()
        )?;
    }
    if let Some(service) = &figures.service {
        writeln!(text, "\n| the service by itself | figure |\n|---|---|")?;
        writeln!(
            text,
            "| from start to ready, s | {} |",
            service.start_seconds.text()
        )?;
        writeln!(
            text,
            "| idle memory once configured, MB | {:.1} |\n| idle memory after builds, MB | {:.1} |",
            service.idle_megabytes, service.idle_after_megabytes
        )?;
    }
    Ok(text)
}

/// A bar per line, on a logarithmic scale, with a mark where it was expected to end.
fn chart(lines: &[Line]) -> Result<String> {
    const ROW: usize = 24;
    const LEFT: f64 = 360.0;
    const DECADE: f64 = 130.0;
    let place = |times: f64| LEFT + DECADE * (times.max(0.1).log10() + 1.0);
    let height = ROW * (lines.len() + 1);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"960\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"960\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (row, line) in lines.iter().enumerate() {
        let top = ROW * row + 6;
        let base = top + 12;
        let (end, mark) = (place(line.times()), place(line.case.wanted()));
        writeln!(
            text,
            "<text x=\"6\" y=\"{base}\">{} ({})</text><rect x=\"{LEFT}\" y=\"{top}\" width=\"{:.1}\" height=\"14\" fill=\"#3b7dd8\"/><line x1=\"{mark:.1}\" x2=\"{mark:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"#c0392b\" stroke-width=\"2\"/><text x=\"{:.1}\" y=\"{base}\">{:.2}</text>",
            line.case.name(),
            line.engine,
            (end - LEFT).max(1.0),
            top - 2,
            top + 16,
            end.max(mark) + 6.0,
            line.times()
        )?;
    }
    text.push_str("</svg>\n");
    Ok(text)
}

//! What the benchmark found, as a table, as JSON and as a chart.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use super::{cases::Case, document};

const FIGURES: &str = "docs/performance.json";
const CHART: &str = "docs/performance.svg";

/// One line of the table: a case on an engine.
pub(super) struct Line {
    pub(super) case: Case,
    pub(super) engine: String,
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

    fn json(&self) -> Value {
        json!({
            "case": self.case.name(),
            "engine": self.engine,
            "unit": self.case.unit(),
            "fastbuild": self.ours.json(),
            "baseline": self.baseline.json(),
            "baseline_is": self.case.baseline(),
            "times": self.times(),
            "expected_times": self.case.wanted(),
        })
    }
}

/// The service by itself.
pub(super) struct Service {
    pub(super) start: Spread,
    pub(super) idle_megabytes: f64,
    pub(super) idle_after_megabytes: f64,
}

/// The median of several measurements, with the least and the greatest.
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

    pub(super) fn json(&self) -> Value {
        json!({"median": self.median, "least": self.least, "greatest": self.greatest})
    }

    pub(super) fn text(&self) -> String {
        format!(
            "{:.3} ({:.3} to {:.3})",
            self.median, self.least, self.greatest
        )
    }
}

/// Writes the table, the figures and the chart.
pub(super) fn write(lines: &[Line], service: &Service, rounds: usize, command: &str) -> Result<()> {
    let figures = json!({
        "command": command,
        "rounds": rounds,
        "lines": lines.iter().map(Line::json).collect::<Vec<_>>(),
        "start_seconds": service.start.json(),
        "idle_megabytes": service.idle_megabytes,
        "idle_after_megabytes": service.idle_after_megabytes,
    });
    std::fs::write(
        document::path(FIGURES),
        serde_json::to_string_pretty(&figures)?,
    )?;
    std::fs::write(document::path(CHART), chart(lines)?)?;
    document::replace("bench", &table(lines, service, rounds, command)?)
}

fn table(lines: &[Line], service: &Service, rounds: usize, command: &str) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "`{command}`: medians of {rounds} rounds, least and greatest in brackets.\n\n![how many times less than the baseline](performance.svg)\n"
    )?;
    writeln!(
        text,
        "| case | engine | FastBuild | baseline | times | expected | reached |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|---|")?;
    for line in lines {
        writeln!(
            text,
            "| {}, {} | {} | {} | {}: {} | {:.2} | {:.2} | {} |",
            line.case.name(),
            line.case.unit(),
            line.engine,
            line.ours.text(),
            line.case.baseline(),
            line.baseline.text(),
            line.times(),
            line.case.wanted(),
            line.reached()
        )?;
    }
    writeln!(text, "\n| the service by itself | figure |\n|---|---|")?;
    writeln!(
        text,
        "| from start to ready, s | {} |",
        service.start.text()
    )?;
    writeln!(
        text,
        "| idle memory once configured, MB | {:.1} |\n| idle memory after the builds above, MB | {:.1} |",
        service.idle_megabytes, service.idle_after_megabytes
    )?;
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

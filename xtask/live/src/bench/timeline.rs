//! Where the time of one build goes, from the request to its callback: read from the build's own events.

use std::{collections::HashMap, fmt::Write as _};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What ran when, in the order of its beginnings.
#[derive(Serialize, Deserialize)]
pub(super) struct Timeline {
    spans: Vec<Span>,
}

/// Seconds from the sending of the request on.
#[derive(Serialize, Deserialize)]
struct Span {
    name: String,
    /// Whether it lies within a step of the build.
    inner: bool,
    begin: f64,
    end: f64,
}

impl Timeline {
    /// Reads the events of a build whose request was sent, and whose callback arrived, at these times.
    pub(super) fn of(events: &[Value], sent: Timestamp, arrived: Timestamp) -> Result<Self> {
        let after = |time: Timestamp| time.duration_since(sent).as_secs_f64();
        let mut spans = Vec::new();
        let mut span = |name: &str, inner: bool, begin: f64, end: f64| {
            spans.push(Span {
                name: name.to_owned(),
                inner,
                begin,
                end,
            });
        };
        let mut open: HashMap<String, f64> = HashMap::new();
        let mut last = 0.0;
        let mut begun = false;
        for event in events {
            // The stream's end is no event of the build.
            let Some(at) = event["at"].as_str() else {
                continue;
            };
            let at = after(at.parse()?);
            let (name, status, inner) = if event["event"] == "step" {
                (&event["step"], &event["status"], false)
            } else {
                (&event["stage"]["name"], &event["stage"]["status"], true)
            };
            if let (Some(name), Some(status)) = (name.as_str(), status.as_str()) {
                if !std::mem::replace(&mut begun, true) {
                    span("taken and queued", false, 0.0, at);
                }
                match status {
                    "running" | "started" => {
                        open.insert(name.to_owned(), at);
                    }
                    _ => {
                        if let Some(begin) = open.remove(name) {
                            span(name, inner, begin, at);
                        }
                    }
                }
            }
            last = at;
        }
        ensure!(open.is_empty(), "without an end in the events: {open:?}");
        span("callback", false, last, after(arrived));
        spans.sort_by(|a, b| a.begin.total_cmp(&b.begin).then(b.end.total_cmp(&a.end)));
        Ok(Self { spans })
    }

    fn end(&self) -> f64 {
        self.spans
            .iter()
            .fold(0.0, |end, span| f64::max(end, span.end))
    }

    /// The steps in words, each with its share of the whole.
    pub(super) fn table(&self) -> Result<String> {
        let mut text = "| from | s | share | what |\n|---|---|---|---|\n".to_owned();
        for span in &self.spans {
            let seconds = span.end - span.begin;
            writeln!(
                text,
                "| {:.3} | {seconds:.3} | {:.1} % | {}{} |",
                span.begin,
                100.0 * seconds / self.end(),
                if span.inner { "... " } else { "" },
                shortened(&span.name).replace('|', "\\|")
            )?;
        }
        Ok(text)
    }

    /// A bar per span along the time.
    pub(super) fn chart(&self) -> Result<String> {
        const ROW: usize = 20;
        const WIDTH: f64 = 620.0;
        let scale = WIDTH / self.end().max(0.001);
        let height = ROW * (self.spans.len() + 1);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1100\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"1100\" height=\"{height}\" fill=\"white\"/>\n"
        );
        for (row, span) in self.spans.iter().enumerate() {
            let top = ROW * row + 4;
            let color = if span.inner { "#9bbde8" } else { "#3b7dd8" };
            let begin = 6.0 + span.begin * scale;
            let width = ((span.end - span.begin) * scale).max(1.0);
            writeln!(
                text,
                "<rect x=\"{begin:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"14\" fill=\"{color}\"/><text x=\"{}\" y=\"{}\">{:.3} s {}</text>",
                WIDTH + 16.0,
                top + 11,
                span.end - span.begin,
                escaped(&shortened(&span.name))
            )?;
        }
        text.push_str("</svg>\n");
        Ok(text)
    }
}

/// The first words of a command.
fn shortened(name: &str) -> String {
    const MOST: usize = 64;
    let line = name.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// A time of this machine's clock as the events write theirs.
pub(super) fn timestamp(since_1970: std::time::Duration) -> Result<Timestamp> {
    let microseconds = i64::try_from(since_1970.as_micros())?;
    Timestamp::from_microsecond(microseconds).context("a time out of range")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spans_follow_the_steps_and_what_ran_within_them() {
        let step = |at: &str, status: &str| json!({"event": "step", "at": format!("2026-01-01T00:00:{at}Z"), "step": "build", "status": status});
        let stage = |at: &str, status: &str| json!({"event": "progress", "at": format!("2026-01-01T00:00:{at}Z"), "stage": {"name": "[1/1] RUN a | b", "status": status}});
        let events = [
            json!({"event": "state", "at": "2026-01-01T00:00:01Z"}),
            step("02", "running"),
            stage("03", "started"),
            stage("07", "done"),
            step("08", "success"),
            json!({"event": "end"}),
        ];
        let time = |second: i64| Timestamp::from_second(1_767_225_600 + second).unwrap();
        let timeline = Timeline::of(&events, time(0), time(10)).unwrap();
        let found: Vec<_> = timeline
            .spans
            .iter()
            .map(|span| (span.name.as_str(), span.begin, span.end))
            .collect();
        assert_eq!(
            found,
            [
                ("taken and queued", 0.0, 2.0),
                ("build", 2.0, 8.0),
                ("[1/1] RUN a | b", 3.0, 7.0),
                ("callback", 8.0, 10.0),
            ]
        );
        assert!(
            timeline
                .table()
                .unwrap()
                .contains("| 3.000 | 4.000 | 40.0 % | ... [1/1] RUN a \\| b |")
        );
        assert!(Timeline::of(&events[..3], time(0), time(10)).is_err());
    }
}

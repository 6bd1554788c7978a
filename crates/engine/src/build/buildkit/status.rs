//! Turns BuildKit's status stream into progress: stages, log lines and layer transfers.
//!
//! Vertices of the Dockerfile and of the export become stages; internal ones (`[internal] ...`, `[auth] ...`)
//! appear in the log only. Each log line starts with the number of its vertex (`#5 `), because vertices run
//! in parallel.

use std::collections::{HashMap, VecDeque};

use bollard_buildkit_proto::{
    google::protobuf::Timestamp,
    moby::buildkit::v1::{self, StatusResponse},
};
use fastbuild_spec::{
    event::{Progress, StageStatus},
    log_line::{Line, Mask, OpenLine},
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{ProgressSender, error::classify::FailedStep};

/// Lines kept of each vertex, for the error if it fails.
const TAIL_LINES: usize = 200;
/// Masking shorter secrets would mask ordinary words.
const MIN_SECRET_BYTES: usize = 6;

/// Follows one build.
pub(super) struct Tracker {
    progress: ProgressSender,
    mask: Mask,
    vertices: HashMap<String, Vertex>,
    stages: u32,
    /// The first vertex that failed by itself.
    failed: Option<String>,
}

struct Vertex {
    number: usize,
    stage: Option<u32>,
    name: String,
    status: Option<StageStatus>,
    /// Output that has not come to the end of its line, by stream.
    open: HashMap<i64, OpenLine>,
    tail: VecDeque<String>,
    /// What was said of the parts of its work (`exporting layers`), to say each once.
    reported: Vec<String>,
}

impl Tracker {
    pub(super) fn new(progress: ProgressSender, secrets: Vec<(String, SecretString)>) -> Self {
        let secrets = secrets.into_iter().map(|(_, value)| value);
        let secrets = secrets.filter(|value| value.expose_secret().len() >= MIN_SECRET_BYTES);
        Self {
            progress,
            mask: Mask::new(secrets),
            vertices: HashMap::new(),
            stages: 0,
            failed: None,
        }
    }

    pub(super) fn update(&mut self, update: StatusResponse) {
        // First all names, so that the total is known before the first stage starts, and in the
        // Dockerfile's order: BuildKit gives the vertices of one message in no order.
        let mut names: Vec<_> = update.vertexes.iter().collect();
        names.sort_by_key(|vertex| dockerfile_order(&vertex.name));
        for vertex in names {
            self.register(vertex);
        }
        // Output before endings: the last lines of a vertex come with the news of its end.
        for vertex in &update.vertexes {
            if vertex.completed.is_none() {
                self.advance(vertex);
            }
        }
        for log in update.logs {
            self.output(&log.vertex, log.stream, &log.msg);
        }
        for status in &update.statuses {
            self.part(status);
        }
        for warning in &update.warnings {
            let text = String::from_utf8_lossy(&warning.short).into_owned();
            self.log_line(&warning.vertex, &format!("WARNING: {text}"));
        }
        for vertex in &update.vertexes {
            if vertex.completed.is_some() {
                self.advance(vertex);
            }
        }
    }

    /// Ends the log; the step that failed, if one did.
    pub(super) fn finish(mut self) -> Option<FailedStep> {
        let digests: Vec<_> = self.vertices.keys().cloned().collect();
        for digest in digests {
            self.close_lines(&digest);
        }
        let vertex = self.vertices.remove(self.failed.as_ref()?)?;
        Some(FailedStep {
            stage: vertex.name,
            lines: vertex.tail.into(),
        })
    }

    fn register(&mut self, vertex: &v1::Vertex) {
        if self.vertices.contains_key(&vertex.digest) {
            return;
        }
        let internal = ["[internal]", "[auth]", "[context"]
            .iter()
            .any(|start| vertex.name.starts_with(start));
        let stage = (!internal).then(|| {
            self.stages += 1;
            self.stages
        });
        let known = Vertex {
            number: self.vertices.len() + 1,
            stage,
            name: vertex.name.clone(),
            status: None,
            open: HashMap::new(),
            tail: VecDeque::new(),
            reported: Vec::new(),
        };
        self.vertices.insert(vertex.digest.clone(), known);
    }

    fn advance(&mut self, news: &v1::Vertex) {
        let Some(known) = self.vertices.get(&news.digest) else {
            return;
        };
        let before = known.status;
        // A vertex may start again after it ended: looking for a cached result and running count apart.
        let status = if !news.error.is_empty() {
            StageStatus::Failed
        } else if news.completed.is_some() {
            if news.cached {
                StageStatus::Cached
            } else {
                StageStatus::Done
            }
        } else if news.started.is_some() {
            StageStatus::Started
        } else {
            return;
        };
        if before == Some(status) || before == Some(StageStatus::Failed) {
            return;
        }
        let duration_ms = match (&news.started, &news.completed) {
            (Some(from), Some(to)) => Some(milliseconds(from, to)),
            _ => None,
        };
        if before.is_none() {
            let name = known.name.clone();
            self.log_line(&news.digest, &name);
        }
        self.close_lines(&news.digest);
        match status {
            StageStatus::Started => {}
            StageStatus::Cached => self.log_line(&news.digest, "CACHED"),
            StageStatus::Done => {
                self.log_line(&news.digest, &format!("DONE {}", seconds(duration_ms)));
            }
            // The others are stopped when one fails; theirs is not the reason.
            StageStatus::Failed if news.error.contains("context canceled") => {
                self.log_line(&news.digest, "CANCELED");
            }
            StageStatus::Failed => {
                self.log_line(&news.digest, &format!("ERROR {}", news.error));
                self.failed.get_or_insert_with(|| news.digest.clone());
            }
        }
        let total = self.stages;
        if let Some(known) = self.vertices.get_mut(&news.digest) {
            known.status = Some(status);
            if let Some(number) = known.stage {
                let name = known.name.clone();
                self.progress.send(Progress::Stage {
                    number,
                    total,
                    name,
                    status,
                    duration_ms,
                });
            }
        }
    }

    fn output(&mut self, digest: &str, stream: i64, bytes: &[u8]) {
        let Some(vertex) = self.vertices.get_mut(digest) else {
            return;
        };
        let mut lines = Vec::new();
        let open = vertex.open.entry(stream).or_default();
        open.feed(bytes, |line| lines.push(line));
        for line in lines {
            self.keep_line(digest, line);
        }
    }

    fn close_lines(&mut self, digest: &str) {
        let Some(vertex) = self.vertices.get_mut(digest) else {
            return;
        };
        let mut open: Vec<_> = std::mem::take(&mut vertex.open).into_iter().collect();
        open.sort_unstable_by_key(|(stream, _)| *stream);
        for (_, mut line) in open {
            if let Some(line) = line.close() {
                self.keep_line(digest, line);
            }
        }
    }

    /// A line of a process: to the log, and kept in case the vertex fails.
    fn keep_line(&mut self, digest: &str, line: Line) {
        // A script that shows its commands would show its secrets.
        let line = line.shown(&self.mask);
        if let Some(vertex) = self.vertices.get_mut(digest) {
            if vertex.tail.len() == TAIL_LINES {
                vertex.tail.pop_front();
            }
            vertex.tail.push_back(line.clone());
            self.progress.line(&format!("#{} {line}", vertex.number));
        }
    }

    /// A line about a vertex.
    fn log_line(&self, digest: &str, text: &str) {
        if let Some(vertex) = self.vertices.get(digest) {
            for line in text.lines() {
                let line = Line::whole(line).shown(&self.mask);
                self.progress.line(&format!("#{} {line}", vertex.number));
            }
        }
    }

    /// Part of a vertex' work: a layer that travels, or a named task.
    fn part(&mut self, status: &v1::VertexStatus) {
        let (layer, verb) = match status.id.split_once(' ') {
            Some((verb, digest)) => (digest, verb),
            None => (status.id.as_str(), status.name.as_str()),
        };
        if let Some(hex) = layer.strip_prefix("sha256:")
            && matches!(
                verb,
                "downloading" | "extracting" | "pushing" | "done" | "layer" | "exporting"
            )
        {
            let number = |bytes: i64| u64::try_from(bytes).ok();
            self.progress.send(Progress::Transfer {
                layer: hex.chars().take(12).collect(),
                status: verb.to_owned(),
                current: number(status.current).unwrap_or_default(),
                total: number(status.total).filter(|total| *total > 0),
            });
            return;
        }
        if status.completed.is_none() {
            return;
        }
        let Some(vertex) = self.vertices.get_mut(&status.vertex) else {
            return;
        };
        if vertex.reported.contains(&status.id) {
            return;
        }
        vertex.reported.push(status.id.clone());
        let bytes = u64::try_from(status.current).unwrap_or_default();
        let size = if bytes > 0 {
            format!(" {}", human_size(bytes))
        } else {
            String::new()
        };
        self.log_line(&status.vertex, &format!("{}{size} done", status.id));
    }
}

/// Where a vertex stands among those that became known with it: our own first, then `[stage 2/5] RUN ...` by
/// its number, then the rest.
fn dockerfile_order(name: &str) -> u32 {
    let Some((bracket, _)) = name.strip_prefix('[').and_then(|name| name.split_once(']')) else {
        return u32::MAX;
    };
    let number = bracket
        .split_once('/')
        .and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok());
    number.unwrap_or(0)
}

fn milliseconds(from: &Timestamp, to: &Timestamp) -> u64 {
    let nanos =
        |time: &Timestamp| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    u64::try_from((nanos(to) - nanos(from)) / 1_000_000).unwrap_or_default()
}

fn seconds(duration_ms: Option<u64>) -> String {
    let tenths = duration_ms.unwrap_or_default() / 100;
    format!("{}.{}s", tenths / 10, tenths % 10)
}

fn human_size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes}B"),
        1_000..1_000_000 => format!("{}.{}kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{}MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests;

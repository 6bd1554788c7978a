//! Events as they go over the wire: server-sent events (the HTML standard, section 9.2) or one JSON
//! object a line.

use std::fmt::Write as _;

use fastbuild_spec::{
    event::{Event, Progress},
    state::{BuildState, StepStatus},
};
use fastbuild_store::StoredEvent;
use serde_json::{Map, Value, json};

/// How a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `text/event-stream`, for browsers.
    ServerSentEvents,
    /// `application/x-ndjson`, for programs.
    Lines,
}

impl Format {
    /// The media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::ServerSentEvents => "text/event-stream",
            Self::Lines => "application/x-ndjson",
        }
    }

    /// What tells a client, and whatever is between, that the stream lives.
    pub(super) fn sign_of_life(self) -> &'static str {
        match self {
            Self::ServerSentEvents => ": the stream lives\n\n",
            Self::Lines => "\n",
        }
    }

    /// The last thing of a stream. It has no number of its own: a client that comes back after it
    /// asks after the last event.
    pub(super) fn end(self, state: Option<BuildState>, last: i64) -> String {
        let state = state.map(|state| state.to_string());
        match self {
            Self::ServerSentEvents => format!(
                "event: end\ndata: {}\n\n",
                json!({"state": state, "last_event": last})
            ),
            Self::Lines => format!(
                "{}\n",
                json!({"event": "end", "state": state, "last_event": last})
            ),
        }
    }
}

/// One event, ready to be written in either format.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) seq: i64,
    name: &'static str,
    /// The fields of a JSON object, without its braces.
    fields: String,
}

impl Rendered {
    pub(super) fn new(stored: &StoredEvent) -> Self {
        let (name, mut fields) = name_and_fields(&stored.event);
        fields.insert("seq".to_owned(), stored.seq.into());
        fields.insert("attempt".to_owned(), stored.attempt.into());
        fields.insert("at".to_owned(), stored.at.to_string().into());
        let object = Value::Object(fields).to_string();
        Self {
            seq: stored.seq,
            name,
            fields: object[1..object.len() - 1].to_owned(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.fields.len() + size_of::<Self>()
    }

    pub(super) fn write(&self, format: Format, out: &mut String) {
        let Self { seq, name, fields } = self;
        // Writing to a string cannot fail.
        match format {
            Format::ServerSentEvents => {
                write!(out, "id: {seq}\nevent: {name}\ndata: {{{fields}}}\n\n")
            }
            Format::Lines => writeln!(out, "{{\"event\":\"{name}\",{fields}}}"),
        }
        .ok();
    }
}

fn name_and_fields(event: &Event) -> (&'static str, Map<String, Value>) {
    let (name, fields) = match event {
        Event::State { state } => ("state", json!({"state": state})),
        Event::StepStarted { step } => (
            "step",
            json!({"step": step, "status": StepStatus::Running, "duration_ms": null}),
        ),
        Event::StepFinished {
            step,
            status,
            duration_ms,
        } => (
            "step",
            json!({"step": step, "status": status, "duration_ms": duration_ms}),
        ),
        Event::Progress { step, progress } => match progress {
            Progress::Log { text } => ("log", json!({"step": step, "text": text})),
            Progress::Stage {
                number,
                total,
                name,
                status,
                duration_ms,
            } => (
                "progress",
                json!({"step": step, "stage": {
                    "number": number, "total": total, "name": name, "status": status,
                    "duration_ms": duration_ms,
                }}),
            ),
            Progress::Transfer {
                layer,
                status,
                current,
                total,
            } => (
                "progress",
                json!({"step": step, "layer": {
                    "id": layer, "status": status, "current": current, "total": total,
                }}),
            ),
        },
        Event::Warning { step, message } => ("warning", json!({"step": step, "message": message})),
        Event::Result {
            state,
            image_id,
            digest,
            failure,
        } => (
            "result",
            json!({"state": state, "image_id": image_id, "digest": digest, "failure": failure}),
        ),
    };
    match fields {
        Value::Object(fields) => (name, fields),
        _ => (name, Map::new()),
    }
}

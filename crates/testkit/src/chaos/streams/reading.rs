//! An event stream as a client reads it, in whatever pieces it comes: server-sent events (the HTML
//! standard, section 9.2) or one JSON object a line. What was not finished when the connection broke
//! was not heard.

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::followers::Format;

/// Something a stream said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The event of this number.
    Event(i64),
    /// That the build has ended, and the number of its last event.
    End(i64),
}

/// Reads one connection's stream.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    /// The line in the making.
    line: Vec<u8>,
    /// The server-sent event in the making.
    event: EventFields,
}

#[derive(Debug, Default)]
struct EventFields {
    id: Option<i64>,
    name: String,
    data: String,
}

#[derive(Deserialize)]
struct Line {
    event: String,
    seq: Option<i64>,
    last_event: Option<i64>,
}

#[derive(Deserialize)]
struct EndData {
    last_event: i64,
}

impl Reader {
    /// A reader of a new connection.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            line: Vec::new(),
            event: EventFields::default(),
        }
    }

    /// Takes the next piece; what it completes.
    ///
    /// # Errors
    /// What is no event.
    pub fn take(&mut self, piece: &[u8]) -> Result<Vec<Heard>> {
        let mut heard = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.pop_if(|byte| *byte == b'\n').is_some() {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8(line).context("a line that is no UTF-8")?;
                heard.extend(self.line(&line).with_context(|| format!("in {line:?}"))?);
            }
        }
        Ok(heard)
    }

    fn line(&mut self, line: &str) -> Result<Option<Heard>> {
        match self.format {
            // An empty line shows that the stream lives.
            Format::Lines if line.is_empty() => Ok(None),
            Format::Lines => {
                let line: Line = serde_json::from_str(line)?;
                let heard = match line.event.as_str() {
                    "end" => line.last_event.map(Heard::End),
                    _ => line.seq.map(Heard::Event),
                };
                heard.context("an event without a number").map(Some)
            }
            Format::ServerSentEvents if line.is_empty() => {
                let event = std::mem::take(&mut self.event);
                event.heard()
            }
            Format::ServerSentEvents => {
                let (field, value) = line.split_once(": ").context("a line without a field")?;
                match field {
                    "id" => self.event.id = Some(value.parse()?),
                    "event" => value.clone_into(&mut self.event.name),
                    "data" => value.clone_into(&mut self.event.data),
                    // A comment shows that the stream lives.
                    "" => {}
                    _ => anyhow::bail!("an unknown field"),
                }
                Ok(None)
            }
        }
    }
}

impl EventFields {
    /// What an event's fields say together; nothing, where there was only a comment.
    fn heard(self) -> Result<Option<Heard>> {
        match (self.name.as_str(), self.id) {
            ("", None) => Ok(None),
            ("end", None) => {
                let end: EndData = serde_json::from_str(&self.data)?;
                Ok(Some(Heard::End(end.last_event)))
            }
            (_, Some(id)) if !self.data.is_empty() => Ok(Some(Heard::Event(id))),
            _ => anyhow::bail!("an event without a number or without data"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: &str = "id: 3\nevent: log\ndata: {\"text\":\"a: b\",\"seq\":3}\n\n\
        : the stream lives\n\nid: 4\nevent: result\ndata: {\"seq\":4}\n\n\
        event: end\ndata: {\"state\":\"PUSH_SUCCESS\",\"last_event\":4}\n\n";
    const LINES: &str = "{\"event\":\"log\",\"text\":\"a\",\"seq\":3}\n\n\
        {\"event\":\"result\",\"seq\":4}\n{\"event\":\"end\",\"state\":null,\"last_event\":4}\n";
    const HEARD: [Heard; 3] = [Heard::Event(3), Heard::Event(4), Heard::End(4)];

    #[test]
    fn a_stream_says_the_same_in_whatever_pieces_it_comes() {
        for (format, text) in [(Format::ServerSentEvents, EVENTS), (Format::Lines, LINES)] {
            for length in 1..=text.len() {
                let mut reader = Reader::new(format);
                let mut heard = Vec::new();
                for piece in text.as_bytes().chunks(length) {
                    heard.extend(reader.take(piece).unwrap());
                }
                assert_eq!(heard, HEARD, "in pieces of {length}: {text}");
            }
        }
    }

    #[test]
    fn what_is_not_finished_is_not_heard() {
        for (format, text) in [(Format::ServerSentEvents, EVENTS), (Format::Lines, LINES)] {
            let mut reader = Reader::new(format);
            let heard = reader.take(&text.as_bytes()[..text.len() - 1]).unwrap();
            assert_eq!(heard, HEARD[..2], "{text}");
        }
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for (format, text) in [
            (Format::ServerSentEvents, "id: x\n"),
            (Format::ServerSentEvents, "id: 3\n\n"),
            (Format::ServerSentEvents, "event: log\ndata: {}\n\n"),
            (Format::ServerSentEvents, "nonsense\n"),
            (Format::Lines, "nonsense\n"),
            (Format::Lines, "{\"event\":\"log\"}\n"),
            (Format::Lines, "{\"event\":\"end\"}\n"),
        ] {
            assert!(Reader::new(format).take(text.as_bytes()).is_err(), "{text}");
        }
    }
}

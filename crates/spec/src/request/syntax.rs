//! Reads the text of a document, JSON or YAML, into values.

use serde_json::Value;

use crate::failure::Sentence;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// RFC 8259.
    Json,
    /// YAML 1.2.
    Yaml,
}

/// A text that is no document, and where. What stands there is not repeated: it may be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntaxError {
    syntax: Syntax,
    /// Line and column, from 1, where they are known.
    place: Option<(u64, u64)>,
}

impl SyntaxError {
    /// What is wrong, in both languages, without a full stop.
    pub fn sentence(self) -> Sentence {
        let name = match self.syntax {
            Syntax::Json => "JSON",
            Syntax::Yaml => "YAML",
        };
        match self.place {
            Some((line, column)) => Sentence::new(
                format!("不是有效的 {name}（第 {line} 行第 {column} 列附近）"),
                format!("it is no valid {name} (near line {line}, column {column})"),
            ),
            None => Sentence::new(
                format!("不是有效的 {name}"),
                format!("it is no valid {name}"),
            ),
        }
    }
}

/// Reads the values of a document.
///
/// # Errors
/// When the text is not in the syntax, says a key twice, or is built to take more memory than its
/// length tells (YAML's anchors can).
pub fn read(text: &str, syntax: Syntax) -> Result<Value, SyntaxError> {
    match syntax {
        Syntax::Json => serde_json::from_str(text).map_err(|error| SyntaxError {
            syntax,
            place: Some((error.line() as u64, error.column() as u64)),
        }),
        Syntax::Yaml => serde_saphyr::from_str(text).map_err(|error| SyntaxError {
            syntax,
            place: error
                .location()
                .map(|location| (location.line(), location.column())),
        }),
    }
}

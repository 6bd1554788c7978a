//! Reads a JSON body field by field, gathers every mistake on the way and never stops at one.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use super::super::WireKey;
use crate::{
    failure::{FieldError, Sentence},
    names::NameError,
};

/// What stands in the completed body where a secret was.
const MASK: &str = "***";

/// An object of the body, or the place where one could have been.
#[derive(Debug, Clone)]
pub(super) struct Node<'body> {
    path: String,
    fields: Option<&'body Map<String, Value>>,
}

impl<'body> Node<'body> {
    /// The path of one of its fields.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// One of its fields; `null` counts as missing.
    pub(super) fn get(&self, key: &str) -> Option<&'body Value> {
        self.fields?.get(key).filter(|value| !value.is_null())
    }

    /// Whether it was in the body.
    pub(super) fn is_given(&self) -> bool {
        self.fields.is_some()
    }
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) errors: Vec<FieldError>,
}

impl Fields {
    /// The body itself.
    pub(super) fn root<'body>(&mut self, body: &'body Value) -> Node<'body> {
        if !body.is_object() {
            self.refuse_type("request", body, object());
        }
        Node {
            path: String::new(),
            fields: body.as_object(),
        }
    }

    /// An object in an object.
    pub(super) fn object<'body>(&mut self, parent: &Node<'body>, key: &str) -> Node<'body> {
        let value = parent.get(key);
        if let Some(other) = value.filter(|value| !value.is_object()) {
            self.refuse_type(parent.path(key), other, object());
        }
        Node {
            path: parent.path(key),
            fields: value.and_then(Value::as_object),
        }
    }

    /// The objects of a list; a missing list has none.
    pub(super) fn objects<'body>(&mut self, parent: &Node<'body>, key: &str) -> Vec<Node<'body>> {
        let path = parent.path(key);
        let items = match parent.get(key) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                let allowed = Sentence::new("应为列表", "must be a list");
                self.refuse_type(path, other, allowed);
                return Vec::new();
            }
        };
        let mut nodes = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match item.as_object() {
                Some(fields) => nodes.push(Node {
                    path,
                    fields: Some(fields),
                }),
                None => self.refuse_type(path, item, object()),
            }
        }
        nodes
    }

    /// A string without the blanks around it; empty when it is missing.
    pub(super) fn text(&mut self, parent: &Node<'_>, key: &str) -> String {
        match parent.get(key) {
            None => String::new(),
            Some(Value::String(text)) => text.trim_matches(' ').to_owned(),
            Some(other) => {
                let allowed = Sentence::new("应为字符串", "must be a string");
                self.refuse_type(parent.path(key), other, allowed);
                String::new()
            }
        }
    }

    /// A truth value, where it is given.
    pub(super) fn flag(&mut self, parent: &Node<'_>, key: &str) -> Option<bool> {
        match parent.get(key)? {
            Value::Bool(flag) => Some(*flag),
            other => {
                let allowed = Sentence::new("应为 true 或 false", "must be true or false");
                self.refuse_type(parent.path(key), other, allowed);
                None
            }
        }
    }

    /// A whole number of seconds, where it is given.
    pub(super) fn seconds(&mut self, parent: &Node<'_>, key: &str) -> Option<u64> {
        let value = parent.get(key)?;
        let seconds = value.as_u64();
        if seconds.is_none() {
            let allowed = Sentence::new(
                "应为秒数，一个正整数",
                "must be a number of seconds, a positive integer",
            );
            self.refuse_type(parent.path(key), value, allowed);
        }
        seconds
    }

    /// A string or a list of strings, as it stands; `default` when it is missing.
    pub(super) fn text_or_texts(&mut self, parent: &Node<'_>, key: &str, default: Value) -> Value {
        let Some(value) = parent.get(key) else {
            return default;
        };
        let fits = match value {
            Value::String(_) => true,
            Value::Array(items) => items.iter().all(Value::is_string),
            _ => false,
        };
        if fits {
            return value.clone();
        }
        let allowed = Sentence::new(
            "应为字符串或字符串列表",
            "must be a string or a list of strings",
        );
        self.refuse_type(parent.path(key), value, allowed);
        default
    }

    /// A password in its wire form; `None` when it is missing or empty, encrypted or not. Beside
    /// it what the completed body may show of it.
    pub(super) fn secret(
        &mut self,
        parent: &Node<'_>,
        key: &str,
        wire_key: &WireKey,
    ) -> (Option<SecretString>, Value) {
        let refuse = |fields: &mut Self, zh: &str, en: String| {
            let allowed = Sentence::new(zh, en);
            fields
                .errors
                .push(FieldError::without_value(parent.path(key), allowed));
            (None, Value::from(MASK))
        };
        let wire = match parent.get(key) {
            None => return (None, Value::from("")),
            Some(Value::String(wire)) => wire,
            Some(_) => return refuse(self, "应为字符串", "must be a string".to_owned()),
        };
        match wire_key.decrypt(wire) {
            Ok(password) if password.expose_secret().is_empty() => {
                (None, Value::from(wire.as_str()))
            }
            Ok(password) => (Some(password), Value::from(MASK)),
            Err(error) => refuse(
                self,
                error.in_chinese(),
                format!("cannot be read as a password: {error}"),
            ),
        }
    }

    /// The value of a parser, or its refusal as a mistake of this field.
    pub(super) fn parsed<T>(
        &mut self,
        path: impl Into<String>,
        value: &str,
        parsed: Result<T, NameError>,
    ) -> Option<T> {
        match parsed {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.refuse(path, value, error.allowed);
                None
            }
        }
    }

    /// A mistake whose value may be repeated.
    pub(super) fn refuse(&mut self, path: impl Into<String>, value: &str, allowed: Sentence) {
        self.errors.push(FieldError::new(path, value, allowed));
    }

    fn refuse_type(&mut self, path: impl Into<String>, value: &Value, allowed: Sentence) {
        // What a list or an object holds may be anything, a password too.
        let shown = match value {
            Value::Array(_) | Value::Object(_) => String::new(),
            Value::String(text) => text.clone(),
            plain => plain.to_string(),
        };
        self.refuse(path, &shown, allowed);
    }
}

fn object() -> Sentence {
    Sentence::new("应为 JSON 对象", "must be a JSON object")
}

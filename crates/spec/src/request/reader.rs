//! Reads the values of a request place by place. Every mistake is noted with its place and reading
//! goes on, so that one answer names them all.
//!
//! Both request formats and the engine documents are read by this one reader; they differ in how a
//! place is written ([`Notation`]). Lists and tables have a longest length, so that what a request
//! costs is bounded.

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive};

use serde_json::Value;

use crate::{
    failure::{FieldError, FieldErrors, Sentence},
    names::{NameError, parse_env_value},
};

/// The most items a list may have: packages, channels, requirements.
pub(crate) const MAX_ITEMS: usize = 1000;
/// The most entries a table of names and values may have: environment variables, labels.
pub(crate) const MAX_ENTRIES: usize = 200;

/// How the place of a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notation {
    /// `dockerfile_json.base_image`, `software_list[3].name`: the old protocol's.
    Dotted,
    /// `/pip/packages/3`: a JSON pointer (RFC 6901).
    Pointer,
}

/// A place in a request and the value there, if any. `null` counts as none.
#[derive(Debug, Clone)]
pub(crate) struct Place<'body> {
    path: String,
    notation: Notation,
    pub(crate) value: Option<&'body Value>,
}

impl<'body> Place<'body> {
    /// The whole body; places in it are JSON pointers.
    pub(crate) fn root(body: &'body Value) -> Self {
        Self {
            path: String::new(),
            notation: Notation::Pointer,
            value: Some(body),
        }
    }

    /// The whole body; places in it are dotted paths.
    pub(super) fn dotted_root(body: &'body Value) -> Self {
        Self {
            notation: Notation::Dotted,
            ..Self::root(body)
        }
    }

    /// A field of the object at this place.
    pub(crate) fn field(&self, name: &str) -> Self {
        let path = match self.notation {
            Notation::Dotted if self.path.is_empty() => name.to_owned(),
            Notation::Dotted => format!("{}.{name}", self.path),
            Notation::Pointer => {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                format!("{}/{escaped}", self.path)
            }
        };
        Self {
            path,
            notation: self.notation,
            value: self
                .value
                .and_then(|value| value.get(name))
                .filter(|value| !value.is_null()),
        }
    }

    fn item(&self, index: impl Display, value: &'body Value) -> Self {
        let path = match self.notation {
            Notation::Dotted => format!("{}[{index}]", self.path),
            Notation::Pointer => format!("{}/{index}", self.path),
        };
        Self {
            path,
            notation: self.notation,
            value: Some(value).filter(|value| !value.is_null()),
        }
    }

    /// The same place without its value.
    pub(super) fn emptied(&self) -> Self {
        Self {
            value: None,
            ..self.clone()
        }
    }

    pub(crate) fn is_given(&self) -> bool {
        self.value.is_some()
    }

    /// The names of the object's fields.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'body str> + use<'body> {
        self.value
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|fields| fields.keys().map(String::as_str))
    }

    /// The place as a mistake names it. The path of the whole body is empty, which no reader would
    /// see.
    fn shown(&self) -> &str {
        match (self.path.as_str(), self.notation) {
            ("", Notation::Dotted) => "request",
            ("", Notation::Pointer) => "/",
            (path, _) => path,
        }
    }
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) errors: FieldErrors,
}

impl Reader {
    /// The place of an object; without a value where another type stands.
    pub(crate) fn object<'body>(&mut self, place: &Place<'body>) -> Place<'body> {
        match place.value {
            Some(value) if !value.is_object() => {
                let allowed =
                    Sentence::new("应为对象（字段及其值）", "must be an object with fields");
                self.refuse_type(place, value, allowed);
                place.emptied()
            }
            _ => place.clone(),
        }
    }

    /// Refuses every field that the object may not have.
    pub(crate) fn only(&mut self, place: &Place<'_>, known: &[&str]) {
        for name in place.names().filter(|name| !known.contains(name)) {
            if self.errors.is_full() {
                self.errors.count_only();
                continue;
            }
            let allowed = Sentence::new(
                format!("不是可用的字段，可用字段：{}", known.join("、")),
                format!("is not a known field; known are {}", known.join(", ")),
            );
            self.refuse(&place.field(name), "", allowed);
        }
    }

    /// The items of a list of at most [`MAX_ITEMS`]; none where there is no list.
    pub(crate) fn items<'body>(&mut self, place: &Place<'body>) -> Vec<Place<'body>> {
        let Some(value) = place.value else {
            return Vec::new();
        };
        let Some(items) = value.as_array() else {
            self.refuse_type(place, value, Sentence::new("应为列表", "must be a list"));
            return Vec::new();
        };
        if !self.fits_length(place, items.len(), MAX_ITEMS) {
            return Vec::new();
        }
        items
            .iter()
            .enumerate()
            .map(|(index, item)| place.item(index, item))
            .collect()
    }

    /// Refuses a place with more than `longest` items.
    pub(crate) fn fits_length(&mut self, place: &Place<'_>, length: usize, longest: usize) -> bool {
        if length > longest {
            let allowed = Sentence::new(
                format!("最多可有 {longest} 项，现有 {length} 项"),
                format!("must have at most {longest} items and has {length}"),
            );
            self.refuse(place, "", allowed);
        }
        length <= longest
    }

    /// A text without the blanks around it; empty where there is none.
    pub(crate) fn text(&mut self, place: &Place<'_>) -> String {
        self.verbatim(place).trim_matches(' ').to_owned()
    }

    /// A text exactly as it is; empty where there is none.
    pub(crate) fn verbatim(&mut self, place: &Place<'_>) -> String {
        place
            .is_given()
            .then(|| self.text_once(place))
            .flatten()
            .unwrap_or_default()
    }

    /// A text exactly as it is, which must be given.
    pub(crate) fn text_once(&mut self, place: &Place<'_>) -> Option<String> {
        match place.value {
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => {
                self.refuse_type(place, other, not_text(other));
                None
            }
            None => {
                self.refuse(place, "", Sentence::new("不能为空", "must not be empty"));
                None
            }
        }
    }

    /// A truth value; `false` where there is none.
    pub(crate) fn flag(&mut self, place: &Place<'_>) -> bool {
        self.choice(place).unwrap_or(false)
    }

    /// A truth value, where it is given.
    pub(crate) fn choice(&mut self, place: &Place<'_>) -> Option<bool> {
        match place.value? {
            Value::Bool(flag) => Some(*flag),
            other => {
                let allowed = Sentence::new("应为 true 或 false", "must be true or false");
                self.refuse_type(place, other, allowed);
                None
            }
        }
    }

    /// A whole number within bounds, where it is given.
    pub(crate) fn integer(
        &mut self,
        place: &Place<'_>,
        bounds: RangeInclusive<i64>,
    ) -> Option<i64> {
        let (least, most) = (*bounds.start(), *bounds.end());
        self.number(place, bounds, || {
            Sentence::new(
                format!("应为 {least} 到 {most} 之间的整数"),
                format!("must be a whole number from {least} to {most}"),
            )
        })
    }

    /// A number of seconds from 1 to `longest`, where it is given.
    pub(super) fn seconds(&mut self, place: &Place<'_>, longest: u64) -> Option<u64> {
        let most = i64::try_from(longest).unwrap_or(i64::MAX);
        self.number(place, 1..=most, || {
            Sentence::new(
                format!("应为 1 到 {longest} 之间的秒数"),
                format!("must be a number of seconds from 1 to {longest}"),
            )
        })
        .and_then(|seconds| u64::try_from(seconds).ok())
    }

    fn number(
        &mut self,
        place: &Place<'_>,
        bounds: RangeInclusive<i64>,
        allowed: impl FnOnce() -> Sentence,
    ) -> Option<i64> {
        let value = place.value?;
        let number = value.as_i64().filter(|number| bounds.contains(number));
        if number.is_none() {
            self.refuse_type(place, value, allowed());
        }
        number
    }

    /// The names and values of a table of at most [`MAX_ENTRIES`], each name read by `parse_name`.
    pub(crate) fn entries(
        &mut self,
        place: &Place<'_>,
        parse_name: impl Fn(&str) -> Result<String, NameError>,
    ) -> BTreeMap<String, String> {
        let place = self.object(place);
        let mut entries = BTreeMap::new();
        if !self.fits_length(&place, place.names().count(), MAX_ENTRIES) {
            return entries;
        }
        for name in place.names() {
            let entry = place.field(name);
            let parsed = parse_name(name);
            let name = self.parsed(&entry, name, parsed);
            let Some(value) = self.text_once(&entry) else {
                continue;
            };
            let parsed = parse_env_value(&value);
            let value = self.parsed(&entry, &value, parsed);
            entries.extend(name.zip(value));
        }
        entries
    }

    /// What a parser read, or its refusal as a mistake of this place.
    pub(crate) fn parsed<T>(
        &mut self,
        place: &Place<'_>,
        value: &str,
        parsed: Result<T, NameError>,
    ) -> Option<T> {
        parsed
            .map_err(|error| self.refuse(place, value, error.allowed))
            .ok()
    }

    /// Notes a mistake. An empty `value` is not shown: pass one for what must not be repeated.
    pub(crate) fn refuse(&mut self, place: &Place<'_>, value: &str, allowed: Sentence) {
        self.errors
            .push(FieldError::new(place.shown(), value, allowed));
    }

    pub(super) fn refuse_type(&mut self, place: &Place<'_>, value: &Value, allowed: Sentence) {
        // What a list or an object holds may be anything, a password too.
        let shown = match value {
            Value::Array(_) | Value::Object(_) => String::new(),
            Value::String(text) => text.clone(),
            plain => plain.to_string(),
        };
        self.refuse(place, &shown, allowed);
    }
}

/// The refusal of a value that is no text. YAML reads 3.10 as the number 3.1: a guess would be wrong
/// now and then.
fn not_text(value: &Value) -> Sentence {
    match value {
        Value::Number(_) | Value::Bool(_) => {
            Sentence::new("应为文本，请加引号", "must be text; put it in quotes")
        }
        _ => Sentence::new("应为文本", "must be text"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_is_written_in_the_notation_of_its_root() {
        let body = json!({"a/b": [{"c": 1}]});
        for (root, whole, path) in [
            (Place::root(&body), "/", "/a~1b/0/c"),
            (Place::dotted_root(&body), "request", "a/b[0].c"),
        ] {
            assert_eq!(root.shown(), whole);
            let item = Reader::default().items(&root.field("a/b")).remove(0);
            assert_eq!(item.field("c").shown(), path);
        }
    }

    #[test]
    fn lists_and_tables_beyond_their_length_are_one_mistake() {
        let longest = json!(vec!["x"; MAX_ITEMS]);
        let mut reader = Reader::default();
        assert_eq!(reader.items(&Place::root(&longest)).len(), MAX_ITEMS);
        assert!(reader.errors.is_empty());
        let long = json!(vec![1; MAX_ITEMS + 1]);
        assert!(reader.items(&Place::root(&long)).is_empty());
        let table: Value = (0..=MAX_ENTRIES)
            .map(|number| (format!("V{number}"), json!(0)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        assert!(
            reader
                .entries(&Place::root(&table), |name| Ok(name.to_owned()))
                .is_empty()
        );
        let told: Vec<_> = reader
            .errors
            .into_iter()
            .map(|one| one.allowed.en)
            .collect();
        assert_eq!(
            told,
            [
                "must have at most 1000 items and has 1001",
                "must have at most 200 items and has 201"
            ]
        );
    }

    #[test]
    fn unknown_fields_beyond_the_reported_ones_are_counted() {
        let body: Value = (0..1000)
            .map(|number| (format!("f{number}"), json!(0)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let mut reader = Reader::default();
        reader.only(&Place::root(&body), &["name"]);
        assert_eq!(reader.errors.len(), 1000);
        assert_eq!(reader.errors.reported().len(), crate::failure::MAX_REPORTED);
    }
}

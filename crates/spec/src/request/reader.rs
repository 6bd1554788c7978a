//! Reads a document place by place, gathers every mistake on the way and never stops at one.

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive};

use serde_json::Value;

use crate::{
    failure::{FieldError, Sentence},
    names::{NameError, parse_env_value},
};

/// A place in a document: its JSON pointer, and what stands there. `null` counts as nothing.
#[derive(Debug, Clone)]
pub(crate) struct Place<'body> {
    pub(crate) pointer: String,
    pub(crate) value: Option<&'body Value>,
}

impl<'body> Place<'body> {
    pub(crate) fn root(body: &'body Value) -> Self {
        Self {
            pointer: String::new(),
            value: Some(body),
        }
    }

    /// A field of the object at this place.
    pub(crate) fn field(&self, name: &str) -> Self {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        Self {
            pointer: format!("{}/{escaped}", self.pointer),
            value: self
                .value
                .and_then(|value| value.get(name))
                .filter(|value| !value.is_null()),
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

    fn item(&self, index: impl Display, value: &'body Value) -> Self {
        Self {
            pointer: format!("{}/{index}", self.pointer),
            value: Some(value).filter(|value| !value.is_null()),
        }
    }
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) errors: Vec<FieldError>,
}

impl Reader {
    /// The place of an object; one without fields where another type stands.
    pub(crate) fn object<'body>(&mut self, place: &Place<'body>) -> Place<'body> {
        let value = place.value.filter(|value| {
            let fits = value.is_object();
            if !fits {
                self.refuse_type(
                    place,
                    value,
                    Sentence::new("应为对象（字段及其值）", "must be an object with fields"),
                );
            }
            fits
        });
        Place {
            pointer: place.pointer.clone(),
            value,
        }
    }

    /// Refuses fields that are none.
    pub(crate) fn only(&mut self, place: &Place<'_>, known: &[&str]) {
        for name in place.names().filter(|name| !known.contains(name)) {
            self.refuse(
                &place.field(name),
                "",
                Sentence::new(
                    format!("不是可用的字段，可用字段：{}", known.join("、")),
                    format!("is no field here; there are {}", known.join(", ")),
                ),
            );
        }
    }

    /// The items of a list; none where there is nothing.
    pub(crate) fn items<'body>(&mut self, place: &Place<'body>) -> Vec<Place<'body>> {
        match place.value {
            None => Vec::new(),
            Some(Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(index, item)| place.item(index, item))
                .collect(),
            Some(other) => {
                self.refuse_type(place, other, Sentence::new("应为列表", "must be a list"));
                Vec::new()
            }
        }
    }

    /// A text without the blanks around it; empty where there is nothing.
    pub(crate) fn text(&mut self, place: &Place<'_>) -> String {
        if place.is_given() {
            self.text_once(place)
                .map(|text| text.trim_matches(' ').to_owned())
                .unwrap_or_default()
        } else {
            String::new()
        }
    }

    /// A text as it stands; `None` where none stands, which then is a mistake.
    pub(crate) fn text_once(&mut self, place: &Place<'_>) -> Option<String> {
        match place.value {
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => {
                // YAML reads 3.10 as the number 3.1: a guess would be wrong now and then.
                self.refuse_type(
                    place,
                    other,
                    Sentence::new(
                        "应为文本，YAML 中的数字请加引号",
                        "must be a text; in YAML, put quotes around a number",
                    ),
                );
                None
            }
            None => {
                self.refuse(place, "", Sentence::new("不能为空", "must not be empty"));
                None
            }
        }
    }

    /// A truth value; `false` where there is nothing.
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

    /// A whole number within bounds, where one is given.
    pub(crate) fn integer(
        &mut self,
        place: &Place<'_>,
        bounds: RangeInclusive<i64>,
    ) -> Option<i64> {
        let value = place.value?;
        let number = value.as_i64().filter(|number| bounds.contains(number));
        if number.is_none() {
            let (least, most) = (bounds.start(), bounds.end());
            self.refuse_type(
                place,
                value,
                Sentence::new(
                    format!("应为 {least} 到 {most} 之间的整数"),
                    format!("must be a whole number from {least} to {most}"),
                ),
            );
        }
        number
    }

    /// The value of a parser, or its refusal as a mistake of this place.
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

    pub(crate) fn refuse(&mut self, place: &Place<'_>, value: &str, allowed: Sentence) {
        self.errors
            .push(FieldError::new(pointer(place), value, allowed));
    }

    fn refuse_type(&mut self, place: &Place<'_>, value: &Value, allowed: Sentence) {
        // What a list or an object holds may be anything, a password too.
        let shown = match value {
            Value::Array(_) | Value::Object(_) => String::new(),
            Value::String(text) => text.clone(),
            plain => plain.to_string(),
        };
        self.refuse(place, &shown, allowed);
    }
}

/// The pointer of the whole document is the empty text, which no reader would see.
fn pointer<'place>(place: &'place Place<'_>) -> &'place str {
    match place.pointer.as_str() {
        "" => "/",
        pointer => pointer,
    }
}

/// Names with values, each name read by `parse_name`.
pub(crate) fn entries(
    reader: &mut Reader,
    place: &Place<'_>,
    parse_name: impl Fn(&str) -> Result<String, NameError>,
) -> BTreeMap<String, String> {
    let place = reader.object(place);
    let mut entries = BTreeMap::new();
    for name in place.names() {
        let entry = place.field(name);
        let parsed = parse_name(name);
        let name = reader.parsed(&entry, name, parsed);
        let Some(value) = reader.text_once(&entry) else {
            continue;
        };
        let parsed = parse_env_value(&value);
        let value = reader.parsed(&entry, &value, parsed);
        entries.extend(name.zip(value));
    }
    entries
}

//! The shapes of answers, written down as text: `{task_id: int, name: text, pid: text?}`.
//!
//! | word | what it takes |
//! |---|---|
//! | `int`, `bool`, `any` | a whole number, a truth value, anything |
//! | `text` | a string |
//! | `time` | local ISO 8601 without a zone and with microseconds |
//! | `size` | a number of gigabytes such as `0.43G` |
//! | `null` | null alone |
//! | `'a'/'b'` | one of these strings |
//! | `[x]`, `[x]*` | a list with at least one `x`; one that may be empty |
//! | `{key: x, other?: y}` | an object with at least these keys; `other` may be absent |
//! | `{*: x}` | an object with any keys, all of whose values are `x` |
//! | `@name` | the shape of that name |
//! | `x?` | `x` or null |

use serde_json::Value;

/// The shapes that several answers share.
const NAMED: [(&str, &str); 8] = [
    ("page", "{current: int, total: int, page_size: int}"),
    (
        "task",
        "{primary_id: int, task_id: int, name: text, create_time: time, update_time: time, \
         request: text, \
         state: 'QUEUED'/'STARTED'/'PULL_SUCCESS'/'PULL_FAILED'/'CHECK_SUCCESS'/'CHECK_FAILED'/\
         'PREPARE_SUCCESS'/'PREPARE_FAILED'/'BUILDING'/'BUILD_SUCCESS'/'BUILD_FAILED'/\
         'CHECK_IMAGE_SIZE_SUCCESS'/'CHECK_IMAGE_SIZE_FAILED'/'PUSH_SUCCESS'/'PUSH_FAILED'/\
         'BUILD_ABORT', \
         base_image_name: text, image_name: text, target_image_name: text, description: text, \
         task_work_dir: text, dockerfile_path: text, image_build_log_path: text, \
         work_dir_name: text, callback_url: text, callback_times: int?, pid: text?, \
         digest?: text, reason?: text, message?: text}",
    ),
    (
        "step",
        "{primary_id: int, task_id: int, task_name: text, create_time: time, update_time: time, \
         action: 'pull'/'check'/'prepare'/'build'/'push', status: 'success'/'fail'/'running', \
         target_image_name: text, base_image_name: text, start_time: time, end_time: time?, \
         duration: int, log_path: text, log_url: text, dockerfile_path?: text, \
         dockerfile_url?: text}",
    ),
    (
        "image",
        "{primary_id: int, task_id: int, create_time: time, update_time: time, name: text, \
         tag: text, id: text, type: 'Base'/'Customized', description: text, size: size, \
         interaction: text}",
    ),
    (
        "profile",
        "{image_name: text, image_id: text, kernel: @found, os: @found, \
         package_manager: {name: text, available: bool, version: text, source: [text]*}, \
         python: {name: text, available: bool, version: [text]*}, \
         pip: {name: text, available: bool, version: [text]*, source: [text]*}, \
         conda: {name: text, available: bool, version: text, environments: [text]*, \
         source: [text]*}, sshd: @found, jupyter_lab: @found}",
    ),
    (
        "accepted",
        "{task_id: int, task_name: text, target_image_name: text, target_image_desc: text, \
         base_image_name: text, work_dir_name: text, task_work_dir: text, callback_url: text, \
         state: 'QUEUED', image_request: {task_data: {*: any}, dockerfile_json: {*: any}}, \
         image_utils: {}, dockerfile_json: {*: any}, record: {}, image_descriptor: @profile?}",
    ),
    (
        "callback",
        "{primary_id: int, task_id: int?, url: text, headers: {*: text}, \
         state: {imageName: text, taskId: int, state: text, taskName?: text, digest?: text, \
         size?: int, reason?: text, message?: text, finishedAt?: time}, result: text, \
         status: 'pending'/'delivered'/'gave_up'/'unknown', tries: int, next_time: time?, \
         test: bool, create_time: time, update_time: time}",
    ),
    ("found", "{name: text, available: bool, version: text}"),
];

/// What a value may be.
#[derive(Debug, Clone)]
enum Shape {
    Int,
    Bool,
    Any,
    Null,
    Text,
    Time,
    Size,
    OneOf(Vec<String>),
    List(Box<Shape>, bool),
    Map(Box<Shape>),
    Object(Vec<(String, bool, Shape)>),
    Nullable(Box<Shape>),
}

/// Everything in which a value differs from a shape.
pub(crate) fn differences(shape: &str, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(&parse(shape), value, "data", &mut found);
    found
}

/// The keys of a named shape, as it lists them, and whether each must be there.
pub(crate) fn keys(name: &str) -> Vec<(String, bool)> {
    let Shape::Object(fields) = parse(&format!("@{name}")) else {
        panic!("{name} is no object");
    };
    fields
        .into_iter()
        .map(|(key, optional, _)| (key, !optional))
        .collect()
}

fn parse(text: &str) -> Shape {
    let mut rest = text.trim();
    let shape = parse_one(&mut rest);
    assert!(rest.trim().is_empty(), "{rest:?} is left of {text:?}");
    shape
}

fn parse_one(rest: &mut &str) -> Shape {
    *rest = rest.trim_start();
    let mut shape = if took(rest, "[") {
        let item = parse_one(rest);
        assert!(took(rest, "]"), "{rest}");
        Shape::List(Box::new(item), took(rest, "*"))
    } else if took(rest, "{") {
        parse_object(rest)
    } else if rest.starts_with('\'') {
        let mut words = Vec::new();
        while took(rest, "'") {
            let (word, after) = rest.split_once('\'').unwrap();
            words.push(word.to_owned());
            *rest = after;
            took(rest, "/");
        }
        Shape::OneOf(words)
    } else if took(rest, "@") {
        let name = word(rest);
        let found = NAMED.iter().find(|(known, _)| *known == name);
        parse(found.unwrap_or_else(|| panic!("no shape {name}")).1)
    } else {
        match word(rest) {
            "int" => Shape::Int,
            "bool" => Shape::Bool,
            "any" => Shape::Any,
            "null" => Shape::Null,
            "text" => Shape::Text,
            "time" => Shape::Time,
            "size" => Shape::Size,
            other => panic!("no shape {other:?} before {rest:?}"),
        }
    };
    if took(rest, "?") {
        shape = Shape::Nullable(Box::new(shape));
    }
    *rest = rest.trim_start();
    shape
}

fn parse_object(rest: &mut &str) -> Shape {
    *rest = rest.trim_start();
    if took(rest, "*") {
        assert!(took(rest, ":"), "{rest}");
        let value = parse_one(rest);
        assert!(took(rest, "}"), "{rest}");
        return Shape::Map(Box::new(value));
    }
    let mut fields = Vec::new();
    while !took(rest, "}") {
        let quoted = took(rest, "\"");
        let key = if quoted {
            let (key, after) = rest.split_once('"').unwrap();
            *rest = after;
            key
        } else {
            word(rest)
        };
        let optional = took(rest, "?");
        assert!(took(rest, ":"), "{rest}");
        fields.push((key.to_owned(), optional, parse_one(rest)));
        took(rest, ",");
        *rest = rest.trim_start();
    }
    Shape::Object(fields)
}

fn took(rest: &mut &str, sign: &str) -> bool {
    match rest.strip_prefix(sign) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

fn word<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest
        .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after;
    word
}

fn compare(shape: &Shape, value: &Value, path: &str, found: &mut Vec<String>) {
    let fits = match (shape, value) {
        (Shape::Any, _) | (Shape::Nullable(_) | Shape::Null, Value::Null) => true,
        (Shape::Nullable(inner), value) => {
            compare(inner, value, path, found);
            true
        }
        (Shape::Int, value) => value.is_i64() || value.is_u64(),
        (Shape::Bool, value) => value.is_boolean(),
        (Shape::Text, value) => value.is_string(),
        (Shape::Time, Value::String(text)) => is_time(text),
        (Shape::Size, Value::String(text)) => is_size(text),
        (Shape::OneOf(words), Value::String(text)) => words.contains(text),
        (Shape::List(item, may_be_empty), Value::Array(items)) => {
            for (number, value) in items.iter().enumerate() {
                compare(item, value, &format!("{path}[{number}]"), found);
            }
            *may_be_empty || !items.is_empty()
        }
        (Shape::Map(inner), Value::Object(fields)) => {
            for (key, value) in fields {
                compare(inner, value, &format!("{path}.{key}"), found);
            }
            true
        }
        (Shape::Object(fields), Value::Object(values)) => {
            for (key, optional, inner) in fields {
                match values.get(key) {
                    Some(value) => compare(inner, value, &format!("{path}.{key}"), found),
                    None if *optional => {}
                    None => found.push(format!("{path}.{key} is missing")),
                }
            }
            true
        }
        _ => false,
    };
    if !fits {
        found.push(format!("{path} is {value}, not {shape:?}"));
    }
}

/// `2026-11-23T09:07:44.830951`
fn is_time(text: &str) -> bool {
    text.len() == "2026-11-23T09:07:44.830951".len()
        && text
            .chars()
            .zip("0000-00-00T00:00:00.000000".chars())
            .all(|(letter, model)| match model {
                '0' => letter.is_ascii_digit(),
                sign => letter == sign,
            })
}

/// `1.43G`, without zeros at its end.
fn is_size(text: &str) -> bool {
    let Some(number) = text.strip_suffix('G') else {
        return false;
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.chars().all(|one| one.is_ascii_digit());
    digits(whole) && digits(decimals) && decimals.len() <= 2
}

#[test]
fn a_shape_takes_what_it_says_and_names_what_it_does_not() {
    let shape = "{id: int, at: time, size?: size, kind: 'a'/'b', tags: [text]*, more: {*: bool}?}";
    let good = serde_json::json!({
        "id": 1, "at": "2026-11-23T09:07:44.830951", "kind": "b", "tags": [], "more": {"x": true}, "extra": 1
    });
    assert_eq!(differences(shape, &good), Vec::<String>::new());
    let bad = serde_json::json!({
        "id": "1", "at": "2026-11-23T09:07:44Z", "size": "1.234G", "kind": "c", "tags": [1], "more": {"x": 1}
    });
    assert_eq!(differences(shape, &bad).len(), 6);
    assert_eq!(differences("[int]", &serde_json::json!([])).len(), 1);
    assert_eq!(differences("{a: null}", &serde_json::json!({})).len(), 1);
}

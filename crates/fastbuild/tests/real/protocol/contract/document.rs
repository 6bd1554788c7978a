//! The OpenAPI document as the measure of answers.

use std::collections::BTreeSet;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

/// The served document with its schemas closed: an answer's object has no key that is not described.
pub(super) struct Document(Value);

impl Document {
    pub(super) fn served() -> Self {
        let mut document = serde_json::to_value(fastbuild_server::openapi()).unwrap();
        let mut parts = BTreeSet::new();
        collect_parts(&document, &mut parts);
        for (name, schema) in document["components"]["schemas"].as_object_mut().unwrap() {
            // What is a part of another object has that one's other keys beside it.
            if !parts.contains(name) {
                close(schema);
            }
        }
        Self(document)
    }

    /// An operation; null where there is none.
    pub(super) fn operation(&self, method: &str, path: &str) -> &Value {
        &self.0["paths"][path][method.to_lowercase()]
    }

    /// The names of an object's keys, all of them and those that must be there.
    pub(super) fn keys(&self, schema: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let schema = &self.0["components"]["schemas"][schema];
        let all = schema["properties"].as_object().unwrap();
        let required = schema["required"].as_array().unwrap();
        (
            all.keys().map(String::as_str).collect(),
            required.iter().map(|name| name.as_str().unwrap()).collect(),
        )
    }

    /// Everything in which an answer with status 200 differs from its description.
    pub(super) fn differences(&self, method: &str, path: &str, body: &Value) -> Vec<String> {
        let answer = &self.operation(method, path)["responses"]["200"];
        let schema = &answer["content"]["application/json"]["schema"];
        if schema.is_null() {
            return vec!["its answer is not described".to_owned()];
        }
        self.validator(schema)
            .iter_errors(body)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect()
    }

    fn validator(&self, schema: &Value) -> Validator {
        let schema = json!({"allOf": [schema], "components": self.0["components"]});
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .build(&schema)
            .unwrap()
    }
}

/// The schemas that are parts of others by `allOf`.
fn collect_parts(value: &Value, parts: &mut BTreeSet<String>) {
    for part in value["allOf"].as_array().into_iter().flatten() {
        if let Some(reference) = part["$ref"].as_str() {
            parts.insert(reference.rsplit('/').next().unwrap().to_owned());
        }
    }
    match value {
        Value::Object(object) => object
            .values()
            .for_each(|value| collect_parts(value, parts)),
        Value::Array(items) => items.iter().for_each(|value| collect_parts(value, parts)),
        _ => {}
    }
}

/// Forbids keys that are not described, in a schema and everything in it.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.contains_key("allOf") {
                object.insert("unevaluatedProperties".to_owned(), json!(false));
                return;
            }
            object.values_mut().for_each(close);
            if object.get("type").is_some_and(|kind| kind == "object") {
                object.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn an_answer_that_differs_is_told() {
    let document = Document::served();
    let path = "/api/fast-build/task/cancel-task-by-task-id";
    let differences = |body: Value| document.differences("POST", path, &body).len();
    assert_eq!(differences(json!({"code": 0, "msg": "", "data": true})), 0);
    assert_eq!(
        differences(json!({"code": 0, "msg": "", "data": "true"})),
        1
    );
    assert_eq!(differences(json!({"code": 0, "data": true})), 1);
    assert_eq!(
        differences(json!({"code": 0, "msg": "", "data": true, "more": 1})),
        1
    );
    let row = json!({"primary_id": 1, "host_ip": "a", "host_port": 1, "create_time": "", "update_time": ""});
    let path = "/api/fast-build/config/query-host-all";
    let rows = |row: &Value| {
        let body = json!({"code": 0, "msg": "", "data": [row]});
        document.differences("GET", path, &body).len()
    };
    assert_eq!(rows(&row), 0);
    let mut other = row;
    other["secret"] = json!("x");
    assert_eq!(rows(&other), 1);
}

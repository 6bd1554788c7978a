//! The table of endpoints (`endpoints.md`), walked row by row against a running service: method, path and
//! parameters as the table has them, every answer as the OpenAPI document describes it.

mod document;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use fastbuild_testkit::{
    client::ConfigFields,
    request::Request,
    wait::{eventually, when},
};
use reqwest::{Method, RequestBuilder, multipart::Form};
use serde_json::{Value, json};

use self::{
    document::Document,
    table::{TABLE, WELCOME, query_parameters, table},
};
use crate::support::{
    http::{Http, Reply, send},
    installation::{EngineKind, Installation, TIMEOUT},
};

#[test]
fn the_table_has_every_row() {
    assert_eq!(table().len(), 47);
}

#[test]
fn every_field_the_table_lists_is_in_its_schema() {
    let document = Document::served();
    let mut seen = 0;
    for line in TABLE.lines() {
        let Some((name, fields)) = line.split_once(": ") else {
            continue;
        };
        let schema = match name {
            "task" => "Task",
            "step" => "StepRecord",
            "image" => "ImageRow",
            "profile" => "ImageDescriptor",
            _ => continue,
        };
        let listed: BTreeSet<&str> = fields.split(", ").collect();
        let (known, required) = document.keys(schema);
        // What was added since stands beside it.
        assert!(listed.is_subset(&known), "{name}: {listed:?}, {known:?}");
        let added: Vec<&&str> = required.difference(&listed).collect();
        assert!(
            added.iter().all(|name| ADDED.contains(name)),
            "{name}: {added:?}"
        );
        seen += 1;
    }
    assert_eq!(seen, 4);
}

/// Keys that are always there and that the table, being older, does not list.
const ADDED: [&str; 2] = ["detail_state", "image_id"];

#[test]
fn every_endpoint_and_parameter_is_in_the_openapi_document() {
    let document = Document::served();
    let mut missing = Vec::new();
    for (call, row) in table() {
        let (method, path) = call.split_once(' ').unwrap();
        let operation = document.operation(method, &format!("/api/fast-build/{path}"));
        if operation.is_null() {
            missing.push(call.clone());
            continue;
        }
        for (name, required) in query_parameters(row.parameters) {
            let known = operation["parameters"].as_array().into_iter().flatten();
            let mut known = known.filter(|parameter| {
                parameter["name"] == name
                    && parameter["in"] == "query"
                    && parameter["required"].as_bool().unwrap_or(false) == required
            });
            if known.next().is_none() {
                missing.push(format!("{call}: {name}, required: {required}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

/// Asks a service and keeps what it answered, by endpoint.
struct Walker<'a> {
    installation: &'a Installation,
    http: Http,
    answers: BTreeMap<String, Reply>,
}

impl<'a> Walker<'a> {
    fn new(installation: &'a Installation) -> Self {
        Self {
            http: Http::new(&installation.client().url),
            installation,
            answers: BTreeMap::new(),
        }
    }

    /// Calls `METHOD path?query`; the answer's data.
    async fn call(&mut self, call: &str) -> Value {
        self.call_with(call, |request| request).await
    }

    async fn call_with(
        &mut self,
        call: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Value {
        let reply = self.ask(call, with).await;
        self.record(call, reply)
    }

    async fn ask(&self, call: &str, with: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Reply {
        let (method, path) = call.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        send(with(self.http.request(method, path))).await
    }

    /// Keeps the answer for the comparison with the table; its data.
    fn record(&mut self, call: &str, reply: Reply) -> Value {
        let data = reply.json()["data"].clone();
        let endpoint = call.split('?').next().unwrap().to_owned();
        self.answers.insert(endpoint, reply);
        data
    }

    /// Asks until the answer holds something.
    async fn call_until_filled(&mut self, call: &str) -> Value {
        let reply = eventually(format!("{call} is filled"), TIMEOUT, || async {
            let reply = self.ask(call, |request| request).await;
            let filled = match &reply.json()["data"] {
                Value::Array(items) => !items.is_empty(),
                Value::Object(fields) => {
                    !fields.is_empty() && fields.values().all(|steps| steps[0].is_object())
                }
                _ => false,
            };
            Ok(when(filled, reply))
        })
        .await
        .unwrap();
        self.record(call, reply)
    }

    async fn form(&mut self, call: &str, fields: &ConfigFields, names: &[&str]) {
        let mut form = Form::new();
        for (name, value) in &fields.fields {
            if names.iter().any(|start| name.starts_with(start)) {
                form = form.text(*name, value.clone());
            }
        }
        self.call_with(call, |request| request.multipart(form))
            .await;
    }

    async fn configure(&mut self) {
        let fields = self.installation.fields(EngineKind::PlainEngine);
        let all = ["fastbuild_", "harbor_", "docker_"];
        self.form("POST config/config-fastbuild", &fields, &all)
            .await;
        self.form("POST config/update-host", &fields, &all[..1])
            .await;
        self.form("POST config/update-harbor", &fields, &all[1..2])
            .await;
        self.form("POST config/update-docker-server", &fields, &all[2..])
            .await;
        let headers = json!({"Content-Type": "application/json", "X-BizType": "DROS"});
        self.call_with("POST config/update-headers", |request| {
            request.json(&headers)
        })
        .await;
        for name in ["host", "harbor", "docker-server"] {
            self.call(&format!("GET config/query-{name}")).await;
            self.call(&format!("GET config/query-{name}-all")).await;
        }
    }

    async fn fill_the_catalog(&mut self) {
        for (query, name) in [
            ("file_type=source&installer=apt&type=mine", "debian-12.list"),
            ("file_type=source&installer=yum&type=mine", "Centos-7.repo"),
            ("file_type=source&installer=pip&type=mine", "pip.conf"),
            ("file_type=source&installer=conda&type=mine", ".condarc"),
            ("file_type=python", "Python-3.8.10.tgz"),
            ("file_type=pip", "get-pip.py"),
            ("file_type=conda", "Miniconda3-py39_4.9.2-Linux-x86_64.sh"),
        ] {
            let reply = self.http.upload(query, &[(name, b"content")]).await;
            let names = &reply.json()["data"]["complete upload filenames"];
            assert_eq!(*names, json!([name]), "{}", reply.text);
            self.answers.insert("POST file/upload".to_owned(), reply);
        }
        self.call("GET file/list-source").await;
        self.call("GET file/list-software").await;
    }

    /// Runs two builds one after the other, and looks at both while they are on their way.
    async fn build(&mut self) -> [(i64, String); 2] {
        // Cleaning takes it away again: nobody else may need it.
        let base = self.installation.own_base(EngineKind::PlainEngine);
        self.call(&format!("POST task/pull-image?image_name={base}"))
            .await;
        self.call(&format!("POST task/check-image?image_name={base}"))
            .await;
        self.call("GET check-result/all-check-result").await;
        let mut builds = Vec::new();
        for tag in ["1", "2"] {
            let target = self.installation.target(tag);
            // Packages make the first build last while the second waits.
            let request = Request::new(&base, &target)
                .system("apt", &["file"])
                .callback(&self.installation.callback_url());
            let data = self
                .call_with("POST task/build-image", |call| call.json(request.body()))
                .await;
            builds.push((data["task_id"].as_i64().unwrap(), target));
        }
        self.call_until_filled("GET task/queued-tasks").await;
        self.call_until_filled("GET task/running-tasks").await;
        self.call_until_filled("GET progress/running-tasks-progress")
            .await;
        for (task_id, _) in &builds {
            let client = self.installation.client();
            let task = client.wait_for_end(*task_id, TIMEOUT).await.unwrap();
            assert_eq!(task["state"], "PUSH_SUCCESS", "{task:#}");
        }
        builds.try_into().unwrap()
    }

    async fn look_at_builds(&mut self, task_id: i64) {
        let name = &self.installation.token;
        for call in [
            "GET task/list-task?page=1&page_size=10",
            "GET task/all-tasks",
            &format!("GET task/task-details_by_task_id?task_id={task_id}"),
            &format!("GET task/task-detail-by-image-name?image_name={name}"),
            &format!("GET progress/details?task_id={task_id}"),
            "GET progress/status",
            "GET image/list-image?page=1&page_size=10",
            "GET image/list-all",
            "GET config/query-callback",
            "GET config/query-callback-all",
            "POST config/test-callback",
        ] {
            self.call(call).await;
        }
    }

    async fn take_away(&mut self, [first, second]: [(i64, String); 2]) {
        for call in [
            &format!("DELETE task/delete-image-by-task-id?task_id={}", first.0),
            "POST system/auto_clean_image?reserve_days=0",
            &format!(
                "DELETE image/delete-image-by-image-name?image_name={}",
                second.1
            ),
            "GET image-life/all",
            &format!("DELETE task/delete-task-by-task-id?task_id={}", first.0),
            "DELETE check-result/delete-all-check-result",
        ] {
            self.call(call).await;
        }
    }

    /// Everything in which the answers differ from the table and from the OpenAPI document.
    fn differences(&self) -> Vec<String> {
        let document = Document::served();
        let mut differences = Vec::new();
        for (call, row) in table() {
            let mut say = |what: String| differences.push(format!("{call}: {what}"));
            let Some(reply) = self.answers.get(&call) else {
                say("was not called".to_owned());
                continue;
            };
            let body = reply.json();
            if reply.status != 200 || !reply.header("content-type").starts_with("application/json")
            {
                say(format!("HTTP {} {body}", reply.status));
                continue;
            }
            let is_bare = row.data == WELCOME;
            if !is_bare && (body["code"] != 0 || body["msg"].as_str().is_none_or(str::is_empty)) {
                say(format!("refused: {body}"));
                continue;
            }
            let (method, path) = call.split_once(' ').unwrap();
            let path = format!("/api/fast-build/{path}");
            for difference in document.differences(method, &path, &body) {
                say(difference);
            }
            let data = &body["data"];
            if is_empty(data) {
                say(format!("there is nothing to compare in {body}"));
            }
            if row.data.contains("newest first") && !is_newest_first(data) {
                say(format!("not newest first: {data}"));
            }
            let secret = &self.installation.env.registry.user.password;
            if reply.text.contains(secret.as_str()) {
                say("the answer holds a password".to_owned());
            }
        }
        differences
    }
}

/// Whether an answer is a list, or holds one, without a row.
fn is_empty(data: &Value) -> bool {
    let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    is_empty(data)
        || ["task_list", "image_list"]
            .iter()
            .any(|name| is_empty(&data[*name]))
}

/// Whether the rows of a list, where the answer is one, have falling numbers.
fn is_newest_first(data: &Value) -> bool {
    let rows = data["task_list"].as_array().or(data.as_array());
    let numbers = rows
        .into_iter()
        .flatten()
        .map(|row| row["primary_id"].as_i64());
    numbers.rev().is_sorted()
}

#[tokio::test]
async fn every_row_of_the_table_is_served_as_it_says() {
    let installation = Installation::unconfigured(&[
        ("BUILDS__PER_ENGINE", "1"),
        ("SOURCE_DIR", ""),
        ("TOOLS_DIR", ""),
    ])
    .await;
    let mut walker = Walker::new(&installation);
    for (call, row) in table() {
        if row.data != WELCOME {
            continue;
        }
        let body = walker.call(&call).await;
        assert_eq!(body, Value::Null, "{call}");
        let greeting = walker.answers[&call].json();
        let message = greeting["message"].as_str().unwrap();
        assert!(message.starts_with("Welcome To "), "{call}: {message}");
    }
    walker.configure().await;
    walker.fill_the_catalog().await;
    let builds = walker.build().await;
    walker.look_at_builds(builds[0].0).await;
    walker.take_away(builds).await;
    assert_eq!(walker.differences(), Vec::<String>::new());
}

#[tokio::test]
async fn every_required_parameter_is_asked_for_by_its_name() {
    let installation = Installation::unconfigured(&[]).await;
    let http = Http::new(&installation.client().url);
    let mut asked = 0;
    for (call, row) in table() {
        let (method, path) = call.split_once(' ').unwrap();
        let required: Vec<String> = query_parameters(row.parameters)
            .into_iter()
            .filter(|(_, required)| *required)
            .map(|(name, _)| name)
            .collect();
        if required.is_empty() {
            continue;
        }
        let reply = send(http.request(method.parse().unwrap(), path)).await;
        let body = reply.json();
        assert_eq!(
            (reply.status, &body["code"]),
            (200, &json!(-1)),
            "{call}: {body}"
        );
        assert_eq!(body["data"], Value::Null, "{call}: {body}");
        for name in required {
            let msg = body["msg"].as_str().unwrap();
            assert!(msg.contains(&name), "{call}: {msg}");
            asked += 1;
        }
    }
    assert_eq!(asked, 14);
}

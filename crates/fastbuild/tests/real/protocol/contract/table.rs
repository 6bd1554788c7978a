//! The table of endpoints: as `endpoints.md` has it, and as it is written down here with the shape of
//! every answer.

use std::collections::{BTreeMap, BTreeSet};

pub(super) const TABLE: &str = include_str!("../endpoints.md");

/// The columns of a row after its first.
pub(super) struct Row {
    pub(super) parameters: &'static str,
    pub(super) data: &'static str,
}

/// A row's endpoints, as written here: its second and third column as the table has them, and the
/// shape of each answer's `data`.
pub(super) struct Endpoint {
    pub(super) call: &'static str,
    pub(super) parameters: &'static str,
    pub(super) data: &'static str,
    pub(super) shape: &'static str,
}

const fn endpoint(
    call: &'static str,
    parameters: &'static str,
    data: &'static str,
    shape: &'static str,
) -> Endpoint {
    Endpoint {
        call,
        parameters,
        data,
        shape,
    }
}

const UPDATE: &str = "sentence";
const QUERY: &str = "latest row / rows newest first, no password or key in them";
pub(super) const WELCOME: &str = "{\"message\": \"Welcome To ...\"} (bare, no envelope)";

const HOST: &str =
    "{primary_id: int, host_ip: text, host_port: int, create_time: time, update_time: time}";
const HOSTS: &str =
    "[{primary_id: int, host_ip: text, host_port: int, create_time: time, update_time: time}]";
const HARBOR: &str = "{primary_id: int, username: text, registry: text, registry_dns: text, create_time: time, update_time: time}";
const HARBORS: &str = "[{primary_id: int, username: text, registry: text, registry_dns: text, create_time: time, update_time: time}]";
const SERVER: &str = "{primary_id: int, host: text, port: int, tls_verify: bool, create_time: time, update_time: time}";
const SERVERS: &str = "[{primary_id: int, host: text, port: int, tls_verify: bool, create_time: time, update_time: time}]";
const CALLBACK: &str = "@callback";
const CALLBACKS: &str = "[@callback]";
const GROUPS: &str = "{source_list: {apt: [{type: text, name: [text]}], yum: [{type: text, name: [text]}], pip: [{type: text, name: [text]}], conda: [{type: text, name: [text]}]}}";

/// Every endpoint of the table.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    endpoint(
        "POST task/build-image",
        "body above",
        "section 2",
        "@accepted",
    ),
    endpoint(
        "POST task/pull-image",
        "query image_name",
        "{image_id, target_image_name}",
        "{image_id: text, target_image_name: text}",
    ),
    endpoint(
        "POST task/check-image",
        "query image_name",
        "image profile, section 5",
        "@profile",
    ),
    endpoint(
        "GET task/list-task",
        "page, page_size, image_name?, task_status?",
        "{page: {current, total, page_size}, task_list: [task]} newest first",
        "{page: @page, task_list: [@task]}",
    ),
    endpoint("GET task/all-tasks", "", "[task]", "[@task]"),
    endpoint("GET task/running-tasks", "", "[task]", "[@task]"),
    endpoint("GET task/queued-tasks", "", "[task]", "[@task]"),
    endpoint(
        "GET task/task-details_by_task_id",
        "task_id",
        "task",
        "@task",
    ),
    endpoint(
        "GET task/task-detail-by-image-name",
        "image_name (part of it)",
        "[task]",
        "[@task]",
    ),
    endpoint(
        "DELETE task/delete-image-by-task-id",
        "task_id",
        "removes the image from the engine",
        "bool",
    ),
    endpoint(
        "DELETE task/delete-task-by-task-id",
        "task_id",
        "only in a terminal state; record and files",
        "text",
    ),
    endpoint(
        "GET progress/details",
        "task_id",
        "{task_id, task_name, progress: [step]}; `{}` for an unknown id",
        "{task_id: int, task_name: text, progress: [@step]}",
    ),
    endpoint(
        "GET progress/running-tasks-progress",
        "",
        "{task_id: [step]}",
        "{*: [@step]}",
    ),
    endpoint(
        "GET progress/status",
        "",
        "[\"pull\",\"check\",\"prepare\",\"build\",\"push\"]",
        "['pull'/'check'/'prepare'/'build'/'push']",
    ),
    endpoint(
        "GET image/list-image",
        "page, page_size, keyword?, image_type? (Base, Customized)",
        "{page, image_list: [image]}",
        "{page: @page, image_list: [@image]}",
    ),
    endpoint("GET image/list-all", "", "[image]", "[@image]"),
    endpoint(
        "DELETE image/delete-image-by-image-name",
        "image_name",
        "",
        "text",
    ),
    endpoint(
        "GET image-life/all",
        "",
        "[{image_name, image_type: pull or build, generator_time, delete_time, ...}]",
        "[{primary_id: int, image_name: text, image_type: 'pull'/'build', generator_time: time, delete_time: time?, create_time: time, update_time: time}]",
    ),
    endpoint(
        "GET check-result/all-check-result",
        "",
        "stored profiles",
        "[{primary_id: int, image_id: text, image_name: text, result: text, create_time: time, update_time: time}]",
    ),
    endpoint(
        "DELETE check-result/delete-all-check-result",
        "",
        "stored profiles",
        "int",
    ),
    endpoint(
        "GET file/list-source",
        "",
        "{source_list: {apt: [{type, name: [file]}], yum, pip, conda}}",
        GROUPS,
    ),
    endpoint(
        "GET file/list-software",
        "",
        "{software_list: {python: [file], pip: [\"get-pip.py\"], conda: [file]}}",
        "{software_list: {python: [text], pip: ['get-pip.py'], conda: [text]}}",
    ),
    endpoint(
        "POST file/upload",
        "query file_type (source, python, pip, conda), multipart `files`",
        "{\"complete upload filenames\": [...]}; *for source also `installer` and `type`*",
        "{\"complete upload filenames\": [text], files: [{name: text, sha256: text, size: int, replaced: bool}]}",
    ),
    endpoint(
        "POST system/auto_clean_image",
        "reserve_days",
        "removed images",
        "[text]",
    ),
    endpoint(
        "POST config/config-fastbuild",
        "multipart, section 6",
        "sentence",
        "text",
    ),
    endpoint("POST config/update-host", "", UPDATE, "text"),
    endpoint("POST config/update-harbor", "", UPDATE, "text"),
    endpoint("POST config/update-docker-server", "", UPDATE, "text"),
    endpoint("POST config/update-headers", "", UPDATE, "text"),
    endpoint("GET config/query-host", "", QUERY, HOST),
    endpoint("GET config/query-harbor", "", QUERY, HARBOR),
    endpoint("GET config/query-docker-server", "", QUERY, SERVER),
    endpoint("GET config/query-callback", "", QUERY, CALLBACK),
    endpoint("GET config/query-host-all", "", QUERY, HOSTS),
    endpoint("GET config/query-harbor-all", "", QUERY, HARBORS),
    endpoint("GET config/query-docker-server-all", "", QUERY, SERVERS),
    endpoint("GET config/query-callback-all", "", QUERY, CALLBACKS),
    endpoint(
        "POST config/test-callback",
        "",
        "repeats the last recorded callback and returns what came back",
        "{url: text, request_headers: {*: text}, request_body: text, status: int, body: text, duration_ms: int, error: null}",
    ),
    endpoint("GET task/welcome", "", WELCOME, "{message: text}"),
    endpoint("GET progress/welcome", "", WELCOME, "{message: text}"),
    endpoint("GET image/welcome", "", WELCOME, "{message: text}"),
    endpoint("GET image-life/welcome", "", WELCOME, "{message: text}"),
    endpoint("GET check-result/welcome", "", WELCOME, "{message: text}"),
    endpoint("GET file/welcome", "", WELCOME, "{message: text}"),
    endpoint("GET system/welcome", "", WELCOME, "{message: text}"),
    endpoint("GET config/welcome", "", WELCOME, "{message: text}"),
    endpoint("GET ", "", WELCOME, "{message: text}"),
];

/// The table's endpoints, by method and path below the root.
pub(super) fn table() -> BTreeMap<String, Row> {
    let rows: Vec<[&'static str; 3]> = TABLE
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            <[&str; 3]>::try_from(cells).unwrap_or_else(|cells| panic!("{cells:?}"))
        })
        .filter(|[first, ..]| *first != "method and path")
        .collect();
    let modules: BTreeSet<&str> = rows
        .iter()
        .flat_map(|[first, ..]| first.split("; "))
        .filter_map(|calls| calls.split_once(' ')?.1.split_once('/'))
        .map(|(module, _)| module)
        .filter(|module| !module.contains('`'))
        .collect();
    let mut found = BTreeMap::new();
    for [first, parameters, data] in rows {
        for call in calls(first, &modules) {
            assert!(
                found
                    .insert(call.clone(), Row { parameters, data })
                    .is_none(),
                "{call} stands in the table twice"
            );
        }
    }
    found
}

/// The endpoints of a first column.
fn calls(first: &str, modules: &BTreeSet<&str>) -> Vec<String> {
    if first == "GET `<module>/welcome`, GET `/api/fast-build/`" {
        let welcomes = modules.iter().map(|module| format!("GET {module}/welcome"));
        return welcomes.chain(["GET ".to_owned()]).collect();
    }
    let (first, with_histories) = match first.strip_suffix(" and their `-all` histories") {
        Some(first) => (first, true),
        None => (first, false),
    };
    let mut found = Vec::new();
    for group in first.split("; ") {
        let (method, paths) = group.split_once(' ').unwrap();
        let (module, _) = paths.split_once('/').unwrap();
        for path in without_brackets(paths).split(',').map(str::trim) {
            let name = path.rsplit('/').next().unwrap();
            found.push(format!("{method} {module}/{name}"));
            if with_histories {
                found.push(format!("{method} {module}/{name}-all"));
            }
        }
    }
    found
}

/// A text without what stands in brackets.
fn without_brackets(text: &str) -> String {
    let mut depth = 0;
    text.chars()
        .filter(|letter| {
            if *letter == '(' {
                depth += 1;
            }
            let kept = depth == 0;
            if *letter == ')' {
                depth -= 1;
            }
            kept
        })
        .collect()
}

/// The parameters of the query in a second column, and whether each must be there.
pub(super) fn query_parameters(text: &str) -> Vec<(String, bool)> {
    if text.starts_with("body") || text.starts_with("multipart") {
        return Vec::new();
    }
    without_brackets(text)
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty() && !word.starts_with("multipart"))
        .map(|word| word.strip_prefix("query ").unwrap_or(word))
        .map(|word| match word.strip_suffix('?') {
            Some(name) => (name.to_owned(), false),
            None => (word.to_owned(), true),
        })
        .collect()
}

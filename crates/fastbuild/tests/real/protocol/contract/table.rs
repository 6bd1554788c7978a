//! The table of endpoints, as `endpoints.md` has it.

use std::collections::{BTreeMap, BTreeSet};

pub(super) const TABLE: &str = include_str!("../endpoints.md");

/// The columns of a row after its first.
pub(super) struct Row {
    pub(super) parameters: &'static str,
    pub(super) data: &'static str,
}

/// What the third column says of the greetings.
pub(super) const WELCOME: &str = "{\"message\": \"Welcome To ...\"} (bare, no envelope)";

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

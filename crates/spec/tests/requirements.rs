//! Requirement files against pip's own code: what was written of a file is what pip reads of it.
//!
//! `FASTBUILD_PIPS` may name folders with other versions of pip (`pip install --target`), divided by colons.

#![expect(
    clippy::unwrap_used,
    reason = "a test helper that fails fails its test"
)]
#![expect(
    clippy::format_push_string,
    clippy::type_complexity,
    reason = "a corpus is written as it reads"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "whoever runs the test names more versions of pip by a variable"
)]

#[path = "requirements/corpus.rs"]
mod corpus;

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use fastbuild_spec::{
    image_spec::PipSpec,
    limits::{BuildLimits, LimitBounds},
    request::{RequestPolicy, WireKey, parse_document},
    requirements::{HostPattern, RequirementSet, Sources},
};
use serde_json::{Value, json};

use self::corpus::{Case, cases};

fn sources() -> Sources {
    Sources {
        allowed_hosts: ["index.example", "files.example"]
            .map(|host| HostPattern::parse(host).unwrap())
            .to_vec(),
        ..Sources::default()
    }
}

/// What a document with these files wants of pip; or the mistakes in them.
fn wanted(files: &BTreeMap<String, String>) -> Result<PipSpec, Vec<String>> {
    let mut others = files.clone();
    let root = others.remove("requirements.txt").unwrap();
    let document = json!({
        "base": "debian:12",
        "target": "registry.example/team/app:1",
        "pip": {"requirements": root, "files": others},
    });
    let hour = BuildLimits {
        total: 3600,
        silence: 3600,
        push: 3600,
    };
    let policy = RequestPolicy {
        wire_key: WireKey::new("c7e71f37dda040fd", "0000000000000000").unwrap(),
        limits: LimitBounds {
            default: hour,
            longest: hour,
        },
        sources: sources(),
    };
    parse_document(&document, &policy)
        .map(|request| request.spec.pip)
        .map_err(|errors| {
            let errors = errors.reported().iter();
            errors.map(|error| error.allowed.en.clone()).collect()
        })
}

/// As it is written for the tool: a plain list becomes words of the command, which are lines as well.
fn written(pip: &PipSpec) -> Value {
    let RequirementSet {
        requirements,
        constraints,
        ..
    } = &pip.files;
    let lines = [pip.requirements.as_slice(), requirements].concat();
    json!({"requirements": lines.join("\n"), "constraints": constraints.join("\n")})
}

/// The options as the script tells pip's.
fn options(pip: &PipSpec) -> Value {
    let options = &pip.files.options;
    let indexes: Vec<&String> = options
        .index_url
        .iter()
        .chain(&options.extra_index_urls)
        .collect();
    json!({
        "indexes": indexes,
        "no_index": options.no_index,
        "find_links": options.find_links,
        "trusted": options.trusted_hosts,
        "pre": options.pre,
        "prefer_binary": options.prefer_binary,
    })
}

fn read_by_pip(pip: Option<&str>, input: &str) -> (String, Vec<Value>) {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/requirements/read_by_pip.py"
    );
    let mut command = Command::new("python3");
    command
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if let Some(folder) = pip {
        command.env("PYTHONPATH", folder);
    }
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(
        output.status.success(),
        "python3 with pip must be installed"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let version = lines.next().unwrap()["pip"].to_string();
    (version, lines.collect())
}

/// Where our reading differs from pip's.
fn difference(case: &Case, ours: &Result<PipSpec, Vec<String>>, answer: &Value) -> Option<String> {
    let sent = &answer["sent"];
    match ours {
        Err(errors) if case.is_good => Some(format!("is refused: {errors:?}; pip: {sent}")),
        Err(_) => None,
        Ok(_) if sent["error"].is_string() => Some(format!("is taken; pip: {}", sent["error"])),
        Ok(pip) => {
            if answer["written"]["lines"] != sent["lines"] {
                return Some(format!(
                    "is written as {}; pip: {}",
                    answer["written"], sent["lines"]
                ));
            }
            let mut of_pip = sent["options"].clone();
            for name in ["no_binary", "only_binary", "require_hashes"] {
                of_pip.as_object_mut().unwrap().remove(name);
            }
            let mut ours = options(pip);
            if of_pip["no_index"].is_null() {
                ours["no_index"] = Value::Null;
            }
            (ours != of_pip).then(|| format!("has {ours}; pip: {of_pip}"))
        }
    }
}

#[test]
fn what_is_written_of_a_file_is_what_pip_reads_of_it() {
    let cases = cases(20_261_130, 100);
    assert!(cases.len() > 500);
    let all: Vec<_> = cases.iter().map(|case| wanted(&case.files)).collect();
    let input: String = cases
        .iter()
        .zip(&all)
        .map(|(case, ours)| {
            let written = ours.as_ref().ok().map(written);
            json!({"files": case.files, "written": written}).to_string() + "\n"
        })
        .collect();
    let others = std::env::var("FASTBUILD_PIPS").unwrap_or_default();
    let others = others
        .split(':')
        .filter(|folder| !folder.is_empty())
        .map(Some);
    for pip in std::iter::once(None).chain(others) {
        let (version, answers) = read_by_pip(pip, &input);
        assert_eq!(answers.len(), cases.len());
        let differences: Vec<String> = cases
            .iter()
            .zip(&all)
            .zip(&answers)
            .filter_map(|((case, ours), answer)| {
                let difference = difference(case, ours, answer)?;
                Some(format!("{} {:?}\n  {difference}", case.shape, case.files))
            })
            .collect();
        let count = differences.len();
        assert!(
            differences.is_empty(),
            "pip {version}, {count}:\n{}",
            differences.join("\n")
        );
    }
    let taken = all.iter().filter(|ours| ours.is_ok()).count();
    assert!(taken > 400, "{taken} of {} are taken", cases.len());
}

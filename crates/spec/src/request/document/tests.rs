use insta::assert_snapshot;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{
    super::{Syntax, WireKey, read},
    *,
};
use crate::limits::{BuildLimits, LimitBounds};

/// An hour at most and by default.
fn policy() -> RequestPolicy {
    let hour = BuildLimits {
        total: 3600,
        silence: 3600,
        push: 3600,
    };
    RequestPolicy {
        wire_key: WireKey::new("c7e71f37dda040fd", "0000000000000000").unwrap(),
        limits: LimitBounds {
            default: hour,
            longest: hour,
        },
        sources: crate::requirements::Sources::default(),
    }
}

fn parsed(text: &str) -> BuildRequest {
    parse_document(&read(text, Syntax::Yaml).unwrap(), &policy())
        .unwrap_or_else(|errors| panic!("{}", crate::failure::Failure::from(errors)))
}

/// One line per mistake: pointer and detail.
fn mistakes(text: &str) -> String {
    let errors = parse_document(&read(text, Syntax::Yaml).unwrap(), &policy()).unwrap_err();
    errors
        .reported()
        .iter()
        .map(|error| format!("{}: {}", error.path, error.detail().en))
        .collect::<Vec<_>>()
        .join("\n")
}

const WHOLE: &str = r#"
base: harbor.example/base/debian:12
target: harbor.example/team/first:1.0
name: first
description: |
  what it is
  for
maintainer: me
owner: team-a
priority: 5
limits: {total_seconds: 600, push_seconds: 60}
callback_url: http://platform.example/done
python: {file: Python-3.8.10.tgz, location: /opt/python}
system:
  manager: apt
  packages: [git, vim=2:9.0, {name: curl, version: "7.88"}]
pip:
  install: true
  packages: ["numpy==1.26.4"]
  requirements: |
    # what the team uses
    requests[socks] >= 2, \
      < 3   # for the proxy
    six
conda:
  installer: Miniconda3-py310.sh
  packages: ["pandas>=2"]
  environment: |
    name: work
    channels: [conda-forge, defaults]
    dependencies:
      - python=3.10
      - main::scipy=1.9.3
      - pip
      - pip: [flask==3.0]
    variables: {MODE: fast}
mirrors: {system: ali/debian-12.list, pip: ali/pip.conf, conda: tuna/.condarc}
env: {HTTP_PROXY: "http://proxy:3128"}
labels: {org.example.team: a}
ssh: {password: "Alkaid123456"}
jupyter: {encrypted: "j7yC3VEVGFAJIRmnel+XVA=="}
"#;

#[test]
fn a_whole_document_becomes_a_spec() {
    let document = parsed(WHOLE);
    let request = &document;
    assert_snapshot!(serde_json::to_string_pretty(&request.spec).unwrap());
    assert_eq!(
        (request.owner.as_str(), request.priority, request.limits),
        (
            "team-a",
            5,
            BuildLimits {
                total: 600,
                silence: 3600,
                push: 60
            }
        )
    );
    for password in [&request.passwords.ssh, &request.passwords.jupyter_lab] {
        assert_eq!(password.as_ref().unwrap().expose_secret(), "Alkaid123456");
    }
    let completed = request.completed.to_string();
    assert!(!completed.contains("Alkaid123456"), "{completed}");
    assert!(!completed.contains("j7yC3VEV"), "{completed}");
}

#[test]
fn json_is_read_as_well_and_lists_stand_for_their_packages() {
    let body = json!({
        "base": "debian:12", "target": "a/b:1",
        "system": ["git"], "pip": ["six"], "conda": ["scipy=1.9.3"], "python": "Python-3.8.10.tgz",
        "ssh": false
    });
    let document =
        parse_document(&read(&body.to_string(), Syntax::Json).unwrap(), &policy()).unwrap();
    let spec = &document.spec;
    assert_eq!(spec.system.packages[0].name, "git");
    assert_eq!(spec.pip.requirements, ["six"]);
    assert_eq!(spec.conda.packages, ["scipy=1.9.3"]);
    assert!(!spec.ssh && spec.python.is_some());
    assert_eq!((spec.pip.uv, spec.conda.micromamba), (None, None));
}

#[test]
fn whether_uv_and_micromamba_may_install_is_the_documents_choice() {
    let document = parsed(
        "base: debian:12\ntarget: a/b:1\n\
         pip: {packages: [six], uv: false}\n\
         conda: {packages: [scipy], micromamba: true}\n",
    );
    let spec = &document.spec;
    assert_eq!(
        (spec.pip.uv, spec.conda.micromamba),
        (Some(false), Some(true))
    );
}

#[test]
fn every_mistake_is_told_with_its_pointer() {
    assert_snapshot!(mistakes(
        r#"
base: "A B"
nmae: slip
priority: high
limits: {total_seconds: 0, "a/b": 1}
callback_url: http://user:secret@x/
python: 3.10
system: {manager: zypper, packages: [git, "x y", 7]}
pip: {packages: ["-r x", {nam: six}], requirements: "six\n--index-url http://x\n"}
conda: {installer: x.exe, environment: "channels: [a, b]\ndependencies: [{npm: [x]}, 'x y']"}
mirrors: {system: ali, pip: ../x/y}
env: {PATH: /x, A: 1}
labels: {task_id: "1"}
ssh: {password: "a\nb"}
jupyter: {}
"#
    ));
}

#[test]
fn what_is_no_document_says_where() {
    let error = read("a: [1,\nb: }", Syntax::Yaml).unwrap_err();
    assert!(
        error
            .sentence()
            .en
            .starts_with("it is no valid YAML (near line"),
        "{error:?}"
    );
    assert!(read("{\"a\": ", Syntax::Json).is_err());
    // Nine levels of ten references each would be a billion values.
    let levels = "bcdefghij".chars().zip("abcdefghi".chars());
    let levels = levels.map(|(name, before)| {
        let references = vec![format!("*{before}"); 10].join(",");
        format!("{name}: &{name} [{references}]\n")
    });
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned() + &levels.collect::<String>();
    assert!(read(&bomb, Syntax::Yaml).is_err());
    let list = parse_document(&json!([]), &policy()).unwrap_err();
    assert_eq!(list.reported()[0].path, "/");
}

//! Both wire shapes of a build request, the samples of callers in the field, and mistakes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use fastbuild_spec::{
    failure::{Failure, FieldErrors, ReasonCode},
    limits::{BuildLimits, LimitBounds},
    request::{BuildRequest, RequestFormat, RequestPolicy, WireKey, parse_document, parse_legacy},
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

fn key() -> WireKey {
    WireKey::new("c7e71f37dda040fd", "0000000000000000").unwrap()
}

/// A day by default, a week at most.
fn policy() -> RequestPolicy {
    let limits = |seconds| BuildLimits {
        total: seconds,
        silence: seconds,
        push: seconds,
    };
    RequestPolicy {
        wire_key: key(),
        limits: LimitBounds {
            default: limits(86_400),
            longest: limits(7 * 86_400),
        },
        sources: fastbuild_spec::requirements::Sources::default(),
    }
}

fn sample(name: &str) -> Value {
    let path = format!("{}/tests/samples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn parse(body: &Value) -> Result<BuildRequest, FieldErrors> {
    parse_legacy(body, &policy())
}

/// The errors as `path: value`, one a line.
fn mistakes(body: &Value) -> String {
    let errors = parse(body).unwrap_err();
    let lines: Vec<String> = errors
        .reported()
        .iter()
        .map(|error| format!("{}: {:?} {}", error.path, error.value, error.allowed.en))
        .collect();
    lines.join("\n")
}

fn small() -> Value {
    json!({
        "image_data": {"target_image_name": "r.example:5000/team/a:1"},
        "dockerfile_json": {"base_image": "r.example:5000/base/debian:12"},
    })
}

fn config(body: &mut Value) -> &mut Value {
    &mut body["dockerfile_json"]["image_installer_config"]
}

#[test]
fn every_sample_parses() {
    for name in [
        "frontend-build",
        "platform-build",
        "platform-centos-everything",
        "platform-source-mismatch",
    ] {
        let request = parse(&sample(name)).unwrap();
        insta::assert_json_snapshot!(
            name,
            json!({
                "task_name": request.name,
                "callback_url": request.callback_url,
                "spec": request.spec,
                "ssh_password": request.passwords.ssh.is_some(),
                "jupyter_password": request.passwords.jupyter_lab.is_some(),
                "completed": request.completed,
            })
        );
    }
}

#[test]
fn the_completed_body_is_the_recorded_one() {
    let recorded: Value = serde_json::from_str(include_str!("answers/build-image.json")).unwrap();
    let recorded = &recorded["answer"]["data"]["image_request"];
    // What the front end sends: without the fields that were filled in.
    let mut sent = recorded.clone();
    sent["image_data"]["tag"] = json!("1");
    let config = config(&mut sent).as_object_mut().unwrap();
    config.remove("webSSHSecret");
    config.remove("jupyterLabSecret");
    for (name, part) in config.iter_mut() {
        let part = part.as_object_mut().unwrap();
        part.remove("update");
        part.remove("delimiter");
        part.remove("python_version");
        if name != "python_env" {
            part["install"] = json!({"present": part["install"]["present"], "target": ""});
            part["source"] = json!({"type": "", "file_name": ""});
        }
    }
    assert_eq!(parse(&sent).unwrap().completed, *recorded);
    assert_eq!(parse(recorded).unwrap().completed, *recorded);
}

#[test]
fn the_least_a_caller_can_send_is_enough() {
    let request = parse(&small()).unwrap();
    assert_eq!(request.name, "");
    assert_eq!(request.callback_url, None);
    assert!(!request.spec.ssh && !request.spec.jupyter_lab);
    assert_eq!(request.spec.python, None);
    assert_eq!(
        request.completed["dockerfile_json"]["image_installer_config"]["python_env"]["install_loc"],
        "/usr/local/dros/python"
    );
    assert_eq!(
        parse(&request.completed).unwrap().completed,
        request.completed
    );
}

#[test]
fn passwords_are_read_and_never_kept() {
    let wire = "j7yC3VEVGFAJIRmnel+XVA==";
    for mut body in [sample("platform-build"), sample("frontend-build")] {
        let place = if body.get("task_data").is_some() {
            &mut body
        } else {
            &mut body["image_data"]
        };
        place["webSSHSecret"] = json!(wire);
        place["jupyterLabSecret"] = json!("EhbK7QBAQ+DyPSmUS5Ur+Q==");
        config(&mut body)["webSSHSecret"] = json!("plain-text-password");
        let request = parse(&body).unwrap();
        assert!(request.spec.ssh && request.spec.jupyter_lab);
        assert_eq!(
            request.passwords.ssh.as_ref().unwrap().expose_secret(),
            "Alkaid123456"
        );
        assert_eq!(
            request
                .passwords
                .jupyter_lab
                .as_ref()
                .unwrap()
                .expose_secret(),
            " "
        );
        let printed = format!("{request:?} {}", request.completed);
        for secret in [wire, "EhbK7QBAQ", "Alkaid123456", "plain-text-password"] {
            assert!(!printed.contains(secret), "{printed}");
        }
        assert!(request.completed.to_string().contains("***"));
    }
}

#[test]
fn a_secret_that_cannot_be_read_is_refused_without_being_repeated() {
    let mut body = sample("platform-build");
    body["webSSHSecret"] = json!("Alkaid123456");
    body["jupyterLabSecret"] = json!(12345);
    let errors = parse(&body).unwrap_err();
    assert_eq!(errors.len(), 2);
    let told = Failure::from(errors);
    assert_eq!(told.code, ReasonCode::SpecInvalid);
    assert!(!told.to_string().contains("Alkaid123456"), "{told}");
    assert!(!told.to_string().contains("12345"), "{told}");
    insta::assert_snapshot!(told.message.zh);
}

#[test]
fn every_mistake_is_told_at_once() {
    let body = json!({
        "image_data": {
            "task_name": "two\nlines",
            "target_image_name": "r.example/a@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "callback_url": "ftp://x",
            "image_desc": 5,
            "webSSHSecret": "not base64!",
        },
        "dockerfile_json": {
            "base_image": "../containers/x",
            "maintainer": ["a"],
            "image_installer_config": {
                "python_env": {"target": "../Python-3.8.10.tgz", "install_loc": "/etc", "update": "yes"},
                "package_manager_installer_config": {
                    "installer_name": "apt",
                    "source": {"type": "/etc", "file_name": ""},
                    "software_list": [
                        {"name": "curl; touch /pwned", "version": ""},
                        {"name": "git", "version": "$(id)"},
                        {"name": "", "version": "1"},
                        "vim",
                        {"name": 7},
                        {"name": "", "version": ""},
                    ],
                },
                "pip_installer_config": {
                    "installer_name": "conda",
                    "install": {"target": "evil.py"},
                    "source": {"type": "ali", "file_name": "../pip.conf"},
                    "software_list": [
                        {"name": "--index-url=http://x", "version": ""},
                        {"name": "numpy", "version": "1; id"},
                    ],
                },
                "conda_installer_config": {
                    "install": {"target": "run.sh", "present": 1},
                    "software_list": [{"name": "https://x::y", "version": ""}],
                },
            },
        },
    });
    insta::assert_snapshot!(mistakes(&body));
}

#[test]
fn bodies_of_another_kind_are_refused() {
    let paths = |body: &Value| {
        let errors = parse(body).unwrap_err();
        errors
            .into_iter()
            .map(|error| error.path)
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(&json!([])), ["request"]);
    assert_eq!(
        paths(&json!({})),
        [
            "task_data",
            "task_data.target_image_name",
            "dockerfile_json.base_image"
        ]
    );
    let mut both = small();
    both["task_data"] = json!({"target_image_name": "r.example/a:1"});
    assert_eq!(paths(&both), ["task_data"]);
}

#[test]
fn an_update_left_out_means_what_the_target_says() {
    let target = |target: Value, update: Value, present: Value| {
        let mut body = small();
        *config(&mut body) =
            json!({"python_env": {"target": target, "update": update, "present": present}});
        parse(&body).map(|request| request.spec.python.map(|python| python.tool.file_name))
    };
    let file = "Python-3.8.10.tgz";
    let wanted = Ok(Some(file.to_owned()));
    assert_eq!(target(json!(file), json!(true), json!("")), wanted);
    assert_eq!(target(json!(file), Value::Null, json!([])), wanted);
    assert_eq!(target(json!(file), json!(false), json!("")), Ok(None));
    assert_eq!(target(json!(""), json!(true), json!("")), Ok(None));
    assert_eq!(
        target(
            json!(["python3(Python 3.8)"]),
            Value::Null,
            json!(["python3(Python 3.8)"])
        ),
        Ok(None)
    );
    assert_eq!(
        target(
            json!("python3(Python 3.8)"),
            Value::Null,
            json!("python3(Python 3.8)")
        ),
        Ok(None)
    );
    assert!(target(json!([file]), json!(true), json!([])).is_err());
}

#[test]
fn an_unticked_package_manager_takes_either_kind_of_name_and_mirror() {
    let system = |name: &str, version: &str, file: &str| {
        let mut body = small();
        *config(&mut body) = json!({"package_manager_installer_config": {
            "source": {"type": "ali", "file_name": file},
            "software_list": [{"name": name, "version": version}],
        }});
        parse(&body).map(|request| {
            request
                .spec
                .system
                .mirror
                .map(|mirror| mirror.kind.to_string())
        })
    };
    assert_eq!(
        system("g++", "4:12.2.0-3", "debian-12.list"),
        Ok(Some("apt".into()))
    );
    assert_eq!(
        system("libc6:amd64", "", "debian.sources"),
        Ok(Some("apt".into()))
    );
    assert_eq!(
        system("NetworkManager", "1:1.0-1.el7", "Centos-7.repo"),
        Ok(Some("yum".into()))
    );
    assert!(system("git", "", "mirror.txt").is_err());
    assert!(system("git;id", "", "debian-12.list").is_err());
    assert!(system("@base", "1", "Centos-7.repo").is_err());
}

#[test]
fn callbacks_go_to_web_addresses_without_passwords() {
    let url = |url: &str| {
        let mut body = small();
        body["image_data"]["callback_url"] = json!(url);
        parse(&body).map(|request| request.callback_url)
    };
    for good in [
        "http://127.0.0.1:9999/callback",
        "https://p.example/a?b=c",
        "http://[::1]/",
    ] {
        assert_eq!(url(good), Ok(Some(good.to_owned())));
    }
    for bad in [
        "p.example/a",
        "file:///etc/passwd",
        "http://",
        "http://a\nb/",
        "javascript:alert(1)",
        "http://a b/",
    ] {
        assert!(url(bad).is_err(), "{bad}");
    }
    let errors = url("http://user:secret@p.example/").unwrap_err();
    assert!(!format!("{errors:?}").contains("user:secret"));
}

#[test]
fn an_owner_and_limits_are_read_and_kept() {
    for sample_name in ["platform-build", "frontend-build"] {
        let mut body = sample(sample_name);
        let key = if body.get("task_data").is_some() {
            "task_data"
        } else {
            "image_data"
        };
        assert_eq!(parse(&body).unwrap().owner, "");
        body[key]["owner"] = json!("team-a");
        body[key]["limits"] = json!({"total_seconds": 600, "push_seconds": 60, "other": "x"});
        let request = parse(&body).unwrap();
        assert_eq!(request.owner, "team-a");
        let is_front_end = request.format == RequestFormat::FrontEnd;
        assert_eq!(is_front_end, key == "image_data");
        assert_eq!(
            (
                request.limits.total,
                request.limits.silence,
                request.limits.push
            ),
            (600, 86_400, 60)
        );
        assert_eq!(request.completed[key]["owner"], "team-a");
        assert_eq!(
            request.completed[key]["limits"],
            json!({"total_seconds": 600, "push_seconds": 60})
        );
        body[key]["limits"] =
            json!({"total_seconds": "ten", "silence_seconds": 0, "push_seconds": 604_801});
        body[key]["owner"] = json!("a\nb");
        let paths: Vec<String> = parse(&body)
            .unwrap_err()
            .into_iter()
            .map(|error| error.path)
            .collect();
        assert_eq!(
            paths,
            [
                format!("{key}.owner"),
                format!("{key}.limits.total_seconds"),
                format!("{key}.limits.silence_seconds"),
                format!("{key}.limits.push_seconds"),
            ]
        );
    }
}

#[test]
fn builds_are_alike_by_base_image_and_installers() {
    let body = sample("platform-build");
    let spec = parse(&body).unwrap().spec;
    let mut other = spec.clone();
    other.target = "registry.example/team/other:2".parse().unwrap();
    assert_eq!(spec.similarity_key(), other.similarity_key());
    other.jupyter_lab = !other.jupyter_lab;
    assert_ne!(spec.similarity_key(), other.similarity_key());
    let mut other = spec.clone();
    other.base = "registry.example/base/other:2".parse().unwrap();
    assert_ne!(spec.similarity_key(), other.similarity_key());
}

/// What both formats say of the same values, at the place where each has them.
#[test]
fn both_formats_have_the_same_rules() {
    let legacy = json!({
        "task_data": {
            "target_image_name": "r.example/a@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "callback_url": "ftp://x",
            "owner": "a\nb",
            "limits": {"total_seconds": 604_801},
            "image_desc": "a\u{0}b",
        },
        "dockerfile_json": {
            "base_image": "A B",
            "image_installer_config": {
                "python_env": {"target": "python.zip", "install_loc": "/etc"},
                "package_manager_installer_config": {
                    "source": {"type": "ali", "file_name": "x.txt"},
                    "software_list": [{"name": "x y"}, {"name": "@base", "version": "1"}],
                },
                "pip_installer_config": {"software_list": [{"name": "-r x"}]},
                "conda_installer_config": {"install": {"target": "x.exe"}},
            },
        },
        "webSSHSecret": "no base64!",
    });
    let document = json!({
        "base": "A B",
        "target": "r.example/a@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "callback_url": "ftp://x",
        "owner": "a\nb",
        "limits": {"total_seconds": 604_801},
        "description": "a\u{0}b",
        "python": {"file": "python.zip", "location": "/etc"},
        "system": [{"name": "x y"}, {"name": "@base", "version": "1"}],
        "pip": [{"name": "-r x"}],
        "conda": {"installer": "x.exe"},
        "mirrors": {"system": "ali/x.txt"},
        "ssh": {"encrypted": "no base64!"},
    });
    let told = |errors: FieldErrors| {
        let mut told: Vec<String> = errors
            .into_iter()
            .map(|error| error.allowed.en + "|" + &error.allowed.zh)
            .collect();
        told.sort();
        told
    };
    let by_legacy = told(parse(&legacy).unwrap_err());
    let by_document = told(parse_document(&document, &policy()).unwrap_err());
    assert_eq!(by_legacy.len(), 14);
    assert_eq!(by_legacy, by_document);
}

#[test]
fn a_request_of_mistakes_gets_fifty_and_a_count() {
    let mut body = small();
    let row = json!({"name": "x y"});
    *config(&mut body) = json!({
        "pip_installer_config": {"software_list": vec![row.clone(); 1000]},
        "conda_installer_config": {"software_list": vec![row; 1001]},
    });
    let failure = Failure::from(parse(&body).unwrap_err());
    assert_eq!(failure.fields.len(), 50);
    assert!(
        failure
            .message
            .en
            .starts_with("The request has 1001 mistake(s)"),
        "{failure}"
    );
    assert!(failure.message.en.ends_with("; and 951 more."), "{failure}");
}

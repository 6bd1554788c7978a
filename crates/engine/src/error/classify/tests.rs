use fastbuild_spec::failure::ReasonCode;

use super::*;

const SUBJECT: Subject<'_> = Subject {
    address: "10.0.0.5:2376",
    image: "harbor.example/base/debian:12",
    registry: "harbor.example",
};

fn step(stage: &str, lines: &[&str]) -> FailedStep {
    FailedStep {
        stage: stage.into(),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    }
}

#[test]
fn pull_errors_map_to_reason_codes() {
    for (code, messages) in [
        (
            ReasonCode::BaseImageNotFound,
            &[
                "manifest for harbor.example/base/debian:12 not found: manifest unknown: manifest unknown",
                "manifest unknown: The named manifest is not known to the registry.",
                "name unknown: repository name not known to registry",
                "Error response from daemon: repository harbor.example/base/debian not found: does not exist or no pull access",
                "not found: artifact base/debian:12 not found",
            ][..],
        ),
        (
            ReasonCode::BaseImagePullDenied,
            &[
                "pull access denied for debian, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                "unauthorized: unauthorized to access repository: base/debian, action: pull: unauthorized to access repository: base/debian, action: pull",
                "unauthorized: authentication required",
                "Head \"https://harbor.example/v2/base/debian/manifests/12\": no basic auth credentials",
                "error parsing HTTP 403 response body: denied: project base is blocked",
                "error parsing HTTP 400 response body: invalid character 'C' looking for beginning of value: \"Client sent an HTTP request to an HTTPS server.\\n\"",
            ],
        ),
        (
            ReasonCode::RegistryUnavailable,
            &[
                "Get \"http://harbor.example/v2/\": dial tcp 10.0.0.9:80: connect: connection refused",
                "Get \"https://harbor.example/v2/\": x509: certificate signed by unknown authority",
                "Get \"https://harbor.example/v2/\": http: server gave HTTP response to HTTPS client",
                "Get \"https://harbor.example/v2/\": tls: first record does not look like a TLS handshake",
                "Get \"https://harbor.example/v2/\": dial tcp: lookup harbor.example on 10.0.0.1:53: no such host",
                "Get \"https://harbor.example/v2/\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
                "received unexpected HTTP status: 503 Service Unavailable",
                "error parsing HTTP 502 response body: <html>: 502 Bad Gateway",
            ],
        ),
        (
            ReasonCode::NoSpaceLeft,
            &[
                "failed to register layer: Error processing tar file(exit status 1): write /usr/lib/x: no space left on device",
            ],
        ),
        (
            ReasonCode::BaseImageUnsupported,
            &[
                "no matching manifest for linux/amd64 in the manifest list entries",
                "no matching manifest for linux/amd64 in the manifest list entries: no match for platform in manifest: not found",
                "image operating system \"windows\" cannot be used on this platform",
                "unexpected end of JSON input",
                "not implemented: media type \"application/vnd.docker.distribution.manifest.v1+prettyjws\" is no longer supported since containerd v2.1, please rebuild the image as \"application/vnd.docker.distribution.manifest.v2+json\"",
                "unsupported media type application/vnd.cncf.helm.config.v1+json",
                "failed to unpack image on snapshotter overlayfs: unexpected media type application/x-nonsense for sha256:1b: not found",
                "'scratch' is a reserved name",
                "failed to register layer: max depth exceeded",
            ],
        ),
        (
            ReasonCode::ImageLost,
            &[
                "content digest sha256:1111: not found",
                "missing content: content digest sha256:1111: not found",
            ],
        ),
        (
            ReasonCode::EngineUnsupported,
            &[
                "client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade your client to a newer version",
            ],
        ),
        (
            ReasonCode::RegistryUnavailable,
            &["something nobody has seen before"],
        ),
    ] {
        for message in messages {
            assert_eq!(pull_error(SUBJECT, message).code(), code, "{message}");
        }
    }
}

#[test]
fn denied_after_successful_login_means_registry_unavailable() {
    let plain = "error parsing HTTP 400 response body: invalid character 'C' looking for beginning of value: \"Client sent an HTTP request to an HTTPS server.\\n\"";
    for error in [push_error(SUBJECT, plain), pull_error(SUBJECT, plain)] {
        let code = denied_with_login(error, SUBJECT.registry).code();
        assert_eq!(code, ReasonCode::RegistryUnavailable);
    }
    let denied = push_error(
        SUBJECT,
        "denied: requested access to the resource is denied",
    );
    let code = denied_with_login(denied, SUBJECT.registry).code();
    assert_eq!(code, ReasonCode::PushDenied);
}

#[test]
fn push_errors_map_to_reason_codes() {
    for (code, message) in [
        (
            ReasonCode::PushDenied,
            "denied: requested access to the resource is denied",
        ),
        (
            ReasonCode::PushDenied,
            "unauthorized: project team not found: project team not found",
        ),
        (ReasonCode::PushDenied, "no basic auth credentials"),
        (
            ReasonCode::PushDenied,
            "denied: adding 10.0 MiB of storage resource, which when updated to current usage of 1 GiB will exceed the configured upper limit",
        ),
        (
            ReasonCode::RegistryUnavailable,
            "received unexpected HTTP status: 500 Internal Server Error",
        ),
        (
            ReasonCode::RegistryUnavailable,
            "Get \"https://harbor.example/v2/\": dial tcp 10.0.0.9:443: i/o timeout",
        ),
        (
            ReasonCode::ImageLost,
            "tag does not exist: harbor.example/base/debian:12",
        ),
        (
            ReasonCode::ImageLost,
            "An image does not exist locally with the tag: harbor.example/base/debian",
        ),
        (
            ReasonCode::ImageLost,
            "content digest sha256:1111: not found",
        ),
        (
            ReasonCode::RegistryUnavailable,
            "something nobody has seen before",
        ),
    ] {
        assert_eq!(push_error(SUBJECT, message).code(), code, "{message}");
    }
}

#[test]
fn login_errors_map_to_reason_codes() {
    for (code, message) in [
        (
            ReasonCode::RegistryLoginFailed,
            "login attempt to http://127.0.0.1:5000/v2/ failed with status: 400 Bad Request",
        ),
        (
            ReasonCode::RegistryLoginFailed,
            "login attempt to http://harbor.example/v2/ failed with status: 401 Unauthorized",
        ),
        (
            ReasonCode::RegistryLoginFailed,
            "Get \"https://harbor.example/v2/\": unauthorized: authentication required",
        ),
        (
            ReasonCode::RegistryLoginFailed,
            "unauthorized: incorrect username or password",
        ),
        (
            ReasonCode::RegistryUnavailable,
            "Get \"http://harbor.example/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
        ),
        (
            ReasonCode::RegistryUnavailable,
            "Get \"https://harbor.example/v2/\": x509: certificate signed by unknown authority",
        ),
        (
            ReasonCode::NotARegistry,
            "login attempt to https://harbor.example/v2/ failed with status: 404 Not Found",
        ),
        (
            ReasonCode::EngineUnsupported,
            "client version 1.41 is too old. Minimum supported API version is 1.44",
        ),
        (
            ReasonCode::EngineTlsFailed,
            "Client sent an HTTP request to an HTTPS server.",
        ),
    ] {
        assert_eq!(
            login_error("e", "harbor.example", "robot", message).code(),
            code,
            "{message}"
        );
    }
}

#[test]
fn build_errors_map_to_reason_codes() {
    let run = || Some(step("[2/3] RUN make", &["cc1: error"]));
    for (code, step, message) in [
        (
            ReasonCode::StepFailed,
            run(),
            "executor failed running [/bin/sh -c make]: exit code: 2",
        ),
        (
            ReasonCode::StepFailed,
            run(),
            "process \"/bin/sh -c make\" did not complete successfully: exit code: 2",
        ),
        (
            ReasonCode::StepFailed,
            run(),
            "The command '/bin/sh -c make' returned a non-zero code: 2",
        ),
        (
            ReasonCode::StepFailed,
            run(),
            "failed to compute cache key: \"/x\" not found: not found",
        ),
        (
            ReasonCode::OutOfMemory,
            run(),
            "process \"/bin/sh -c make\" did not complete successfully: exit code: 137",
        ),
        (
            ReasonCode::NoSpaceLeft,
            run(),
            "failed to copy files: copy file range failed: no space left on device",
        ),
        (
            ReasonCode::NoSpaceLeft,
            Some(step(
                "[2/3] RUN make",
                &["cc1: fatal error: x.o: No space left on device"],
            )),
            "executor failed running [/bin/sh -c make]: exit code: 1",
        ),
        (
            ReasonCode::BaseImageNotFound,
            None,
            "failed to solve: harbor.example/base/debian:12: not found",
        ),
        (
            ReasonCode::BaseImagePullDenied,
            None,
            "pulling from host harbor.example failed with status code [manifests 12]: 401 Unauthorized",
        ),
        (
            ReasonCode::EngineUnsupported,
            None,
            "dockerfile parse error line 3: Unknown flag: link",
        ),
        (
            ReasonCode::BaseImageUnsupported,
            run(),
            "max depth exceeded",
        ),
        (
            ReasonCode::ImageLost,
            Some(step("exporting to image", &[])),
            "failed to solve: missing content: content digest sha256:1111: not found",
        ),
        (
            ReasonCode::EngineUnsupported,
            Some(step("[2/3] RUN", &[])),
            "the --mount option requires BuildKit. Refer to the documentation",
        ),
        (ReasonCode::Internal, None, "secret nope: not found"),
    ] {
        assert_eq!(
            build_error(SUBJECT, step, message).code(),
            code,
            "{message}"
        );
    }
}

#[test]
fn last_exit_code_in_message_is_used() {
    assert_eq!(
        exit_code(
            "process \"sh -c 'echo exit code: 7'\" did not complete successfully: exit code: 42"
        ),
        Some(42)
    );
    assert_eq!(exit_code("returned a non-zero code: 3"), Some(3));
    assert_eq!(exit_code("exit code: many"), None);
    assert_eq!(exit_code(""), None);
}

#[test]
fn probe_errors_name_what_the_image_lacks() {
    for (wanted, message) in [
        (
            "has no POSIX shell",
            "failed to create shim: OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"sh\": executable file not found in $PATH: unknown",
        ),
        (
            "Platform",
            "standard_init_linux.go:228: exec user process caused: exec format error",
        ),
        (
            "cannot be executed",
            "OCI runtime create failed: runc create failed: exec: \"sh\": permission denied",
        ),
    ] {
        let error = probe_error("e", "i", message);
        assert_eq!(error.code(), ReasonCode::BaseImageUnsupported);
        assert!(error.to_string().contains(wanted), "{error}");
    }
    assert_eq!(probe_error("e", "i", "what").code(), ReasonCode::Internal);
}

#[test]
fn long_message_is_trimmed_to_one_line() {
    assert_eq!(tidy(" a\n  b.\n"), "a b");
    assert_eq!(
        tidy("error from registry: denied\ndenied"),
        "error from registry: denied"
    );
    assert_eq!(
        tidy("error parsing HTTP 413 response body: \"<html>413</html>\""),
        "error parsing HTTP 413 response body"
    );
    assert_eq!(tidy(&"é".repeat(700)).chars().count(), 603);
}

#[test]
fn transport_error_survives_wrapping_by_the_client_library() {
    let own = EngineError::Unreachable {
        address: "10.0.0.1:2375".to_owned(),
        reason: NoAnswer::Timeout(std::time::Duration::from_secs(5)),
    };
    let wrapped = ClientError::IOError {
        err: std::io::Error::other(own.clone()),
    };
    assert_eq!(client_error("10.0.0.1:2375", &wrapped), own);
}

/// A case of `golden/registry_answers.json`: an answer of a registry, and for each engine what it prints for it and what
/// that means. The real test `registry_answers` replays them on the engines.
#[derive(serde::Deserialize)]
struct Golden {
    name: String,
    call: String,
    engines: std::collections::BTreeMap<String, Expected>,
}

#[derive(serde::Deserialize)]
struct Expected {
    words: String,
    code: ReasonCode,
}

#[test]
fn registry_answers_have_the_expected_code_and_text_on_both_engines() {
    use fastbuild_spec::failure::Language;

    let cases: Vec<Golden> =
        serde_json::from_str(include_str!("../golden/registry_answers.json")).unwrap();
    let mut texts = Vec::new();
    for Golden {
        name,
        call,
        engines,
    } in cases
    {
        for (version, Expected { words, code }) in engines {
            let error = match call.as_str() {
                "login" => login_error(SUBJECT.address, SUBJECT.registry, "robot", &words),
                "pull" => pull_error(SUBJECT, &words),
                "push" => push_error(SUBJECT, &words),
                other => panic!("{name}: no such call {other}"),
            };
            let failure = error.failure();
            assert_eq!(failure.code, code, "{name} {version}: {words}");
            assert_ne!(failure.code, ReasonCode::Internal);
            let transient = if error.is_transient() {
                ", transient"
            } else {
                ""
            };
            texts.push(format!(
                "{name} {version}: {code} {:?}{transient}\n  {}\n  {}",
                code.fault(),
                failure.sentence(Language::English),
                failure.sentence(Language::Chinese),
            ));
        }
    }
    let texts = texts.join("\n");
    insta::assert_snapshot!(texts);
}

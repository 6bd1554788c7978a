use std::time::Duration;

use super::*;

#[test]
fn every_error_has_message_and_hint_in_both_languages() {
    let text = || "x".to_owned();
    let tls = |problem| EngineError::Tls {
        address: text(),
        problem,
    };
    let errors = [
        EngineError::Unreachable {
            address: text(),
            reason: NoAnswer::Timeout(Duration::from_millis(1500)),
        },
        EngineError::Unreachable {
            address: text(),
            reason: NoAnswer::Network("no route to host".into()),
        },
        tls(TlsProblem::UnknownIssuer),
        tls(TlsProblem::KeyMismatch),
        tls(TlsProblem::PortIsPlain),
        tls(TlsProblem::PortWantsTls),
        tls(TlsProblem::ClientCertificateRefused(
            "BadCertificate".into(),
        )),
        tls(TlsProblem::WrongHost("10.0.0.5".into())),
        tls(TlsProblem::Unreadable {
            file: "key",
            detail: text(),
        }),
        EngineError::Unsupported {
            address: text(),
            detail: text(),
        },
        EngineError::RegistryLogin {
            registry: text(),
            username: text(),
            detail: text(),
        },
        EngineError::RegistryUnavailable {
            registry: text(),
            detail: "x509: unknown".into(),
        },
        EngineError::ImageNotFound {
            image: text(),
            detail: text(),
        },
        EngineError::PullDenied {
            image: text(),
            detail: text(),
        },
        EngineError::ImageUnsupported {
            image: text(),
            detail: text(),
        },
        EngineError::PushDenied {
            image: text(),
            detail: text(),
        },
        EngineError::StepFailed {
            stage: text(),
            exit_code: Some(1),
            lines: vec![text()],
            detail: text(),
        },
        EngineError::StepFailed {
            stage: text(),
            exit_code: None,
            lines: vec![],
            detail: text(),
        },
        EngineError::NoSpaceLeft {
            address: text(),
            detail: text(),
        },
        EngineError::OutOfMemory {
            address: text(),
            stage: text(),
            lines: vec![text()],
        },
        EngineError::TimedOut {
            address: text(),
            what: text(),
            limit: Duration::from_mins(1),
        },
        EngineError::Lost {
            address: text(),
            detail: text(),
        },
        EngineError::Internal {
            address: text(),
            detail: text(),
        },
    ];
    for error in errors {
        let failure = error.failure();
        assert!(
            failure.message.zh.ends_with('。') && !failure.message.zh.contains("。。"),
            "{failure:?}"
        );
        assert!(
            failure.message.en.ends_with('.') && failure.message.en.is_ascii(),
            "{failure:?}"
        );
        assert!(
            failure.hint.zh.ends_with('。') && failure.hint.en.ends_with('.'),
            "{failure:?}"
        );
        assert!(failure.culprit.is_some(), "{failure:?}");
    }
}

#[test]
fn untrusted_registry_certificate_hint_names_the_ca_path() {
    let error = EngineError::RegistryUnavailable {
        registry: "harbor.example".into(),
        detail: "x509: certificate signed by unknown authority".into(),
    };
    assert!(
        error
            .failure()
            .hint
            .en
            .contains("/etc/docker/certs.d/harbor.example/ca.crt")
    );
}

use std::time::Duration;

use super::*;
use crate::{RegistryProblem, UnsupportedImage};

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
        EngineError::ApiVersion {
            address: text(),
            detail: text(),
        },
        EngineError::ImageNotFound {
            image: text(),
            detail: text(),
        },
        EngineError::PullDenied {
            image: text(),
            detail: text(),
        },
        EngineError::PullForbidden {
            image: text(),
            detail: text(),
        },
        EngineError::ImageLost {
            address: text(),
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
    ];
    let registry = [
        RegistryProblem::Unreachable,
        RegistryProblem::ServerError,
        RegistryProblem::RateLimited { retry_after: None },
        RegistryProblem::DiskFull,
        RegistryProblem::ReadOnly,
        RegistryProblem::NotARegistry,
        RegistryProblem::PlainHttp,
        RegistryProblem::UnknownAuthority,
        RegistryProblem::CertificateExpired,
        RegistryProblem::CertificateUnusable,
        RegistryProblem::LayerMissing,
        RegistryProblem::LayerTooLarge,
        RegistryProblem::Unrecognised,
    ]
    .map(|problem| EngineError::RegistryUnavailable {
        registry: text(),
        problem,
        detail: text(),
    });
    let push = [
        PushRefusal::Rights,
        PushRefusal::ProjectMissing,
        PushRefusal::Quota,
        PushRefusal::TagImmutable,
        PushRefusal::Policy,
    ]
    .map(|reason| EngineError::PushDenied {
        image: text(),
        reason,
        detail: text(),
    });
    let images = [
        UnsupportedImage::Platform {
            image: Some(text()),
            engine: Some(text()),
        },
        UnsupportedImage::Platform {
            image: None,
            engine: None,
        },
        UnsupportedImage::Format,
        UnsupportedImage::Scratch,
        UnsupportedImage::TooManyLayers,
        UnsupportedImage::Probe,
    ]
    .map(|reason| EngineError::ImageUnsupported {
        image: text(),
        reason,
        detail: text(),
    });
    for error in errors.into_iter().chain(registry).chain(push).chain(images) {
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
fn certificate_hints_name_the_remedy() {
    let hint = |problem| {
        let error = EngineError::RegistryUnavailable {
            registry: "harbor.example".into(),
            problem,
            detail: "x509".into(),
        };
        error.failure().hint.en
    };
    let unknown = hint(RegistryProblem::UnknownAuthority);
    assert!(
        unknown.contains("/etc/docker/certs.d/harbor.example/ca.crt"),
        "{unknown}"
    );
    let expired = hint(RegistryProblem::CertificateExpired);
    assert!(
        expired.contains("renew") && !expired.contains("ca.crt"),
        "{expired}"
    );
}

#[test]
fn internal_error_and_open_files_blame_no_engine() {
    for error in [
        EngineError::Internal {
            address: "10.0.0.5:2376".into(),
            detail: "x".into(),
        },
        EngineError::OpenFiles {
            detail: "Too many open files (os error 24)".into(),
        },
    ] {
        let failure = error.failure();
        assert_eq!(failure.culprit, None, "{failure:?}");
        assert!(
            !failure.hint.en.contains("Tell the operator"),
            "{failure:?}"
        );
    }
}

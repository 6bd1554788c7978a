//! Mirrors and tools that do not fit or are not there.

use std::fs;

use fastbuild_spec::{
    catalog::{MirrorKind, ToolKind},
    failure::{Failure, ReasonCode},
    image_spec::ImageSpec,
    limits::{BuildLimits, LimitBounds},
    plan::check,
    profile::ImageProfile,
    request::{RequestPolicy, WireKey, parse_legacy},
};

use crate::plan_support::*;

fn refusal(spec: &ImageSpec, profile: Option<&ImageProfile>) -> Failure {
    check(spec, profile, &catalog()).unwrap_err()
}

fn centos_7() -> ImageProfile {
    let mut profile = yum("centos", "7", false);
    profile.os.name = "CentOS Linux".into();
    profile.os.release_line = "CentOS Linux release 7.9.2009 (Core)".into();
    profile
}

#[test]
fn a_mirror_that_does_not_fit_is_named_even_when_other_files_are_missing() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/samples/platform-source-mismatch.json"
    );
    let body = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let key = WireKey::new("c7e71f37dda040fd", "0000000000000000").unwrap();
    let limits = BuildLimits {
        total: 3600,
        silence: 3600,
        push: 3600,
    };
    let policy = RequestPolicy {
        wire_key: key,
        limits: LimitBounds {
            default: limits,
            longest: limits,
        },
        sources: fastbuild_spec::requirements::Sources::default(),
    };
    let mut spec = parse_legacy(&body, &policy).unwrap().spec;
    spec.pip.mirror.as_mut().unwrap().file_name = "missing.conf".to_owned();
    let failure = refusal(&spec, Some(&centos_7()));
    assert_eq!(failure.code, ReasonCode::MirrorMismatch);
    assert!(
        failure.message.zh.starts_with(
            "镜像操作系统Centos:CentOS Linux release 7.9.2009 (Core)版本与配置的包管理源文件名称不匹配: \
             Centos-8.repo，"
        ),
        "{}",
        failure.message.zh
    );
    assert!(
        failure
            .message
            .en
            .ends_with(" The mirror file missing.conf is not there in the folder pip/ali."),
        "{}",
        failure.message.en
    );
    assert_eq!(
        failure.culprit.as_deref(),
        Some("ali/Centos-8.repo, pip/ali/missing.conf")
    );
    assert_eq!(
        failure.hint,
        ReasonCode::MirrorMismatch.hint(),
        "one hint serves both"
    );
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let mut spec = nothing();
    spec.system.mirror = Some(mirror(MirrorKind::Yum, "Centos-7-mine.repo"));
    spec.pip.mirror = Some(mirror(MirrorKind::Pip, "mine.conf"));
    spec.python = Some(python("Python-3.99.0.tgz"));
    spec.conda.installer = Some(tool(ToolKind::Conda, "Miniconda3-mine.sh"));
    for profile in [None, Some(centos_7())] {
        let failure = refusal(&spec, profile.as_ref());
        assert_eq!(failure.code, ReasonCode::MirrorMismatch);
        assert_eq!(
            failure.culprit.as_deref(),
            Some(
                "yum/ali/Centos-7-mine.repo, pip/ali/mine.conf, python/Python-3.99.0.tgz, \
                 conda/Miniconda3-mine.sh"
            )
        );
        for code in [ReasonCode::MirrorMismatch, ReasonCode::ToolMissing] {
            assert!(
                failure.hint.en.contains(&code.hint().en),
                "{:?}",
                failure.hint
            );
            assert!(
                failure.hint.zh.contains(&code.hint().zh),
                "{:?}",
                failure.hint
            );
        }
    }
}

#[test]
fn a_mirror_for_another_package_manager_is_named_beside_the_manager() {
    let mut spec = nothing();
    spec.system.mirror = Some(mirror(MirrorKind::Apt, "ubuntu-18.04.list"));
    let failure = refusal(&spec, Some(&centos_7()));
    assert_eq!(failure.code, ReasonCode::SpecInvalid);
    for part in [
        "软件包管理器是 yum",
        "版本与配置的包管理源文件名称不匹配: ubuntu-18.04.list",
    ] {
        assert!(failure.message.zh.contains(part), "{}", failure.message.zh);
    }
}

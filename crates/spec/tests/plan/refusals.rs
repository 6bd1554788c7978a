//! What a plan refuses: requests that do not fit the base image, the catalog or the engine.

use fastbuild_spec::{
    catalog::{MirrorKind, ToolKind},
    failure::{Language, ReasonCode},
    image_spec::{ImageSpec, PackageManager},
    plan::{Dialect, PlanContext, check, plan},
    profile::ImageProfile,
};

use crate::{TASK, apt_and_pip, plan_support::*, render, with_services};

#[test]
fn what_cannot_work_is_refused() {
    let context = PlanContext {
        dialect: Dialect::BuildKit,
        link: false,
        lists_fresh_minutes: 60,
        build_id: TASK,
    };
    let refusal = |spec: &ImageSpec, profile: &ImageProfile| {
        let failure = plan(spec, profile, &catalog(), &context).unwrap_err();
        assert_eq!(check(spec, Some(profile), &catalog()).unwrap_err(), failure);
        format!("{}: {}", failure.code, failure.sentence(Language::English))
    };
    let debian = apt("debian", "12");
    let none = profile("busybox", "", None);
    let mut refusals = vec![];
    refusals.push(refusal(&apt_and_pip(), &none));
    let mut spec = apt_and_pip();
    spec.system.packages.clear();
    refusals.push(refusal(&spec, &none));
    refusals.push(refusal(
        &with_services(nothing()),
        &with_python(none.clone(), "3.8"),
    ));
    spec = apt_and_pip();
    spec.system.manager = Some(PackageManager::Yum);
    refusals.push(refusal(&spec, &debian));
    spec = nothing();
    spec.system.manager = Some(PackageManager::Yum);
    render(&spec, &debian, Dialect::BuildKit);
    spec.system.manager = None;
    spec.system.mirror = Some(mirror(MirrorKind::Apt, "missing.list"));
    refusals.push(refusal(&spec, &debian));
    spec = nothing();
    spec.python = Some(python("Python-3.9.9.tgz"));
    refusals.push(refusal(&spec, &debian));
    spec.python = Some(python(PYTHON_SOURCE));
    refusals.push(refusal(&spec, &none));
    spec.python = Some(python("Python-2.7.18.tar.xz"));
    spec.jupyter_lab = true;
    refusals.push(refusal(&spec, &debian));
    spec = nothing();
    spec.conda.packages = vec!["scipy=1.9.3".into()];
    refusals.push(refusal(&spec, &debian));
    spec.conda.installer = Some(tool(ToolKind::Conda, MINICONDA));
    let mut arm = debian.clone();
    arm.architecture = "arm64".into();
    refusals.push(refusal(&spec, &arm));
    insta::assert_snapshot!("refusals", refusals.join("\n"));
}

#[test]
fn without_a_profile_only_the_catalog_is_checked() {
    let mut spec = apt_and_pip();
    spec.conda.packages = vec!["scipy=1.9.3".into()];
    check(&spec, None, &catalog()).unwrap();
    spec.conda.installer = Some(tool(ToolKind::Conda, "Anaconda3-missing-Linux-x86_64.sh"));
    let failure = check(&spec, None, &catalog()).unwrap_err();
    assert_eq!(failure.code, ReasonCode::ToolMissing);
    assert_eq!(
        failure.culprit.as_deref(),
        Some("conda/Anaconda3-missing-Linux-x86_64.sh")
    );
}

#[test]
fn an_engine_without_buildkit_gets_no_passwords() {
    let context = PlanContext {
        dialect: Dialect::Classic,
        link: false,
        lists_fresh_minutes: 60,
        build_id: TASK,
    };
    let failure = plan(
        &with_services(nothing()),
        &debian_python(),
        &catalog(),
        &context,
    )
    .unwrap_err();
    assert_eq!(failure.code, ReasonCode::EngineUnsupported);
    assert!(failure.sentence(Language::English).contains("no BuildKit"));
}

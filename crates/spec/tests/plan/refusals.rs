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

#[test]
fn base_image_with_onbuild_triggers_is_refused_by_name() {
    let mut base = debian_python();
    base.config.on_build = vec!["COPY requirements.txt /usr/src/app/".to_owned()];
    let failure = check(&nothing(), Some(&base), &catalog()).unwrap_err();
    assert_eq!(failure.code, ReasonCode::BaseImageUnsupported);
    let message = failure.sentence(Language::English);
    assert!(
        message.contains("ONBUILD COPY requirements.txt"),
        "{message}"
    );
    assert!(failure.message.zh.contains("ONBUILD"), "{failure:?}");
}

#[test]
fn base_image_whose_layers_leave_no_room_is_refused_with_the_numbers() {
    let context = PlanContext {
        dialect: Dialect::BuildKit,
        link: false,
        lists_fresh_minutes: 60,
        build_id: TASK,
    };
    let mut base = debian_python();
    let planned = |base: &ImageProfile| plan(&apt_and_pip(), base, &catalog(), &context);
    base.config.layers = 60;
    planned(&base).unwrap();
    base.config.layers = 124;
    let failure = planned(&base).unwrap_err();
    assert_eq!(failure.code, ReasonCode::BaseImageUnsupported);
    let message = failure.sentence(Language::English);
    assert!(message.contains("has 124 layers"), "{message}");
    assert!(message.contains("at most 125"), "{message}");
    base.config.layers = 125;
    assert!(check(&nothing(), Some(&base), &catalog()).is_err());
}

#[test]
fn shell_of_the_base_image_is_set_aside_for_the_build_and_put_back() {
    let mut base = debian_python();
    base.config.shell = vec!["/bin/bash".to_owned()];
    let text = render(&apt_and_pip(), &base, Dialect::BuildKit).dockerfile;
    let lines: Vec<_> = text.lines().collect();
    let at = |wanted: &str| lines.iter().position(|line| *line == wanted);
    let ours = at(r#"SHELL ["/bin/sh", "-c"]"#).unwrap();
    let first_run = lines
        .iter()
        .position(|line| line.starts_with("RUN"))
        .unwrap();
    let last_run = lines
        .iter()
        .rposition(|line| line.starts_with("RUN"))
        .unwrap();
    let theirs = at(r#"SHELL ["/bin/bash"]"#).unwrap();
    assert!(ours < first_run && last_run < theirs, "{text}");
    base.config.shell = vec!["/bin/sh".to_owned(), "-c".to_owned()];
    let text = render(&apt_and_pip(), &base, Dialect::BuildKit).dockerfile;
    assert!(!text.contains("SHELL"), "{text}");
}

//! What installs in pip's and conda's place.

use fastbuild_spec::{
    catalog::{MirrorKind, ToolKind},
    image_spec::ImageSpec,
    plan::{Dialect, PlanContext, plan},
    profile::ImageProfile,
};

use crate::{TASK, plan_support::*, render_linked};

#[test]
fn uv_installs_where_the_operator_has_it_and_the_request_does_not_refuse_it() {
    let mut with_uv = catalog();
    with_uv.tools.push(tool(ToolKind::Uv, "uv"));
    let mut spec = nothing();
    spec.pip.mirror = Some(mirror(MirrorKind::Pip, "pip.conf"));
    spec.pip.requirements = vec!["numpy==1.26.4".into()];
    let text = render_linked(&spec, &debian_python(), &with_uv);
    insta::assert_snapshot!("uv", text);
    spec.pip.uv = Some(false);
    let text = render_linked(&spec, &debian_python(), &with_uv);
    assert!(
        !text.contains("/mnt/uv") && text.contains("-m pip install"),
        "{text}"
    );
    // It does not know Pythons this old.
    spec.pip.uv = None;
    let old = with_python(apt("ubuntu", "18.04"), "3.6");
    let text = render_linked(&spec, &old, &with_uv);
    assert!(!text.contains("/mnt/uv"), "{text}");
    let context = PlanContext {
        dialect: Dialect::Classic,
        link: false,
        lists_fresh_minutes: 0,
        build_id: TASK,
    };
    let classic = plan(&spec, &debian_python(), &with_uv, &context).unwrap();
    assert!(
        !classic.dockerfile.contains("/mnt/uv"),
        "{}",
        classic.dockerfile
    );
}

#[test]
fn micromamba_installs_into_a_conda_of_ours_unless_the_request_refuses_it() {
    let mut with_micromamba = catalog();
    let program = tool(ToolKind::Micromamba, "micromamba");
    with_micromamba.tools.push(program);
    let mut spec = nothing();
    spec.conda.installer = Some(tool(ToolKind::Conda, MINICONDA));
    spec.conda.mirror = Some(mirror(MirrorKind::Conda, ".condarc"));
    spec.conda.packages = vec!["scipy=1.9.3".into(), "numpy>=1.20".into()];
    let base = apt("debian", "12");
    let text = render_linked(&spec, &base, &with_micromamba);
    insta::assert_snapshot!("micromamba", text);
    let by_conda = |spec: &ImageSpec, base: &ImageProfile| {
        let text = render_linked(spec, base, &with_micromamba);
        assert!(!text.contains("/mnt/micromamba"), "{text}");
        assert!(text.contains("/conda create -y -n default"), "{text}");
    };
    // Another conda may keep its environments anywhere.
    let mut elsewhere = spec.clone();
    elsewhere.conda.installer = None;
    by_conda(&elsewhere, &with_conda(base.clone(), &["base"]));
    spec.conda.micromamba = Some(false);
    by_conda(&spec, &base);
}

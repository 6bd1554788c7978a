//! The key of a plan: what decides the result, and nothing else.

use fastbuild_spec::{
    catalog::MirrorKind,
    image_spec::ImageSpec,
    plan::{Dialect, KeyFacts, PlanContext, key, nameless},
};

use crate::{TASK, apt_and_pip, plan_support::*};

#[test]
fn equal_requests_have_one_key_whatever_the_image_is_called() {
    let context = PlanContext {
        dialect: Dialect::BuildKit,
        link: true,
        lists_fresh_minutes: 60,
        build_id: TASK,
    };
    let key_of = |spec: &ImageSpec, base_id: &str, build_id: i64, content: &str| {
        let context = PlanContext {
            build_id,
            ..context
        };
        let plan = nameless(spec, &debian_python(), &catalog(), &context).unwrap()?;
        let facts = KeyFacts {
            base_id,
            platform: "linux/amd64",
            means: "BuildKit gzip",
        };
        key(&plan, facts, |_| Some(content.to_owned()))
    };
    let mut spec = apt_and_pip();
    spec.pip.mirror = Some(mirror(MirrorKind::Pip, "pip.conf"));
    let first = key_of(&spec, "sha256:a", 1, "x").unwrap();
    let mut renamed = spec.clone();
    renamed.target = "registry.example:5000/other/name:2".parse().unwrap();
    assert_eq!(key_of(&renamed, "sha256:a", 2, "x").unwrap(), first);
    let mut others = vec![
        key_of(&spec, "sha256:b", 1, "x").unwrap(),
        key_of(&spec, "sha256:a", 1, "y").unwrap(),
    ];
    let mut changed = spec.clone();
    changed.pip.requirements.push("six".into());
    others.push(key_of(&changed, "sha256:a", 1, "x").unwrap());
    changed = spec.clone();
    changed.description = "another".into();
    others.push(key_of(&changed, "sha256:a", 1, "x").unwrap());
    for other in others {
        assert_ne!(other, first);
    }
    changed = spec.clone();
    changed.ssh = true;
    assert_eq!(key_of(&changed, "sha256:a", 1, "x"), None);
}

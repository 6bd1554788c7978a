//! Labels of the image.

use super::Planner;

/// The labels: annotations of the OCI image specification, and FastBuild's two own.
pub(super) fn write(planner: &mut Planner<'_>) {
    let spec = planner.spec;
    let mut labels = vec![
        (
            "org.opencontainers.image.title",
            spec.target.repository().to_owned(),
        ),
        (
            "org.opencontainers.image.version",
            spec.target.tag().to_owned(),
        ),
        ("org.opencontainers.image.base.name", spec.base.to_string()),
    ];
    if !spec.maintainer.is_empty() {
        labels.push(("org.opencontainers.image.authors", spec.maintainer.clone()));
    }
    if !spec.description.is_empty() {
        labels.push((
            "org.opencontainers.image.description",
            spec.description.clone(),
        ));
    }
    labels.push(("constructor", "FastBuild".to_owned()));
    labels.push(("task_id", planner.context.build_id.to_string()));
    for (name, value) in &spec.labels {
        // The caller's word on a label stands instead of ours.
        labels.retain(|(ours, _)| *ours != name.as_str());
        labels.push((name.as_str(), value.clone()));
    }
    planner.out.labels(&labels);
}

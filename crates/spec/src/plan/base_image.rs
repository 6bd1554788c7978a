//! Properties of the base image's configuration that decide whether it can be extended: `ONBUILD`, and the number of layers.

use crate::{
    failure::{Failure, ReasonCode},
    image_spec::ImageSpec,
    profile::{ImageConfig, ImageProfile},
    reference::ImageReference,
};

/// Docker's limit for the layers of one image (`maxLayerDepth` of its layer store; overlayfs stacks no more than
/// 127, and two are the container's).
pub(super) const MAX_LAYERS: u32 = 125;

/// Refuses a base image that nothing can be built on: one with `ONBUILD` triggers, which would run in every build from
/// it, with files of a context that is not theirs, and unseen by whoever ordered the image; or one that has all the
/// layers Docker takes.
///
/// # Errors
/// `BaseImageUnsupported`.
pub fn check_base_image(base: &ImageReference, config: &ImageConfig) -> Result<(), Failure> {
    let Some(trigger) = config.on_build.first() else {
        return fit(base, config.layers, 1);
    };
    Err(Failure::new(
        ReasonCode::BaseImageUnsupported,
        format!("基础镜像 {base} 带有 ONBUILD 触发指令，FastBuild 不支持：ONBUILD {trigger}。"),
        format!("The base image {base} has ONBUILD triggers, which FastBuild does not support: ONBUILD {trigger}."),
    )
    .with_hint(
        "请选择不带 ONBUILD 的版本（例如去掉标签中的 -onbuild）。",
        "Choose a variant of the image without ONBUILD, such as the tag without -onbuild.",
    )
    .with_culprit(base.to_string()))
}

/// Refuses a Dockerfile whose layers do not fit on top of the base image's.
///
/// # Errors
/// `BaseImageUnsupported`.
pub(super) fn check_layers(
    spec: &ImageSpec,
    profile: &ImageProfile,
    dockerfile: &str,
) -> Result<(), Failure> {
    fit(&spec.base, profile.config.layers, layers(dockerfile))
}

fn fit(base: &ImageReference, below: u32, on_top: u32) -> Result<(), Failure> {
    if below + on_top <= MAX_LAYERS {
        return Ok(());
    }
    Err(Failure::new(
        ReasonCode::BaseImageUnsupported,
        format!("基础镜像 {base} 有 {below} 层，本次构建还需要 {on_top} 层，而 Docker 最多支持 {MAX_LAYERS} 层。"),
        format!("The base image {base} has {below} layers and {on_top} come on top, but Docker takes at most {MAX_LAYERS}."),
    )
    .with_hint(
        "请选择层数较少的基础镜像，或将其合并（squash）后重新推送。",
        "Choose a base image with fewer layers, or squash it and push it again.",
    )
    .with_culprit(base.to_string()))
}

/// How many layers the last stage of a Dockerfile adds to its base image, those of the stages it stands on included.
fn layers(dockerfile: &str) -> u32 {
    struct Stage<'a> {
        name: &'a str,
        layers: u32,
    }
    let mut stages: Vec<Stage<'_>> = vec![];
    let mut continued = false;
    for line in dockerfile.lines() {
        let starts = !continued;
        // Comment lines do not end a continuation.
        continued = line.ends_with('\\') || (continued && line.trim_start().starts_with('#'));
        if !starts {
            continue;
        }
        let mut words = line.split_whitespace();
        match words.next() {
            Some("FROM") => {
                let base = words.next().unwrap_or_default();
                let name = words.nth(1).unwrap_or_default();
                let own = stages.iter().find(|stage| stage.name == base);
                let layers = own.map_or(0, |stage| stage.layers);
                stages.push(Stage { name, layers });
            }
            Some("RUN" | "COPY" | "ADD" | "WORKDIR") => {
                if let Some(stage) = stages.last_mut() {
                    stage.layers += 1;
                }
            }
            _ => {}
        }
    }
    stages.last().map_or(0, |stage| stage.layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_the_last_stage_and_those_it_stands_on_count() {
        let text = "FROM base:1 AS ground\nRUN a \\\n  RUN not an instruction \\\n# COPY\n  b\nWORKDIR /x\n\n# RUN comment\nFROM ground AS other\nRUN c\nRUN d\nFROM ground\nCOPY --from=other /a /b\nENV A=b\n";
        assert_eq!(layers(text), 3);
    }
}

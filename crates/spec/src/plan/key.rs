//! The plan key: equal for two builds whose images would be equal but for their names.

use sha2::{Digest as _, Sha256};

use super::{BuildPlan, ContextSource, PlanContext, plan};
use crate::{catalog::Catalog, failure::Failure, image_spec::ImageSpec, profile::ImageProfile};

/// What decides the result beside the plan itself.
#[derive(Debug, Clone, Copy)]
pub struct KeyFacts<'a> {
    /// The engine's id of the base image.
    pub base_id: &'a str,
    /// Operating system and processor of the engine.
    pub platform: &'a str,
    /// The build strategy: the builder, and how layers are packed.
    pub means: &'a str,
}

/// The plan without the image's name and the build's number, from which the key is computed. `None`
/// for an image with secrets: their values are not in the plan.
///
/// # Errors
/// Those of [`plan`].
pub fn nameless(
    spec: &ImageSpec,
    profile: &ImageProfile,
    catalog: &Catalog,
    context: &PlanContext,
) -> Result<Option<BuildPlan>, Failure> {
    if spec.ssh || spec.jupyter_lab {
        return Ok(None);
    }
    // The name, and the number of the build, are labels of the image.
    let target = spec.base.clone();
    let context = PlanContext {
        build_id: 0,
        ..*context
    };
    let spec = ImageSpec {
        target,
        ..spec.clone()
    };
    plan(&spec, profile, catalog, &context).map(Some)
}

/// The key of a plan that [`nameless`] made. `file` returns the content of a catalog file, or a
/// digest of it; without it there is no key.
pub fn key(
    plan: &BuildPlan,
    facts: KeyFacts<'_>,
    mut file: impl FnMut(&ContextSource) -> Option<String>,
) -> Option<String> {
    let mut hash = Sha256::new();
    // Each part with its length, so that no two lists of parts run together alike.
    let mut part = |text: &str| {
        hash.update(text.len().to_le_bytes());
        hash.update(text.as_bytes());
    };
    for text in [
        "1",
        facts.base_id,
        facts.platform,
        facts.means,
        &plan.dockerfile,
    ] {
        part(text);
    }
    for context_file in &plan.files {
        part(&context_file.path);
        part(&context_file.mode.to_string());
        match &context_file.source {
            ContextSource::Inline(text) => part(text),
            source => part(&file(source)?),
        }
    }
    Some(format!("{:x}", hash.finalize()))
}

//! micromamba, which installs instead of conda if it is in the catalog.

use super::{
    ContextSource, Planner,
    dockerfile::{Mount, Script},
    quote,
};
use crate::{
    catalog::{Catalog, ToolFile, ToolKind},
    image_spec::{CondaChannels, ImageSpec},
};

/// Its packages, which it keeps otherwise than conda does; below the folder of conda's cache mount.
const CACHE: &str = "/var/cache/fastbuild-micromamba";

/// The operator's micromamba, unless the request is for conda itself.
pub(super) fn tool(spec: &ImageSpec, catalog: &Catalog) -> Option<ToolFile> {
    catalog
        .program(ToolKind::Micromamba)
        .filter(|_| spec.conda.micromamba != Some(false))
}

/// Makes the environment `default` of the conda in `prefix`. With that conda's folder as its root it reads the same
/// `.condarc` files; where those name no channel the two have different ones, so that conda is asked which. What it
/// does not get done is done by `otherwise`, conda's way, whose messages people know.
pub(super) fn create(
    prefix: &str,
    channels: &CondaChannels,
    words: &[String],
    otherwise: Script,
) -> Script {
    let named = channels.names.iter().fold(String::new(), |named, name| {
        named + "--channel " + &quote::shell(name) + " "
    });
    let configured = if channels.without_defaults && !named.is_empty() {
        ""
    } else {
        "$channels"
    };
    let mut create = Script::default();
    create.command(
        &format!(
            "/mnt/micromamba create -y --root-prefix {prefix} --prefix {prefix}/envs/default --override-channels {named}{configured}"
        ),
        words,
    );
    let mut script = Script::default();
    script
        .line(format!(
            "channels=$({prefix}/bin/conda config --show channels | sed -n 's/^ *- */--channel /p')"
        ))
        .line(format!("export CONDA_PKGS_DIRS={CACHE}"))
        .open("by_micromamba() {")
        .append(create)
        .line("}")
        .open("if ! by_micromamba; then")
        .line("echo 'micromamba did not get it done; conda does it.'")
        .line(format!("rm -rf {prefix}/envs/default"))
        .append(otherwise)
        .line("fi");
    script
}

/// The program, beside the script that runs it.
pub(super) fn mount(planner: &mut Planner<'_>, file: &ToolFile) -> Mount {
    let source = ContextSource::Tool(file.clone());
    planner.mounted("tools/micromamba/micromamba", 0o755, source, "/mnt")
}

//! Spreads a Python environment over several layers. A new package or version changes only the
//! layers it is in; the engine has the others already, packed and pushed. Without `COPY --link` only
//! the layers before the first changed one are kept.

use super::{
    ContextSource, PYTHON_PACKAGES, Planner,
    dockerfile::{Mount, Script},
    pip::VENV,
};

/// Spreads the environment over folders; its own words say how.
const SCRIPT: &str = include_str!("scripts/layers.py");
/// The parts' folder, in the stage that makes the packages.
const PARTS: &str = "/usr/local/dros/layers";
/// How many parts the large packages are spread over. Each is an instruction and a layer, so that more of them
/// cost every build a little.
const COUNT: usize = 4;
/// Where the script is while it runs; no image has the folder of this name.
const MOUNTED: &str = "/run/fastbuild";

/// Ends the script that makes the environment by spreading it, with that environment's Python.
pub(super) fn spread(planner: &mut Planner<'_>, python: &str, script: &mut Script) -> Mount {
    script.line(format!("{python} {MOUNTED}/layers.py {PARTS} {COUNT}"));
    let source = ContextSource::Inline(SCRIPT.to_owned());
    planner.mounted("layers/layers.py", 0o644, source, MOUNTED)
}

/// Copies the parts into the image, what changes with every package last.
pub(super) fn copy(planner: &mut Planner<'_>) {
    for number in 0..COUNT {
        let part = format!("{PARTS}/{number}{VENV}");
        planner.out.copy_from(PYTHON_PACKAGES, &part, VENV);
    }
    planner.out.copy_from(PYTHON_PACKAGES, VENV, VENV);
}

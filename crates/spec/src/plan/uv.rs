//! uv, which installs instead of pip if it is in the catalog.

use super::{
    ContextSource, Planner,
    dockerfile::{Mount, Script},
    pip::PipEnvironment,
};
use crate::{
    catalog::{Catalog, ToolFile, ToolKind},
    image_spec::ImageSpec,
};

/// Below the folder of pip's cache mount.
const CACHE: &str = "/var/cache/fastbuild-uv";
/// What pip is configured with, in the stage that makes the packages.
const SETTINGS: &str = "/usr/local/dros/pip-settings";

/// The oldest Python that uv installs for.
pub(super) const SINCE: (u32, u32) = (3, 8);

/// The operator's uv, unless the request is for pip itself.
pub(super) fn tool(spec: &ImageSpec, catalog: &Catalog) -> Option<ToolFile> {
    catalog
        .program(ToolKind::Uv)
        .filter(|_| spec.pip.uv != Some(false))
}

/// Ends what makes the environment's stage by asking pip for all it is configured with, so that what installs later
/// need not start it, which takes a good part of the whole. A pip too old to tell has to run at least.
pub(super) fn keep_settings(pip: &PipEnvironment) -> Script {
    let python = pip.python();
    let mut script = Script::default();
    script
        .line("export PYTHONDONTWRITEBYTECODE=1")
        .line(format!(
            "{python} -m pip --disable-pip-version-check config list > {SETTINGS} || {python} -m pip --version"
        ));
    script
}

/// Installs by uv. Its index is pip's, so that a mirror's `pip.conf` counts for it as well; so do the authorities
/// that the image trusts. Like pip it takes the best version of all indexes. pip is asked once for all it is
/// configured with, or was asked before; it writes values as Python does.
pub(super) fn install(pip: &PipEnvironment, settings_are_kept: bool, words: &[String]) -> Script {
    let python = pip.python();
    let settings = if settings_are_kept {
        format!("cat {SETTINGS}")
    } else {
        format!("{python} -m pip --disable-pip-version-check config list 2> /dev/null || :")
    };
    let mut script = Script::default();
    script
        .line(format!("settings=$({settings})"))
        .line(
            r#"configured() { for of in :env: install global; do found=$(printf '%s\n' "$settings" | sed -n -e 's/\\n/ /g' -e "s/^$of\.$1=.\(.*\).\$/\1/p"); if [ -n "$found" ]; then printf %s "$found"; break; fi; done; }"#,
        )
        .line("index=$(configured index-url)")
        .line("more=$(configured extra-index-url)")
        .line("trusted=$(configured trusted-host)")
        .line("if [ -n \"$index\" ]; then export UV_DEFAULT_INDEX=\"$index\"; fi")
        .line("if [ -n \"$more\" ]; then export UV_INDEX=\"$more\"; fi")
        .line("if [ -n \"$trusted\" ]; then export UV_INSECURE_HOST=\"$trusted\"; fi")
        .line("export UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never UV_INDEX_STRATEGY=unsafe-best-match");
    let own = if pip.own {
        " --break-system-packages"
    } else {
        ""
    };
    script.command(
        &format!("/mnt/uv pip install --no-config --cache-dir={CACHE} --python {python}{own}"),
        words,
    );
    script
}

/// Puts into a new environment what Python's own `ensurepip` would put there, in a third of its time: the wheels that
/// came with the Python, which before 3.12 were `pip` and `setuptools`. Where they are not found, `ensurepip` does it.
pub(super) fn bundled_pip(pip: &PipEnvironment) -> Script {
    let python = pip.python();
    let mut script = Script::default();
    script
        .line(format!(
            "set -- $({python} -c 'import ensurepip, os, sys, sysconfig; print(sysconfig.get_config_var(\"WHEEL_PKG_DIR\") or os.path.join(os.path.dirname(ensurepip.__file__), \"_bundled\"), \"pip\", *([] if sys.version_info >= (3, 12) else [\"setuptools\"]))')"
        ))
        .line(format!(
            "/mnt/uv pip install --quiet --no-config --no-cache --no-index --find-links \"$@\" --python {python} 2> /dev/null || {python} -m ensurepip --upgrade --default-pip"
        ));
    script
}

/// The program, beside the script that runs it.
pub(super) fn mount(planner: &mut Planner<'_>, file: &ToolFile) -> Mount {
    let source = ContextSource::Tool(file.clone());
    planner.mounted("tools/uv/uv", 0o755, source, "/mnt")
}

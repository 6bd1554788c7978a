//! uv, which installs instead of pip if it is in the catalog.

use super::{
    ContextSource, Planner,
    dockerfile::{Mount, Script},
    pip::PipEnvironment,
    quote,
};
use crate::{
    catalog::{Catalog, ToolFile, ToolKind},
    image_spec::ImageSpec,
    requirements::InstallOptions,
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

/// What pip may be configured with while uv installs: what uv is told in its own words, and what only says how pip looks
/// or waits. With anything else (`no-index`, `constraint`, `only-binary`, ...) pip itself installs.
const UNDERSTOOD: [&str; 26] = [
    "index-url",
    "extra-index-url",
    "trusted-host",
    "timeout",
    "default-timeout",
    "retries",
    "disable-pip-version-check",
    "progress-bar",
    "root-user-action",
    "break-system-packages",
    "no-cache-dir",
    "cache-dir",
    "no-color",
    "no-input",
    "quiet",
    "verbose",
    "no-warn-script-location",
    "no-python-version-warning",
    "config-file",
    "compile",
    "no-compile",
    "log",
    "exists-action",
    "require-virtualenv",
    "keyring-provider",
    "use-feature",
];

/// Installs by uv. Its index is pip's, so that a mirror's `pip.conf` counts for it as well; so do the authorities
/// that the image trusts. Like pip it takes the best version of all indexes. pip is asked once for all it is
/// configured with, or was asked before; it writes values as Python does. Where that is more than uv has words for,
/// `by_pip` runs.
pub(super) fn install(
    pip: &PipEnvironment,
    settings_are_kept: bool,
    options: &InstallOptions,
    words: &[String],
    by_pip: Script,
) -> Script {
    let python = pip.python();
    let settings = if settings_are_kept {
        format!("cat {SETTINGS}")
    } else {
        format!("{python} -m pip --disable-pip-version-check config list 2> /dev/null || :")
    };
    let understood: Vec<String> = UNDERSTOOD.iter().map(|key| format!("-e {key}")).collect();
    let mut script = Script::default();
    script
        .line(format!("settings=$({settings})"))
        .line(format!(
            r#"others=$(printf '%s\n' "$settings" | sed -n -e 's/^:env:\.\([a-z0-9-]*\)=.*/\1/p' -e 's/^install\.\([a-z0-9-]*\)=.*/\1/p' -e 's/^global\.\([a-z0-9-]*\)=.*/\1/p' | grep -v -x {} || :)"#,
            understood.join(" ")
        ))
        .open("if [ -n \"$others\" ]; then")
        .line("echo \"pip installs, since it is configured with more than uv has:\" $others")
        .append(by_pip)
        .open("else")
        // What the base image tells its own uv is not what its pip is told.
        .line(r#"for name in $(env | sed -n 's/^\(UV_[A-Z0-9_]*\)=.*/\1/p'); do unset "$name"; done"#)
        .line(
            r#"configured() { for of in :env: install global; do found=$(printf '%s\n' "$settings" | sed -n -e 's/\\n/ /g' -e "s/^$of\.$1=.\(.*\).\$/\1/p"); if [ -n "$found" ]; then printf %s "$found"; break; fi; done; }"#,
        )
        .line(configured("index", "index-url", options.index_url.as_slice(), true))
        .line(configured("more", "extra-index-url", &options.extra_index_urls, options.no_index))
        .line(configured("trusted", "trusted-host", &options.trusted_hosts, false))
        .line("if [ -n \"$index\" ]; then export UV_DEFAULT_INDEX=\"$index\"; fi")
        .line("if [ -n \"$more\" ]; then export UV_INDEX=\"$more\"; fi")
        .line("if [ -n \"$trusted\" ]; then export UV_INSECURE_HOST=\"$trusted\"; fi")
        .line("export UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never UV_INDEX_STRATEGY=unsafe-best-match");
    let own = if pip.own {
        " --break-system-packages"
    } else {
        ""
    };
    let head = format!(
        "/mnt/uv pip install --no-config --cache-dir={CACHE} --python {}{own}",
        pip.path_of_python()
    );
    let words: Vec<String> = own_words(options)
        .into_iter()
        .chain(words.to_vec())
        .collect();
    script.command(&head, &words).line("fi");
    script
}

/// A shell variable with what pip is configured with, and what the request wants beside it or in its place.
fn configured(variable: &str, key: &str, wanted: &[String], in_place: bool) -> String {
    let wanted = wanted.join(" ");
    match (wanted.is_empty(), in_place) {
        (true, _) => format!("{variable}=$(configured {key})"),
        (false, true) => format!("{variable}={}", quote::shell(&wanted)),
        (false, false) => format!(
            "{variable}=\"$(configured {key}) \"{}",
            quote::shell(&wanted)
        ),
    }
}

/// uv's words for the options of requirement files, quoted.
fn own_words(options: &InstallOptions) -> Vec<String> {
    let mut words = Vec::new();
    for url in &options.find_links {
        words.push(quote::shell(&format!("--find-links={url}")));
    }
    words.extend(options.formats.iter().map(|format| quote::shell(format)));
    for (is_given, word) in [
        (options.no_index, "--no-index"),
        (options.pre, "--prerelease=allow"),
        (options.require_hashes, "--require-hashes"),
        (options.no_deps, "--no-deps"),
    ] {
        if is_given {
            words.push(word.to_owned());
        }
    }
    words
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

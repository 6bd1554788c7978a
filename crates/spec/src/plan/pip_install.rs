//! Installing packages: by pip, or by uv in its place.

use super::{
    ContextSource, Dialect, PlanSecret, Planner,
    dockerfile::{Mount, Script},
    layers,
    pip::PipEnvironment,
    quote, system, uv,
};
use crate::{
    image_spec::ImageSpec,
    requirements::{InstallOptions, RequirementSet},
};

/// A folder every image has, under which the cache mount leaves nothing behind.
const CACHE_MOUNT: &str = "/var/cache";
const CACHE: &str = "/var/cache/fastbuild-pip";
/// Where the requirement files are while they are read; every distribution has this folder, and nothing in it.
const FILES_MOUNT: &str = "/media";
/// Where they are with the classic builder.
const FILES_COPIED: &str = "/tmp/fastbuild-requirements";

/// Has a mirror of the request count, whatever the base image's environment or its user's settings say: pip reads the
/// file that `PIP_CONFIG_FILE` names in place of the user's, and takes its word before the site's and the global one.
pub(super) fn of_mirror(spec: &ImageSpec) -> Script {
    let mut script = Script::default();
    if spec.pip.mirror.is_some() {
        script
            .line("unset PIP_INDEX_URL PIP_PYPI_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_NO_INDEX PIP_FIND_LINKS")
            .line("export PIP_CONFIG_FILE=/etc/pip.conf");
    }
    script
}

/// Upgrades a pip that does not know the platform tags of today's wheels: it would take the sources in their place,
/// and compile them. Where the index has no newer one, the old one has to do.
fn recent_pip(planner: &Planner<'_>, pip: &PipEnvironment) -> Script {
    let mut script = Script::default();
    if pip.may_be_old(planner.profile) {
        let python = pip.python();
        script
            .open(format!(
                "{python} -c 'import pip, sys; sys.exit([int(n) for n in pip.__version__.split(\".\")[:2]] < [20, 3])' ||"
            ))
            .open(format!(
                "{} ||",
                install(planner.context.dialect, pip, "--upgrade pip")
            ))
            .line("echo 'There is no newer pip; the old one may not know the wheels of today.'");
    }
    script
}

/// JupyterLab itself.
pub(super) fn jupyter_lab(planner: &mut Planner<'_>) {
    if let (true, Some(pip)) = (planner.spec.jupyter_lab, planner.pip.clone()) {
        planner.out.comment("JupyterLab.");
        let dialect = planner.context.dialect;
        let words = ["jupyterlab".to_owned()];
        let mut by_pip = settings(&pip);
        by_pip
            .append(recent_pip(planner, &pip))
            .line(install(dialect, &pip, "jupyterlab"));
        let mut script = of_mirror(planner.spec);
        script.append(if pip.uv.is_some() {
            uv::install(
                &pip,
                planner.pip_is_apart(),
                &InstallOptions::default(),
                &words,
                by_pip,
            )
        } else {
            by_pip
        });
        let last = !planner.spec.pip.has_packages();
        run(planner, &pip, vec![], script, last);
    }
}

/// The pip packages of the request, in one run so that they fit together.
pub(super) fn requested(planner: &mut Planner<'_>) {
    let Some(pip) = planner
        .pip
        .clone()
        .filter(|_| planner.spec.pip.has_packages())
    else {
        return;
    };
    planner.out.comment("pip packages.");
    let set = &planner.spec.pip.files;
    let (mut mounts, folder) = files(planner, set);
    let mut words: Vec<String> = Vec::new();
    if !set.requirements.is_empty() {
        words.push(format!("--requirement={folder}/requirements.txt"));
    }
    if !set.constraints.is_empty() {
        words.push(format!("--constraint={folder}/constraints.txt"));
    }
    let packages = planner.spec.pip.requirements.iter();
    words.extend(packages.map(|word| quote::shell(word)));

    let mut script = of_mirror(planner.spec);
    if !set.options.logins.is_empty() {
        let secret = PlanSecret::IndexLogins;
        planner.secrets.push(secret);
        mounts.push(Mount::Secret { id: secret.id() });
        script.line(format!("export NETRC=/run/secrets/{}", secret.id()));
    }
    let mut by_pip = settings(&pip);
    by_pip.append(recent_pip(planner, &pip));
    let own: Vec<String> = options(&set.options).chain(words.clone()).collect();
    let head = install(planner.context.dialect, &pip, "");
    by_pip.command(head.trim_end(), &own);
    // uv has nothing like it.
    let by_uv = pip.uv.is_some() && !set.options.prefer_binary;
    script.append(if by_uv {
        uv::install(&pip, planner.pip_is_apart(), &set.options, &words, by_pip)
    } else {
        by_pip
    });
    if planner.context.dialect == Dialect::Classic && !mounts_nothing(set) {
        script.line(format!("rm -rf {FILES_COPIED}"));
    }
    run(planner, &pip, mounts, script, true);
}

fn mounts_nothing(set: &RequirementSet) -> bool {
    set.requirements.is_empty() && set.constraints.is_empty()
}

/// Lays the requirement files into the context; their mount, and the folder they are in.
fn files(planner: &mut Planner<'_>, set: &RequirementSet) -> (Vec<Mount>, &'static str) {
    for (path, lines) in [
        ("requirements/requirements.txt", &set.requirements),
        ("requirements/constraints.txt", &set.constraints),
    ] {
        if !lines.is_empty() {
            let text = lines.join("\n") + "\n";
            planner.file(path, 0o644, ContextSource::Inline(text));
        }
    }
    if mounts_nothing(set) {
        return (vec![], FILES_MOUNT);
    }
    if planner.context.dialect == Dialect::Classic {
        planner
            .out
            .copy("requirements/", &format!("{FILES_COPIED}/"));
        return (vec![], FILES_COPIED);
    }
    let mount = Mount::Context {
        source: "requirements",
        target: FILES_MOUNT,
    };
    (vec![mount], FILES_MOUNT)
}

/// pip's words for the options of requirement files, quoted.
fn options(options: &InstallOptions) -> impl Iterator<Item = String> {
    let mut words = Vec::new();
    let mut push =
        |name: &str, value: &String| words.push(quote::shell(&format!("{name}={value}")));
    options
        .index_url
        .iter()
        .for_each(|url| push("--index-url", url));
    options
        .extra_index_urls
        .iter()
        .for_each(|url| push("--extra-index-url", url));
    options
        .find_links
        .iter()
        .for_each(|url| push("--find-links", url));
    options
        .trusted_hosts
        .iter()
        .for_each(|host| push("--trusted-host", host));
    words.extend(options.formats.iter().map(|format| quote::shell(format)));
    for (is_given, word) in [
        (options.no_index, "--no-index"),
        (options.pre, "--pre"),
        (options.prefer_binary, "--prefer-binary"),
        (options.require_hashes, "--require-hashes"),
        (options.no_deps, "--no-deps"),
    ] {
        if is_given {
            words.push(word.to_owned());
        }
    }
    words.into_iter()
}

/// Runs what installs into the environment; the last of it, where that has a stage of its own, spreads it over layers.
fn run(
    planner: &mut Planner<'_>,
    pip: &PipEnvironment,
    more: Vec<Mount>,
    mut script: Script,
    last: bool,
) {
    let mut mounts = mounts(planner);
    if let Some(file) = &pip.uv {
        mounts.push(uv::mount(planner, file));
    }
    mounts.extend(more);
    if last && planner.pip_is_apart() {
        mounts.push(layers::spread(planner, &pip.python(), &mut script));
    }
    planner.out.run(&mounts, &script);
}

/// What is said by variables, because a pip too old for an option fails on the option but not on
/// its variable.
fn settings(pip: &PipEnvironment) -> Script {
    let mut script = Script::default();
    script
        .line("export PIP_ROOT_USER_ACTION=ignore PIP_PROGRESS_BAR=off PYTHONDONTWRITEBYTECODE=1");
    if pip.own {
        script.line("export PIP_BREAK_SYSTEM_PACKAGES=1");
    }
    script
}

fn install(dialect: Dialect, pip: &PipEnvironment, what: &str) -> String {
    let cache = match dialect {
        Dialect::BuildKit => format!("--cache-dir={CACHE}"),
        Dialect::Classic => "--no-cache-dir".to_owned(),
    };
    format!(
        "{} -m pip install --no-input --disable-pip-version-check --no-compile {cache} {what}",
        pip.python()
    )
}

fn mounts(planner: &Planner<'_>) -> Vec<Mount> {
    match planner.context.dialect {
        Dialect::BuildKit => vec![Mount::Cache {
            id: system::cache_id("pip", planner.profile, planner.spec.pip.mirror.as_ref()),
            target: CACHE_MOUNT,
        }],
        Dialect::Classic => vec![],
    }
}

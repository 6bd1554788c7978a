//! Debian's family: apt's sources and packages.

use super::{ContextSource, Dialect, Planner, dockerfile::Script, quote};
use crate::{catalog::MirrorFile, image_spec::SystemPackage};

/// Where the cache mount lies. The folder is in every image with apt, so mounting leaves no
/// empty folder in the layer, and apt's own `*.bin` files vanish with it.
pub(super) const CACHE: &str = "/var/cache/apt";

/// Uses `file` instead of the distribution's own sources; lists of third parties stay.
pub(super) fn mirror(planner: &mut Planner<'_>, file: MirrorFile) {
    const FOLDER: &str = "/etc/apt/sources.list.d";
    let deb822 = file.file_name.to_ascii_lowercase().ends_with(".sources");
    let mut script = Script::default();
    script.line(format!(
        "rm -f {FOLDER}/debian.sources {FOLDER}/ubuntu.sources"
    ));
    planner.out.comment("The mirror for system packages.");
    if deb822 {
        script.line(": > /etc/apt/sources.list");
        planner.out.run(&[], &script);
        planner.file("mirrors/apt.sources", 0o644, ContextSource::Mirror(file));
        planner.out.copy(
            "mirrors/apt.sources",
            &format!("{FOLDER}/fastbuild.sources"),
        );
    } else {
        planner.out.run(&[], &script);
        planner.file("mirrors/apt.list", 0o644, ContextSource::Mirror(file));
        planner
            .out
            .copy("mirrors/apt.list", "/etc/apt/sources.list");
    }
}

/// The commands that install `packages`. Lists and archives stay outside the image.
///
/// Lists and archives have folders of their own in the cache: an image's `docker-clean` empties
/// the usual one after each run, and `/var/lib/apt/lists` stays as it was. With `fresh` minutes the lists are
/// fetched again only when they are older, or of other sources; when the packages cannot be installed from
/// lists that were kept, once more from new ones. What apt made of the lists is kept with them; the cache that
/// also has what is installed in one image is of no use to the next.
pub(super) fn install(
    dialect: Dialect,
    fresh: u32,
    packages: &[SystemPackage],
    more: Option<&str>,
) -> Script {
    let words: Vec<String> = packages
        .iter()
        .map(|package| match &package.version {
            Some(version) => quote::shell(&format!("{}={version}", package.name)),
            None => quote::shell(&package.name),
        })
        .chain(more.map(str::to_owned))
        .collect();
    let cache = match dialect {
        Dialect::BuildKit => "/var/cache/apt/fastbuild",
        Dialect::Classic => "/tmp/fastbuild-apt",
    };
    let mut options = [
        "-o Dir::State::Lists=\"$cache/lists\"",
        "-o Dir::Cache::Archives=\"$cache/archives\"",
        "-o Dir::Log=\"$cache/log\"",
        "-o Dir::Cache::pkgcache=\"\"",
        "-o Dir::Cache::srcpkgcache=\"$cache/srcpkgcache.bin\"",
        "-o APT::Keep-Downloaded-Packages=true",
        "-o Acquire::Retries=3",
        "-o Acquire::Languages=none",
        "-o Dpkg::Use-Pty=0",
        "-o Dpkg::Options::=--force-unsafe-io",
        "-o Dpkg::Options::=--force-confdef",
        "-o Dpkg::Options::=--force-confold",
        "-o Dpkg::Options::=--log=/dev/null",
    ]
    .map(str::to_owned)
    .to_vec();
    if !wants_documents(packages) {
        // The licences stay. So do manual pages: programs of alternatives fail without their folder.
        options.extend(
            [
                "-o 'Dpkg::Options::=--path-exclude=/usr/share/doc/*'",
                "-o 'Dpkg::Options::=--path-include=/usr/share/doc/*/copyright'",
            ]
            .map(str::to_owned),
        );
    }
    let mut script = Script::default();
    script
        .line("export DEBIAN_FRONTEND=noninteractive")
        .line(format!("cache={cache}"));
    if dialect == Dialect::BuildKit {
        script.exclusive("\"$cache\"");
    }
    let mut packages = Script::default();
    packages.command("apt-get \"$@\" install --no-install-recommends", &words);
    script
        .line("mkdir -p \"$cache/lists/partial\" \"$cache/archives/partial\" \"$cache/log\"")
        .command("set -- -q -y", &options)
        .line("sources=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null || :; } | cksum)")
        .open("update() {")
        .line("rm -f \"$cache/updated\"")
        .line("got=yes; apt-get \"$@\" update 2> \"$cache/log/update\" || got=no")
        .line("cat \"$cache/log/update\" >&2")
        // A list that could not be had is a mere warning to apt.
        .line("if [ $got = no ] || grep -q '^W: \\(Failed to fetch\\|Some index files failed\\)' \"$cache/log/update\"; then return 1; fi")
        .line("echo \"$sources\" > \"$cache/updated\" || :")
        .line("}")
        .open("install() {")
        .append(packages)
        .line("}")
        // Lists that apt will not update, such as those of a repository that changed its label, are thrown away.
        // One that cannot be had may be one that nothing is needed of.
        .open("refresh() {")
        .line("kept=$(find \"$cache/lists\" -maxdepth 1 -name '*Release')")
        .line("if update \"$@\" || [ -z \"$kept\" ]; then return 0; fi")
        .line("rm -rf \"$cache/lists\"; mkdir -p \"$cache/lists/partial\"")
        .line("update \"$@\" || :")
        .line("}")
        // Why a list could not be had explains more than that a package of it is not known.
        .open("fresh() {")
        .line("refresh \"$@\"")
        .line("install \"$@\" || { status=$?; [ -e \"$cache/updated\" ] || cat \"$cache/log/update\" >&2; return $status; }")
        .line("}");
    if dialect == Dialect::Classic || fresh == 0 {
        script.line("fresh \"$@\" || exit");
    } else {
        script
            .open(format!(
                "if [ \"$(cat \"$cache/updated\" 2> /dev/null)\" = \"$sources\" ] && [ -n \"$(find \"$cache/updated\" -mmin -{fresh})\" ]; then"
            ))
            .line("install \"$@\" || fresh \"$@\" || exit")
            .open("else")
            .line("fresh \"$@\" || exit")
            .line("fi");
    }
    if dialect == Dialect::Classic {
        script.line("rm -rf \"$cache\"");
    }
    script
}

/// Whether the request is for documents among others.
fn wants_documents(packages: &[SystemPackage]) -> bool {
    packages.iter().any(|package| {
        package.name.ends_with("-doc")
            || package.name.ends_with("-docs")
            || package.name == "man-db"
    })
}

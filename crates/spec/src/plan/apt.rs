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
        .line(format!("cache={cache}"))
        .line("mkdir -p \"$cache/lists/partial\" \"$cache/archives/partial\" \"$cache/log\"")
        .command("set -- -q -y", &options);
    let command = "apt-get \"$@\" install --no-install-recommends";
    if dialect == Dialect::Classic || fresh == 0 {
        script
            .line("apt-get \"$@\" update")
            .command(command, &words);
    } else {
        let mut packages = Script::default();
        packages.command(command, &words);
        script
            .line("sources=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null || :; } | cksum)")
            .line("update() { rm -f \"$cache/updated\"; apt-get \"$@\" update && { echo \"$sources\" > \"$cache/updated\" || :; }; }")
            .open("install() {")
            .append(packages)
            .line("}")
            .open(format!(
                "if [ \"$(cat \"$cache/updated\" 2> /dev/null)\" = \"$sources\" ] && [ -n \"$(find \"$cache/updated\" -mmin -{fresh})\" ]; then"
            ))
            .line("install \"$@\" || { update \"$@\" && install \"$@\"; } || exit")
            .open("else")
            .line("update \"$@\" || exit")
            .line("install \"$@\" || exit")
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

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
/// the usual one after each run, and `/var/lib/apt/lists` stays as it was.
pub(super) fn install(dialect: Dialect, packages: &[SystemPackage], more: Option<&str>) -> Script {
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
    let mut script = Script::default();
    script
        .line("export DEBIAN_FRONTEND=noninteractive")
        .line(format!("cache={cache}"))
        .line("mkdir -p \"$cache/lists/partial\" \"$cache/archives/partial\" \"$cache/log\"")
        .command(
            "set -- -q -y",
            &[
                "-o Dir::State::Lists=\"$cache/lists\"",
                "-o Dir::Cache::Archives=\"$cache/archives\"",
                "-o Dir::Log=\"$cache/log\"",
                "-o Dir::Cache::pkgcache=\"\"",
                "-o Dir::Cache::srcpkgcache=\"\"",
                "-o APT::Keep-Downloaded-Packages=true",
                "-o Acquire::Retries=3",
                "-o Dpkg::Use-Pty=0",
                "-o Dpkg::Options::=--force-unsafe-io",
                "-o Dpkg::Options::=--force-confdef",
                "-o Dpkg::Options::=--force-confold",
                "-o Dpkg::Options::=--log=/dev/null",
            ]
            .map(str::to_owned),
        )
        .line("apt-get \"$@\" update")
        .command("apt-get \"$@\" install --no-install-recommends", &words);
    if dialect == Dialect::Classic {
        script.line("rm -rf \"$cache\"");
    }
    script
}

//! Red Hat's family: repositories and packages, by dnf or by yum 3.

use super::{ContextSource, Dialect, Planner, dockerfile::Script, quote};
use crate::{catalog::MirrorFile, image_spec::SystemPackage};

/// dnf's own cache folder.
pub(super) const DNF_CACHE: &str = "/var/cache/dnf";
/// yum 3's own cache folder.
pub(super) const YUM_CACHE: &str = "/var/cache/yum";

/// The repository files that distributions bring along, as shell patterns.
const OWN_FILES: &str = "CentOS-*.repo centos*.repo Rocky-*.repo rocky*.repo almalinux*.repo \
     fedora*.repo oracle-linux-*.repo uek-*.repo redhat.repo ubi.repo openEuler*.repo \
     EulerOS*.repo AnolisOS*.repo anolis*.repo alinux*.repo kylin*.repo";

/// Uses `file` instead of the distribution's own repositories; those of third parties stay.
pub(super) fn mirror(planner: &mut Planner<'_>, file: MirrorFile) {
    planner.out.comment("The mirror for system packages.");
    // EPEL comes on top of a distribution's repositories and never instead of them.
    if !file.file_name.to_ascii_lowercase().starts_with("epel") {
        let patterns: Vec<String> = OWN_FILES.split_whitespace().map(str::to_owned).collect();
        let mut script = Script::default();
        script
            .line("cd /etc/yum.repos.d")
            .command("rm -f", &patterns);
        planner.out.run(&[], &script);
    }
    planner.file("mirrors/yum.repo", 0o644, ContextSource::Mirror(file));
    planner
        .out
        .copy("mirrors/yum.repo", "/etc/yum.repos.d/fastbuild.repo");
}

/// The commands that install `packages`. Metadata and archives stay outside the image.
pub(super) fn install(
    dialect: Dialect,
    dnf: bool,
    packages: &[SystemPackage],
    more: Option<&str>,
) -> Script {
    let words: Vec<String> = packages
        .iter()
        .map(|package| match &package.version {
            Some(version) => quote::shell(&format!("{}-{version}", package.name)),
            None => quote::shell(&package.name),
        })
        .chain(more.map(str::to_owned))
        .collect();
    let mut script = Script::default();
    let mut options = vec!["--setopt=keepcache=1".to_owned()];
    if dnf {
        options.push("--setopt=install_weak_deps=False".to_owned());
    }
    match (dialect, dnf) {
        (Dialect::BuildKit, true) => options.push(format!("--setopt=cachedir={DNF_CACHE}")),
        (Dialect::BuildKit, false) => {}
        (Dialect::Classic, _) => options.push("--setopt=cachedir=/tmp/fastbuild-yum".to_owned()),
    }
    let command = if dnf { "dnf" } else { "yum" };
    options.extend(words);
    script.command(&format!("{command} -y install"), &options);
    if !dnf {
        verify(&mut script, packages);
    }
    script.line("rm -f /var/log/dnf*.log /var/log/hawkey.log /var/log/yum.log");
    if dialect == Dialect::Classic {
        script.line("rm -rf /tmp/fastbuild-yum");
    }
    script
}

/// yum 3 reports success when only some of the packages exist: asks rpm for each. Groups are
/// no packages, and yum fails by itself for a group that is not there.
fn verify(script: &mut Script, packages: &[SystemPackage]) {
    let names: Vec<String> = packages
        .iter()
        .filter(|package| !package.name.starts_with('@'))
        .map(|package| quote::shell(&package.name))
        .collect();
    if names.is_empty() {
        return;
    }
    script
        .command("for package in", &names)
        .line("do rpm -q \"$package\" > /dev/null || rpm -q --whatprovides \"$package\" > /dev/null || {")
        .line("echo \"No package $package available.\" >&2")
        .line("exit 1")
        .line("}")
        .line("done");
}

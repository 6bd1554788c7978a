//! Red Hat's family: repositories and packages, by dnf or by yum 3.

use super::{ContextSource, Dialect, Planner, dockerfile::Script, quote};
use crate::{catalog::MirrorFile, image_spec::SystemPackage};

/// dnf's own cache folder.
pub(super) const DNF_CACHE: &str = "/var/cache/dnf";
/// yum 3's own cache folder.
pub(super) const YUM_CACHE: &str = "/var/cache/yum";

/// How the names of distributions' own repository files begin, and of the packages that bring them, in lower case.
const DISTRIBUTIONS: [&str; 32] = [
    "almalinux",
    "alinux",
    "amazonlinux",
    "amzn",
    "anolis",
    "bclinux",
    "centos",
    "circle",
    "cloudlinux",
    "ctyunos",
    "eulixos",
    "euleros",
    "eurolinux",
    "fedora",
    "fusionos",
    "hce",
    "kos",
    "kylin",
    "miracle",
    "neokylin",
    "opencloudos",
    "openeuler",
    "oracle",
    "redhat",
    "rocky",
    "scientific",
    "tencentos",
    "tlinux",
    "ubi",
    "uek",
    "uniontech",
    "uos",
];

/// Uses `file` instead of the distribution's own repositories; those of third parties stay.
pub(super) fn mirror(planner: &mut Planner<'_>, file: MirrorFile) {
    planner.out.comment("The mirror for system packages.");
    // EPEL comes on top of a distribution's repositories and never instead of them.
    if !file.file_name.to_ascii_lowercase().starts_with("epel") {
        planner.out.run(&[], &own_files("rm -f"));
    }
    planner.file("mirrors/yum.repo", 0o644, ContextSource::Mirror(file));
    planner
        .out
        .copy("mirrors/yum.repo", "/etc/yum.repos.d/fastbuild.repo");
}

/// Does `command` with each repository file that the distribution itself brought along. It is known by its name, by
/// the package that owns it, or by the repositories in it, which third parties do not call so.
fn own_files(command: &str) -> Script {
    let patterns = DISTRIBUTIONS.map(|name| format!("{name}*")).join(" | ");
    let mut script = Script::default();
    script
        .line("cd /etc/yum.repos.d")
        .line("id=$(. /etc/os-release 2> /dev/null && echo \"$ID\" | tr A-Z a-z || :)")
        .open("is_own() {")
        .open("for name in \"$1\" $(rpm -qf --qf '%{NAME}\\n' \"/etc/yum.repos.d/$1\" 2> /dev/null); do")
        .open("case $(echo \"$name\" | tr A-Z a-z) in")
        .open(format!("{patterns} | \"${{id:-none}}\"*) return 0 ;;"))
        .line("esac")
        .line("done")
        .line("grep -qiE '^[[](base|baseos|appstream|everything|os|update|updates)[]]' \"$1\"")
        .line("}")
        .open("for file in *.repo; do")
        .line(format!("if [ -f \"$file\" ] && is_own \"$file\"; then {command} \"$file\"; fi"))
        .line("done");
    script
}

/// The commands that install `packages`. Metadata and archives stay outside the image.
pub(super) fn install(
    dialect: Dialect,
    dnf: bool,
    fresh: u32,
    packages: &[SystemPackage],
    more: Option<&str>,
) -> Script {
    let words: Vec<String> = packages
        .iter()
        .map(|package| {
            let asked = Asked::of(package);
            quote::shell(&if dnf { asked.for_dnf() } else { asked.label() })
        })
        .chain(more.map(str::to_owned))
        .collect();
    let mut script = Script::default();
    if dialect == Dialect::BuildKit {
        script.exclusive(if dnf { DNF_CACHE } else { YUM_CACHE });
    }
    let mut options = vec![
        "--setopt=keepcache=1".to_owned(),
        // Both fetch metadata again that is older than this; zero is no number of seconds to them.
        format!("--setopt=metadata_expire={}", (fresh * 60).max(1)),
    ];
    let documents = packages
        .iter()
        .any(|package| package.name.ends_with("-doc") || package.name == "man-db");
    if !documents {
        options.push("--setopt=tsflags=nodocs".to_owned());
    }
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

/// The architectures that a package's name may end in, as `.i686`.
const ARCHITECTURES: [&str; 9] = [
    "aarch64",
    "i386",
    "i586",
    "i686",
    "loongarch64",
    "noarch",
    "ppc64le",
    "s390x",
    "x86_64",
];

/// A package as it was asked for, in its parts.
struct Asked<'a> {
    name: &'a str,
    epoch: Option<&'a str>,
    /// Version, or version and release.
    version: Option<&'a str>,
    /// Only beside a version; in a name alone it stays where it is.
    architecture: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn of(package: &'a SystemPackage) -> Self {
        let Some(version) = package.version.as_deref() else {
            return Self {
                name: &package.name,
                epoch: None,
                version: None,
                architecture: None,
            };
        };
        let (epoch, version) = match version.split_once(':') {
            Some((epoch, version)) => (Some(epoch), version),
            None => (None, version),
        };
        let with_architecture = package
            .name
            .rsplit_once('.')
            .filter(|(_, last)| ARCHITECTURES.contains(last));
        let (name, architecture) = match with_architecture {
            Some((name, architecture)) => (name, Some(architecture)),
            None => (package.name.as_str(), None),
        };
        Self {
            name,
            epoch,
            version: Some(version),
            architecture,
        }
    }

    /// For dnf: `name-[epoch:]version[-release][.architecture]`.
    fn for_dnf(&self) -> String {
        self.with_version(self.epoch)
    }

    /// For rpm and yum 3: the same without the epoch, which yum 3 takes only together with
    /// release and architecture, and rpm not at all.
    fn label(&self) -> String {
        self.with_version(None)
    }

    fn with_version(&self, epoch: Option<&str>) -> String {
        let Some(version) = self.version else {
            return self.name.to_owned();
        };
        let epoch = epoch.map_or(String::new(), |epoch| format!("{epoch}:"));
        match self.architecture {
            // An architecture is understood only behind a release.
            Some(architecture) if !version.contains('-') => {
                format!("{}-{epoch}{version}-*.{architecture}", self.name)
            }
            Some(architecture) => format!("{}-{epoch}{version}.{architecture}", self.name),
            None => format!("{}-{epoch}{version}", self.name),
        }
    }

    /// For `rpm -q`, which knows no patterns.
    fn installed(&self) -> String {
        self.label().replacen("-*.", ".", 1)
    }
}

/// yum 3 reports success when only some of the packages exist, and when another version of one is
/// there already: asks rpm for each, with the version that was asked for. Groups are no packages,
/// and yum fails by itself for a group that is not there.
fn verify(script: &mut Script, packages: &[SystemPackage]) {
    let asked: Vec<Asked<'_>> = packages
        .iter()
        .filter(|package| !package.name.starts_with('@'))
        .map(Asked::of)
        .collect();
    if asked.is_empty() {
        return;
    }
    let labels: Vec<String> = asked
        .iter()
        .map(|asked| quote::shell(&asked.installed()))
        .collect();
    script
        .command("for package in", &labels)
        .open("do rpm -q \"$package\" > /dev/null || rpm -q --whatprovides \"$package\" > /dev/null || {")
        .line("echo \"No package $package available.\" >&2")
        .line("exit 1")
        .line("}")
        .line("done");
    for asked in &asked {
        if let Some(epoch) = asked.epoch {
            let label = quote::shell(&asked.installed());
            let said = quote::shell(&format!("No package {} available.", asked.for_dnf()));
            script
                .open(format!(
                    "rpm -q --qf '%{{EPOCHNUM}}\\n' {label} | grep -x {} > /dev/null || {{",
                    quote::shell(epoch)
                ))
                .line(format!("echo {said} >&2"))
                .line("exit 1")
                .line("}");
        }
    }
}

//! A Python of the catalog: compiled from its source, or unpacked when it is a prebuilt tree.
//! Either happens in a stage of its own, so that no compiler and no archive enters the image.

use super::{
    ContextSource, Dialect, Planner,
    dockerfile::{Mount, Script},
    quote,
    system::{self, Manager},
};
use crate::{
    distro::Family,
    failure::{Failure, ReasonCode},
    image_spec::ImageSpec,
    profile::ImageProfile,
};

const STAGE: &str = "python-build";
/// Names the distribution's packages whose libraries a compiled Python uses; lies in its folder.
const RUNTIME_LIST: &str = ".fastbuild-runtime-packages";

/// What a request's Python is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PythonTool {
    /// Major, minor and patch number, from the file's name.
    pub(super) version: (u32, u32, u32),
    /// The folder it goes to, without a slash at the end.
    pub(super) location: String,
    /// Whether it is source and not a prebuilt tree.
    pub(super) source: bool,
    /// Whether the archive is compressed with xz and not with gzip.
    xz: bool,
}

impl PythonTool {
    /// Reads the file name of the request's Python; `None` when it asks for none.
    ///
    /// # Errors
    /// `SpecInvalid` when the name tells neither a source archive nor a prebuilt tree.
    pub(super) fn of(spec: &ImageSpec) -> Result<Option<Self>, Failure> {
        let Some(python) = &spec.python else {
            return Ok(None);
        };
        let name = python.tool.file_name.as_str();
        let unreadable = || {
            Failure::new(
                ReasonCode::SpecInvalid,
                format!("Python 安装文件“{name}”的名称无法识别：应为 Python-X.Y.Z.tgz、Python-X.Y.Z.tar.xz 或 *-install_only*.tar.gz。"),
                format!("The name of the Python file \"{name}\" says neither a source archive (Python-X.Y.Z.tgz, Python-X.Y.Z.tar.xz) nor a prebuilt tree (*-install_only*.tar.gz)."),
            )
            .with_culprit(name)
        };
        let ends_with = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        let xz = ends_with(&[".tar.xz"]);
        if !xz && !ends_with(&[".tgz", ".tar.gz"]) {
            return Err(unreadable());
        }
        let source = !name.contains("install_only");
        let version = version(name).ok_or_else(unreadable)?;
        let location = python.install_location.trim_end_matches('/');
        Ok(Some(Self {
            version,
            location: location.to_owned(),
            source,
            xz,
        }))
    }

    /// Its folder of commands.
    pub(super) fn bin(&self) -> String {
        format!("{}/bin", self.location)
    }

    /// The shell text that expands to the runtime packages of a compiled Python.
    pub(super) fn runtime_packages(&self) -> Option<String> {
        let list = quote::shell(&format!("{}/{RUNTIME_LIST}", self.location));
        self.source.then(|| format!("$(cat {list})"))
    }

    fn archive(&self) -> &'static str {
        if self.xz {
            "tools/python/python.tar.xz"
        } else {
            "tools/python/python.tgz"
        }
    }
}

/// The first `X.Y.Z` (or `X.Y`) that follows the first `-` of a file's name.
fn version(name: &str) -> Option<(u32, u32, u32)> {
    let rest = name.split_once('-')?.1;
    let text = rest.split(['+', '-', '_']).next()?;
    let mut numbers = text.split('.').map_while(|part| part.parse::<u32>().ok());
    let version = (
        numbers.next()?,
        numbers.next()?,
        numbers.next().unwrap_or(0),
    );
    matches!(version.0, 2 | 3).then_some(version)
}

/// Writes the stage that makes the Python, before the image's own stage.
pub(super) fn stage(planner: &mut Planner<'_>) {
    let Some(tool) = planner.python.clone() else {
        return;
    };
    planner.out.comment(if tool.source {
        "Python, compiled in a stage of its own."
    } else {
        "Python, unpacked in a stage of its own."
    });
    planner
        .out
        .from(&planner.spec.base.to_string(), Some(STAGE));
    if !planner.user_is_root() {
        planner.out.user("root");
    }
    if tool.source {
        system::mirror(planner);
        install_compiler(planner, &tool);
    } else {
        install_unpacker(planner, &tool);
    }
    if let Some(python) = &planner.spec.python {
        let source = ContextSource::Tool(python.tool.clone());
        planner.file(tool.archive(), 0o644, source);
    }
    let mounts = match planner.context.dialect {
        Dialect::BuildKit => vec![Mount::Context {
            source: "tools/python",
            target: "/mnt",
        }],
        Dialect::Classic => {
            planner.out.copy("tools/python/", "/mnt/");
            vec![]
        }
    };
    let mut script = Script::default();
    if tool.source {
        compile(
            &mut script,
            &tool,
            planner.installer.as_ref().map(|found| found.manager),
        );
    } else {
        unpack(&mut script, &tool, "prefix");
    }
    links(&mut script);
    planner.out.run(&mounts, &script);
}

/// Takes the Python out of its stage.
pub(super) fn install(planner: &mut Planner<'_>) {
    let Some(tool) = &planner.python else {
        return;
    };
    planner.out.comment("Python.");
    planner.out.copy_from(STAGE, &tool.location, &tool.location);
}

fn unpack(script: &mut Script, tool: &PythonTool, folder: &str) {
    let file = tool.archive().trim_start_matches("tools/python/");
    let compression = if tool.xz { "J" } else { "z" };
    script
        .line(format!("prefix={}", quote::shell(&tool.location)))
        .line("source=/tmp/python-source")
        .line(format!("mkdir -p \"${folder}\""))
        .line(format!(
            "tar -x{compression}f /mnt/{file} -C \"${folder}\" --strip-components=1 --no-same-owner"
        ));
}

fn compile(script: &mut Script, tool: &PythonTool, manager: Option<Manager>) {
    unpack(script, tool, "source");
    script
        .line("cd \"$source\"")
        .line(if has_ensurepip(tool.version) {
            "./configure --prefix=\"$prefix\" --with-ensurepip=install"
        } else {
            "./configure --prefix=\"$prefix\""
        });
    script
        .line("make -j\"$(nproc)\"")
        .line("make install")
        .line("cd /");
    // Without these a Python installs, but pip and most packages do not work with it.
    if tool.version.0 == 3 {
        script
            .open("\"$prefix/bin/python3\" -c 'import ctypes, ssl, zlib' || {")
            .line("echo 'This Python needs newer libraries (OpenSSL above all) than the base image has.' >&2")
            .line("exit 1")
            .line("}");
    }
    script
        .line("rm -rf \"$prefix\"/lib/python*/test \"$prefix\"/lib/python*/*/test \"$prefix\"/lib/python*/*/tests")
        .line("rm -rf \"$prefix\"/lib/libpython*.a \"$prefix\"/lib/python*/config*/libpython*.a")
        .line("find \"$prefix/lib\" -name '*.so' -exec strip --strip-unneeded {} +");
    script.line("find \"$prefix\" -depth -name __pycache__ -exec rm -rf {} +");
    let owner = match manager {
        Some(Manager::Apt) => "dpkg-query -S \"*/${library##*/}\" | sed 's/:.*//'",
        _ => "rpm -qf --qf '%{NAME}\\n' \"$(readlink -f \"$library\")\"",
    };
    script
        // Scripts are executable too, and ldd fails for them; a static Python has no library.
        .open("{ find \"$prefix/bin\" \"$prefix/lib\" -type f -perm -u+x -exec ldd {} + 2> /dev/null || :; } |")
        .line("sed -n 's/.*=> \\(\\/[^ ]*\\).*/\\1/p' | sort -u > /tmp/python-libraries")
        .line("while read -r library")
        .line(format!("do {owner} || :"))
        .line(format!(
            "done < /tmp/python-libraries | {{ grep -E '^[A-Za-z0-9][A-Za-z0-9.+_-]*$' || :; }} | sort -u > \"$prefix/{RUNTIME_LIST}\""
        ))
        .line(format!("cat \"$prefix/{RUNTIME_LIST}\""));
}

/// ensurepip came with 2.7.9 and 3.4.
fn has_ensurepip(version: (u32, u32, u32)) -> bool {
    if version.0 == 2 {
        version >= (2, 7, 9)
    } else {
        version >= (3, 4, 0)
    }
}

/// `python` and `pip` beside `python3` and `pip3`.
fn links(script: &mut Script) {
    script
        .line("cd \"$prefix/bin\"")
        .line("for name in python pip")
        .open("do if [ ! -e \"$name\" ] && [ -e \"${name}3\" ]; then")
        .line("ln -s \"${name}3\" \"$name\"")
        .line("fi")
        .line("done")
        .line("./python --version");
}

fn install_compiler(planner: &mut Planner<'_>, tool: &PythonTool) {
    let Some(installer) = &planner.installer else {
        return;
    };
    let mut packages = match installer.manager {
        Manager::Apt => system::packages([
            "gcc",
            "make",
            "libc6-dev",
            "zlib1g-dev",
            "libssl-dev",
            "libffi-dev",
            "libbz2-dev",
            "liblzma-dev",
            "libsqlite3-dev",
            "libreadline-dev",
            "uuid-dev",
            ncurses(planner.profile),
        ]),
        Manager::Dnf | Manager::Yum => system::packages([
            "gcc",
            "make",
            "zlib-devel",
            "openssl-devel",
            "libffi-devel",
            "bzip2-devel",
            "xz-devel",
            "sqlite-devel",
            "readline-devel",
            "ncurses-devel",
            "libuuid-devel",
            "tar",
            "gzip",
            "findutils",
        ]),
    };
    if tool.xz {
        let name = if installer.manager == Manager::Apt {
            "xz-utils"
        } else {
            "xz"
        };
        packages.extend(system::packages([name]));
    }
    planner
        .out
        .run(&installer.mounts(), &installer.install(&packages, None));
}

/// The package with ncurses' headers; its name changed with Debian 10 and Ubuntu 20.04.
fn ncurses(profile: &ImageProfile) -> &'static str {
    match (profile.family(), system::major_version(profile)) {
        (Family::Debian, Some(..10)) | (Family::Ubuntu, Some(..20)) => "libncurses5-dev",
        _ => "libncurses-dev",
    }
}

/// What unpacks the archive, where the image may lack it: small images of Red Hat's family come
/// without tar, and images of Debian's without xz.
fn install_unpacker(planner: &mut Planner<'_>, tool: &PythonTool) {
    let Some(manager) = planner.installer.as_ref().map(|found| found.manager) else {
        return;
    };
    let (commands, packages): (&[&str], &[&str]) = match (manager, tool.xz) {
        (Manager::Apt, false) => return,
        (Manager::Apt, true) => (&["xz"], &["xz-utils"]),
        (Manager::Dnf | Manager::Yum, false) => (&["tar", "gzip"], &["tar", "gzip"]),
        (Manager::Dnf | Manager::Yum, true) => (&["tar", "xz"], &["tar", "xz"]),
    };
    system::mirror(planner);
    if let Some(installer) = &planner.installer {
        let there: Vec<String> = commands
            .iter()
            .map(|command| format!("command -v {command}"))
            .collect();
        let mut script = Script::default();
        script
            .line(format!("if {}; then exit 0; fi", there.join(" && ")))
            .append(installer.install(&system::packages(packages.iter().copied()), None));
        planner.out.run(&installer.mounts(), &script);
    }
}

/// Refuses what cannot work on the base image.
///
/// # Errors
/// `BaseImageUnsupported` without a package manager to compile with; `SpecInvalid` for a
/// prebuilt tree of another architecture.
pub(super) fn check(
    tool: &PythonTool,
    spec: &ImageSpec,
    profile: &ImageProfile,
) -> Result<(), Failure> {
    if tool.source && Manager::of(profile).is_none() {
        return Err(Failure::new(
            ReasonCode::BaseImageUnsupported,
            format!(
                "基础镜像 {} 没有 apt 或 yum，无法从源码编译 Python。",
                spec.base
            ),
            format!(
                "The base image {} has neither apt nor yum, so Python cannot be compiled in it.",
                spec.base
            ),
        ));
    }
    match &spec.python {
        Some(python) => super::check::architecture(&python.tool.file_name, profile),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_file_names() {
        assert_eq!(version("Python-3.8.10.tgz"), Some((3, 8, 10)));
        assert_eq!(
            version("cpython-3.11.9+20240415-x86_64-unknown-linux-gnu-install_only.tar.gz"),
            Some((3, 11, 9))
        );
        assert_eq!(version("Python-2.7.18.tgz"), Some((2, 7, 18)));
        assert_eq!(version("Python-3.12.tar.xz"), Some((3, 12, 0)));
        assert_eq!(version("notes.tgz"), None);
    }
}

//! A Docker Engine newer than the distribution's own, so that what newer engines do otherwise is tested too. It
//! comes from Debian's unstable suite, is unpacked into a folder and never installed: the machine keeps its own.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::home::Home;
use super::stamp::Stamp;
use super::{mirror, packages};
use crate::run::{program, run, step};

const SUITE: &str = "unstable";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Bump to fetch anew.
const RECIPE: &str = "docker.io and containerd, 1";
/// From this version on an engine can keep images in containerd's store.
const NEW_ENOUGH: u32 = 25;

/// Programs of the packages that the engine starts; `runc` stays the machine's own, because a newer one wants newer
/// libraries.
const PROGRAMS: [&str; 4] = [
    "usr/sbin/dockerd",
    "usr/sbin/docker-proxy",
    "usr/bin/containerd",
    "usr/bin/containerd-shim-runc-v2",
];

/// Where an engine's programs lie.
pub(super) struct Programs {
    folder: Option<PathBuf>,
    dockerd: String,
}

impl Programs {
    /// Those of the machine itself.
    pub(super) fn of_the_machine() -> Self {
        Self {
            folder: None,
            dockerd: "dockerd".to_owned(),
        }
    }

    /// The engine's own program.
    pub(super) fn dockerd(&self) -> &str {
        &self.dockerd
    }

    /// The `PATH` with which it finds the others; none where it is the usual one.
    pub(super) fn search_path(&self) -> Option<OsString> {
        let mut path = self.folder.as_ref()?.clone().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        Some(path)
    }

    /// The first number of its version.
    pub(super) fn major_version(&self) -> Option<u32> {
        run(&mut program(&self.dockerd, &["--version"]))
            .ok()?
            .split_whitespace()
            .find_map(|word| word.split_once('.')?.0.parse().ok())
    }
}

/// The newer engine's programs: those that [`ensure`] unpacked, else the machine's own.
pub(super) fn programs(home: &Home) -> Programs {
    let folder = folder(home).join("programs");
    let dockerd = folder.join("dockerd");
    match dockerd.to_str() {
        Some(path) if dockerd.exists() => Programs {
            dockerd: path.to_owned(),
            folder: Some(folder),
        },
        _ => Programs::of_the_machine(),
    }
}

fn folder(home: &Home) -> PathBuf {
    home.path("cache/newer-engine")
}

/// Fetches and unpacks the engine unless it is there, or the machine's own is new enough.
pub(super) fn ensure(home: &Home) -> Result<()> {
    let stamp = Stamp::new(home, "newer-engine", &[RECIPE]);
    if stamp.is_current() && folder(home).join("programs/dockerd").exists() {
        return Ok(());
    }
    let own = Programs::of_the_machine().major_version();
    if own.is_some_and(|major| major >= NEW_ENOUGH) {
        return Ok(());
    }
    step("newer Docker Engine unpacked", || fetch(&folder(home)))?;
    stamp.set()
}

fn fetch(folder: &Path) -> Result<()> {
    let mirror = mirror::own_mirror(None).context(
        "this machine's Docker Engine is too old for containerd's image store, and its package sources name no mirror of Debian to fetch a newer one from; add one, or install Docker Engine 25 or later",
    )?;
    run(program("rm", &["-rf", "--one-file-system", "--"]).arg(folder))?;
    for name in [
        "lists/partial",
        "cache/archives/partial",
        "root",
        "programs",
    ] {
        fs::create_dir_all(folder.join(name))?;
    }
    let list = folder.join("sources.list");
    fs::write(
        &list,
        format!("deb [signed-by={KEYRING}] {mirror} {SUITE} main\n"),
    )?;
    let apt_get = |arguments: &[&str]| {
        let mut command = program("apt-get", &["--quiet"]);
        for (name, value) in [
            ("Dir::Etc::SourceList", list.clone()),
            ("Dir::Etc::SourceParts", PathBuf::from("/dev/null")),
            ("Dir::State::Lists", folder.join("lists")),
            ("Dir::Cache", folder.join("cache")),
        ] {
            let mut option = OsString::from(format!("{name}="));
            option.push(value);
            command.arg("-o").arg(option);
        }
        command
            // The folder belongs to root alone, and a user of apt's own could not write to it.
            .args(["-o", "APT::Sandbox::User=root"])
            .args(["-o", "Acquire::Languages=none"])
            .args(arguments)
            .current_dir(folder);
        command
    };
    run(&mut apt_get(&["update"]))?;
    run(&mut apt_get(&["download", "docker.io", "containerd"]))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run(program("dpkg", &["-x"]).arg(&path).arg(folder.join("root")))?;
            fs::remove_file(&path)?;
        }
    }
    for name in PROGRAMS {
        let target = folder.join("root").join(name);
        let link = target.file_name().context("a program has a name")?;
        symlink(&target, folder.join("programs").join(link))?;
    }
    let runc = packages::find("runc").context("the program `runc` was not found")?;
    symlink(runc, folder.join("programs/runc"))?;
    for name in ["lists", "cache"] {
        run(program("rm", &["-rf", "--"]).arg(folder.join(name)))?;
    }
    Ok(())
}

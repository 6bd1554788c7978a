//! The distribution's packages: which programs are needed, and installing those that are missing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{program, run, step, succeeds};

/// A needed program and the package that holds it on Debian and Ubuntu.
const NEEDED: [(&str, &str); 13] = [
    ("dockerd", "docker.io"),
    ("docker-registry", "docker-registry"),
    ("debootstrap", "debootstrap"),
    ("htpasswd", "apache2-utils"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("ssh", "openssh-client"),
    ("sshpass", "sshpass"),
    ("setsid", "util-linux"),
    ("umount", "mount"),
    ("tar", "tar"),
    ("xz", "xz-utils"),
    ("sqlite3", "sqlite3"),
];

/// Files that are needed and are no programs.
const NEEDED_FILES: [(&str, &str); 2] = [
    (HOST_CA_BUNDLE, "ca-certificates"),
    (
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
    ),
];

/// The certificate authorities that this machine trusts.
pub(super) const HOST_CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The package of the database server, whose programs lie in a folder of their version.
const POSTGRES: &str = "postgresql";
/// Where those folders are.
const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";

/// Units that the packages bring along; they belong to nobody when we installed them.
const UNITS: [(&str, &[&str]); 3] = [
    (
        "docker.io",
        &["docker.service", "docker.socket", "containerd.service"],
    ),
    ("docker-registry", &["docker-registry.service"]),
    (POSTGRES, &["postgresql.service"]),
];

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing, and starts no service by it.
pub(super) fn ensure() -> Result<()> {
    if !is_root() {
        bail!(
            "`cargo xtask env` starts Docker Engines and makes network bridges, which only root may do; run it as root"
        );
    }
    let mut missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    if find("apt-get").is_none() {
        bail!(
            "this machine lacks {}, and has no apt-get to install it with; the parts are set up on Debian and Ubuntu by themselves, elsewhere install these programs first",
            missing.join(", ")
        );
    }
    step(
        &format!("packages installed: {}", missing.join(", ")),
        || {
            run(&mut apt_get(&["update"]))?;
            let guard = ServiceGuard::put()?;
            install(&missing)?;
            // Newer releases keep the command line in a package of its own.
            if find("docker").is_none() {
                missing.push("docker-cli");
                install(&["docker-cli"])?;
            }
            drop(guard);
            disable_units(&missing);
            Ok(())
        },
    )
}

fn missing() -> Vec<&'static str> {
    let programs = NEEDED.iter().filter(|(name, _)| find(name).is_none());
    let files = NEEDED_FILES
        .iter()
        .filter(|(path, _)| !Path::new(path).exists());
    let postgres = postgres().is_none().then_some(POSTGRES);
    programs
        .chain(files)
        .map(|(_, package)| *package)
        .chain(postgres)
        .collect()
}

/// The folder with the programs of the newest PostgreSQL server on this machine.
pub(super) fn postgres() -> Option<PathBuf> {
    let version = |folder: &Path| -> Option<u32> { folder.file_name()?.to_str()?.parse().ok() };
    fs::read_dir(POSTGRES_VERSIONS)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|folder| folder.join("bin/postgres").is_file())
        .max_by_key(|folder| version(folder))
        .map(|folder| folder.join("bin"))
}

fn install(packages: &[&str]) -> Result<()> {
    run(apt_get(&["install", "--yes", "--no-install-recommends"]).args(packages)).map(drop)
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = program("apt-get", &["--quiet", "-o", "DPkg::Lock::Timeout=300"]);
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self")
        .is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}

/// Where a program lies: the distribution's folders first, then PATH.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
        .into_iter()
        .map(PathBuf::from)
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The Docker command line.
pub(super) fn docker() -> Result<PathBuf> {
    find("docker").context("the program `docker` was not found although its package is installed")
}

/// While it stands, packages that are installed start no service: the machine's own Docker is not ours to start.
struct ServiceGuard {
    saved: Option<Vec<u8>>,
}

impl ServiceGuard {
    fn put() -> Result<Self> {
        let saved = fs::read(POLICY).ok();
        fs::write(POLICY, "#!/bin/sh\nexit 101\n")
            .with_context(|| format!("{POLICY} cannot be written"))?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        Ok(Self { saved })
    }
}

impl Drop for ServiceGuard {
    fn drop(&mut self) {
        // Nothing sensible is left to do when this fails; the file says by itself what it does.
        let _ = match &self.saved {
            Some(content) => fs::write(POLICY, content),
            None => fs::remove_file(POLICY),
        };
    }
}

/// Keeps the units of packages we installed from starting at the next boot.
fn disable_units(installed: &[&str]) {
    for (package, units) in UNITS {
        if installed.contains(&package) && find("systemctl").is_some() {
            // Without systemd running there may be nothing to disable.
            succeeds(program("systemctl", &["disable"]).args(units));
        }
    }
}

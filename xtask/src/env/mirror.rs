//! The root file system of Debian 12 that all base images come from, and the mirror it was fetched from.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::certificates::host_bundle;
use super::home::Home;
use super::stamp::Stamp;
use crate::run::{program, run, step};

/// The release: the one whose Python, `dnf` and `rpm` the fixtures are made of.
const SUITE: &str = "bookworm";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Bump when [`make`] changes what is in the file system.
const RECIPE: &str = "minbase with ca-certificates, 1";

/// The file system as an archive.
pub(super) fn archive(home: &Home) -> PathBuf {
    home.path("cache/debian.tar")
}

/// The mark of the file system.
pub(super) fn stamp(home: &Home) -> Result<Stamp> {
    let bundle = host_bundle();
    let authorities = fs::read_to_string(&bundle)
        .with_context(|| format!("{} cannot be read", bundle.display()))?;
    Ok(Stamp::new(home, "debian-root", &[RECIPE, &authorities]))
}

/// Makes the archive unless it is there.
pub(super) fn ensure_root_file_system(home: &Home) -> Result<()> {
    let stamp = stamp(home)?;
    if stamp.is_current() && archive(home).exists() && package_list_file(home).exists() {
        return Ok(());
    }
    step("root file system of Debian 12 made", || make(home))?;
    stamp.set()
}

/// The lines of the image's apt source list.
pub(super) fn package_list(home: &Home) -> Result<String> {
    let file = package_list_file(home);
    fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))
}

fn package_list_file(home: &Home) -> PathBuf {
    home.path("cache/debian-12.list")
}

fn make(home: &Home) -> Result<()> {
    let root = home.path("work/debian");
    remove(&root)?;
    let mut debootstrap = program(
        "debootstrap",
        &[
            "--variant=minbase",
            "--include=ca-certificates",
            "--keyring",
            KEYRING,
            SUITE,
        ],
    );
    debootstrap.arg(&root);
    if let Some(mirror) = own_mirror(Some(SUITE)) {
        debootstrap.arg(mirror);
    }
    run(&mut debootstrap)?;

    // Where outgoing TLS is re-signed by a local authority, programs in the image must trust it as well; the single
    // files keep it trusted when the image's own bundle is made anew.
    fs::copy(
        host_bundle(),
        root.join("etc/ssl/certs/ca-certificates.crt"),
    )?;
    let local = PathBuf::from("/usr/local/share/ca-certificates");
    if local.is_dir() {
        run(
            program("cp", &["-rL", "--", "/usr/local/share/ca-certificates/."])
                .arg(root.join("usr/local/share/ca-certificates")),
        )?;
    }
    for folder in ["var/cache/apt/archives", "var/lib/apt/lists", "var/log"] {
        let folder = root.join(folder);
        remove(&folder)?;
        fs::create_dir_all(folder)?;
    }
    fs::create_dir_all(root.join("var/cache/apt/archives/partial"))?;
    fs::write(root.join("etc/hostname"), "debian\n")?;
    fs::write(root.join("etc/resolv.conf"), "")?;
    fs::copy(root.join("etc/apt/sources.list"), package_list_file(home))?;
    let draft = home.path("cache/debian.tar.draft");
    run(program("tar", &["--numeric-owner", "-cf"])
        .arg(&draft)
        .arg("-C")
        .arg(&root)
        .arg("."))?;
    fs::rename(&draft, archive(home))?;
    remove(&root)
}

fn remove(folder: &PathBuf) -> Result<()> {
    run(program("rm", &["-rf", "--one-file-system", "--"]).arg(folder)).map(drop)
}

/// The mirror of Debian's main archive that this machine itself uses, for the given release or for any; none on
/// other distributions.
pub(super) fn own_mirror(suite: Option<&str>) -> Option<String> {
    let targets = run(&mut program(
        "apt-get",
        &[
            "indextargets",
            "--format",
            "$(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)",
            "Created-By: Packages",
        ],
    ))
    .ok()?;
    targets
        .lines()
        .find_map(|line| mirror_in(line, suite))
        .map(str::to_owned)
}

/// The address in a line of `apt-get indextargets`, if it is one of the release we want. Updates and backports lie
/// beside their release, security fixes may lie elsewhere.
fn mirror_in<'a>(line: &'a str, suite: Option<&str>) -> Option<&'a str> {
    let mut words = line.split_whitespace();
    let (origin, codename, component) = (words.next()?, words.next()?, words.next()?);
    let wanted = suite.map_or(!codename.contains("security"), |suite| codename == suite);
    words.next().filter(|address| {
        origin == "Debian" && wanted && component == "main" && address.starts_with("http")
    })
}

#[cfg(test)]
mod tests {
    use super::mirror_in;

    #[test]
    fn takes_the_main_archive_of_the_release_only() {
        let address = "http://mirror.example/debian/";
        let main = format!("Debian bookworm main {address}");
        let updates = format!("Debian bookworm-updates main {address}");
        assert_eq!(mirror_in(&main, Some("bookworm")), Some(address));
        assert_eq!(mirror_in(&updates, Some("bookworm")), None);
        assert_eq!(mirror_in(&updates, None), Some(address));
        for other in [
            "Debian bookworm-security main http://mirror.example/debian-security/",
            "Ubuntu noble main http://mirror.example/ubuntu/",
            " bookworm main file:/var/packages/",
        ] {
            assert_eq!(mirror_in(other, Some("bookworm")), None);
            assert_eq!(mirror_in(other, None), None);
        }
    }
}

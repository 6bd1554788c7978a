//! Distribution families. The family of an image decides how mirrors, packages and services are
//! set up in it.

use crate::{
    image_spec::PackageManager,
    profile::{ImageProfile, OsRelease},
};

/// A family of distributions that are set up alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Debian and what follows it closely.
    Debian,
    /// Ubuntu.
    Ubuntu,
    /// Red Hat Enterprise Linux and its rebuilds, and Fedora.
    RedHat(RedHatKind),
    /// openEuler and its commercial children.
    OpenEuler,
    /// Anolis OS and Alibaba Cloud Linux.
    Anolis,
    /// Kylin: the server editions have yum, the desktop editions and openKylin have apt, so the
    /// package manager that was found says which.
    Kylin,
    /// Nothing known.
    Unknown,
}

/// The members of the Red Hat family that differ in their mirrors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RedHatKind {
    /// CentOS Linux and CentOS Stream.
    CentOs,
    /// Rocky Linux.
    Rocky,
    /// `AlmaLinux`.
    Alma,
    /// Fedora.
    Fedora,
    /// Red Hat Enterprise Linux itself, Oracle Linux and other rebuilds.
    Other,
}

impl Family {
    /// The package manager this family has, where the family alone says so.
    pub fn package_manager(self) -> Option<PackageManager> {
        match self {
            Self::Debian | Self::Ubuntu => Some(PackageManager::Apt),
            Self::RedHat(_) | Self::OpenEuler | Self::Anolis => Some(PackageManager::Yum),
            Self::Kylin | Self::Unknown => None,
        }
    }
}

impl OsRelease {
    /// The family, from `ID`, then from `NAME` (old images lack an honest `ID`), then from
    /// `ID_LIKE`.
    pub fn family(&self) -> Family {
        let id = self.id.to_lowercase();
        if let Some(family) = by_id(&id) {
            return family;
        }
        let name = format!("{} {}", self.name, self.release_line).to_lowercase();
        for (word, family) in [
            ("kylin", Family::Kylin),
            ("openeuler", Family::OpenEuler),
            ("anolis", Family::Anolis),
            ("centos", Family::RedHat(RedHatKind::CentOs)),
            ("rocky", Family::RedHat(RedHatKind::Rocky)),
            ("ubuntu", Family::Ubuntu),
        ] {
            if name.contains(word) {
                return family;
            }
        }
        self.id_like
            .iter()
            .find_map(|like| match by_id(&like.to_lowercase()) {
                // A child of CentOS or Fedora is no CentOS or Fedora: its mirrors are its own.
                Some(Family::RedHat(_)) => Some(Family::RedHat(RedHatKind::Other)),
                other => other,
            })
            .unwrap_or(Family::Unknown)
    }
}

fn by_id(id: &str) -> Option<Family> {
    Some(match id {
        "ubuntu" => Family::Ubuntu,
        "debian" | "raspbian" | "deepin" | "uos" | "linuxmint" | "kali" => Family::Debian,
        "centos" => Family::RedHat(RedHatKind::CentOs),
        "rocky" => Family::RedHat(RedHatKind::Rocky),
        "almalinux" => Family::RedHat(RedHatKind::Alma),
        "fedora" => Family::RedHat(RedHatKind::Fedora),
        "rhel" | "ol" | "amzn" | "scientific" | "eurolinux" | "opencloudos" | "tencentos" => {
            Family::RedHat(RedHatKind::Other)
        }
        "openeuler" | "euleros" | "hce" => Family::OpenEuler,
        "anolis" | "alinux" => Family::Anolis,
        "kylin" | "openkylin" | "neokylin" | "kylinsecos" => Family::Kylin,
        _ => return None,
    })
}

impl ImageProfile {
    /// The family of the image's distribution; where `os-release` tells nothing known, the one the
    /// package manager suggests.
    pub fn family(&self) -> Family {
        match (self.os.family(), &self.package_manager) {
            (Family::Unknown, Some(found)) => match found.kind {
                PackageManager::Apt => Family::Debian,
                PackageManager::Yum => Family::RedHat(RedHatKind::Other),
            },
            (family, _) => family,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(id: &str, like: &str, name: &str, release_line: &str) -> OsRelease {
        OsRelease {
            id: id.into(),
            id_like: like.split_whitespace().map(str::to_owned).collect(),
            name: name.into(),
            release_line: release_line.into(),
            ..OsRelease::default()
        }
    }

    #[test]
    fn families_are_told_by_id_then_name_then_likeness() {
        for (os, family) in [
            (os("ubuntu", "debian", "Ubuntu", ""), Family::Ubuntu),
            (os("debian", "", "Debian GNU/Linux", ""), Family::Debian),
            (
                os(
                    "centos",
                    "rhel fedora",
                    "CentOS Linux",
                    "CentOS Linux release 7.9.2009 (Core)",
                ),
                Family::RedHat(RedHatKind::CentOs),
            ),
            (
                os("", "", "", "CentOS release 6.10 (Final)"),
                Family::RedHat(RedHatKind::CentOs),
            ),
            (
                os("rocky", "rhel centos fedora", "Rocky Linux", ""),
                Family::RedHat(RedHatKind::Rocky),
            ),
            (
                os("almalinux", "rhel centos fedora", "AlmaLinux", ""),
                Family::RedHat(RedHatKind::Alma),
            ),
            (
                os("fedora", "", "Fedora Linux", ""),
                Family::RedHat(RedHatKind::Fedora),
            ),
            (
                os("ol", "fedora", "Oracle Linux Server", ""),
                Family::RedHat(RedHatKind::Other),
            ),
            (
                os("newrebuild", "rhel centos", "New", ""),
                Family::RedHat(RedHatKind::Other),
            ),
            (os("openEuler", "", "openEuler", ""), Family::OpenEuler),
            (
                os("anolis", "rhel fedora centos", "Anolis OS", ""),
                Family::Anolis,
            ),
            (
                os("kylin", "", "Kylin Linux Advanced Server", ""),
                Family::Kylin,
            ),
            (os("openkylin", "debian", "openKylin", ""), Family::Kylin),
            (os("newdebian", "debian", "New", ""), Family::Debian),
            (os("alpine", "", "Alpine Linux", ""), Family::Unknown),
        ] {
            assert_eq!(os.family(), family, "{os:?}");
        }
    }
}

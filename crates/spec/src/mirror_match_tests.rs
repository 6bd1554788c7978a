//! Which files fit which images, by the names sites give them.

use super::*;
use crate::profile::PackageManagerFound;

fn image(id: &str, name: &str, version: &str, version_id: &str, release: &str) -> ImageProfile {
    let kind = match id {
        "ubuntu" | "debian" | "openkylin" | "uos" => PackageManager::Apt,
        _ => PackageManager::Yum,
    };
    let mut profile = crate::probe::parse(
        "@@end 1\n",
        "sha256:0",
        1,
        "amd64",
        crate::profile::ImageConfig::default(),
    )
    .unwrap();
    profile.os = OsRelease {
        id: id.into(),
        name: name.into(),
        version: version.into(),
        version_id: version_id.into(),
        release_line: release.into(),
        ..OsRelease::default()
    };
    profile.package_manager = Some(PackageManagerFound {
        kind,
        has_dnf: false,
        version: String::new(),
        mirrors: vec![],
    });
    profile
}

fn file(name: &str) -> MirrorFile {
    MirrorFile {
        kind: match by_ending(name) {
            Some(PackageManager::Yum) => MirrorKind::Yum,
            _ => MirrorKind::Apt,
        },
        group: "ali".into(),
        file_name: name.into(),
    }
}

/// A catalog with these files, by group and name.
fn catalog(files: &[(&str, &str)]) -> Catalog {
    let files = files.iter().map(|(group, name)| MirrorFile {
        group: (*group).to_owned(),
        ..file(name)
    });
    Catalog {
        mirrors: files.collect(),
        tools: Vec::new(),
    }
}

fn ubuntu_20() -> ImageProfile {
    image("ubuntu", "Ubuntu", "20.04.6 LTS (Focal Fossa)", "20.04", "")
}

fn centos_7() -> ImageProfile {
    let release = "CentOS Linux release 7.9.2009 (Core)";
    image("centos", "CentOS Linux", "7 (Core)", "7", release)
}

#[test]
fn the_contracts_mismatches_read_as_they_were_recorded() {
    let catalog = catalog(&[
        ("163", "CentOS7-Base-163.repo"),
        ("163", "ubuntu-20.04.list"),
        ("ali", "Centos-7.repo"),
        ("ali", "Centos-8.repo"),
        ("ali", "ubuntu-18.04.list"),
        ("ali", "ubuntu-20.04.sources"),
    ]);
    let failure = check(&file("ubuntu-18.04.list"), &ubuntu_20(), &catalog).unwrap_err();
    assert_eq!(failure.code, ReasonCode::MirrorMismatch);
    assert_eq!(failure.culprit.as_deref(), Some("ali/ubuntu-18.04.list"));
    assert_eq!(
        failure.message.zh,
        "镜像操作系统Ubuntu:20.04.6 LTS (Focal Fossa)版本与配置的包管理源文件名称不匹配: \
         ubuntu-18.04.list，可选择适用于该系统的源文件：ali/ubuntu-20.04.sources、163/ubuntu-20.04.list。"
    );
    let failure = check(&file("Centos-8.repo"), &centos_7(), &catalog).unwrap_err();
    assert_eq!(
        failure.message.en,
        "The mirror file Centos-8.repo does not fit the image's system Centos CentOS Linux \
         release 7.9.2009 (Core): choose a file for this system: ali/Centos-7.repo, \
         163/CentOS7-Base-163.repo."
    );
    let failure = check(&file("Centos-8.repo"), &centos_7(), &Catalog::default()).unwrap_err();
    assert!(
        failure.message.en.ends_with(
            "the catalog has no file for this system; ask the operator to upload one, or choose none."
        ),
        "{}",
        failure.message.en
    );
    let failure = check(&file("ubuntu-20.04.list"), &centos_7(), &Catalog::default()).unwrap_err();
    assert!(
        failure
            .message
            .en
            .ends_with("the image has yum, which reads files that end in .repo.")
    );
}

#[test]
fn files_fit_their_distribution_and_version() {
    let debian = image("debian", "Debian GNU/Linux", "12 (bookworm)", "12", "");
    let rocky = image(
        "rocky",
        "Rocky Linux",
        "9.3",
        "9.3",
        "Rocky Linux release 9.3",
    );
    let euler = image("openeuler", "openEuler", "22.03 (LTS-SP1)", "22.03", "");
    let anolis = image("anolis", "Anolis OS", "8.8", "8.8", "Anolis OS release 8.8");
    let kylin = image(
        "kylin",
        "Kylin Linux Advanced Server",
        "V10 (Sword)",
        "V10",
        "",
    );
    let open_kylin = image("openkylin", "openKylin", "1.0", "1.0", "");
    let rhel = image("rhel", "Red Hat Enterprise Linux", "8.6", "8.6", "");
    let uos = image("uos", "uos", "20", "20", "");
    let old = image("", "", "", "", "CentOS release 6.10 (Final)");
    for (profile, fitting, other) in [
        (
            &ubuntu_20(),
            &[
                "ubuntu-20.04.list",
                "ubuntu2004.list",
                "focal.list",
                "ubuntu.sources",
                "mine.list",
            ][..],
            &[
                "ubuntu-18.04.list",
                "jammy.sources",
                "debian-12.list",
                "ubuntu-1804.list",
                "a.repo",
            ][..],
        ),
        (
            &debian,
            &[
                "debian-12.list",
                "debian-bookworm.sources",
                "Debian12-163.list",
                "debian.list",
            ],
            &["debian-11.list", "bullseye.list", "ubuntu-12.04.list"],
        ),
        (
            &centos_7(),
            &[
                "CentOS7-Base-163.repo",
                "Centos-7.repo",
                "CentOS-Base.repo",
                "CentOS-Base-163.repo",
                "epel-7.repo",
                "local.repo",
                "centos-7.9.2009.repo",
            ],
            &[
                "Centos-8.repo",
                "CentOS8-Base-163.repo",
                "rocky-7.repo",
                "openEuler-22.03-LTS.repo",
                "centos-7.6.repo",
                "epel-8.repo",
                "ubuntu.list",
            ],
        ),
        (
            &rocky,
            &["rocky-9.repo", "Rocky-Linux-9.repo", "epel-9.repo"],
            &["rocky-8.repo", "centos-stream-9.repo"],
        ),
        (
            &euler,
            &["openEuler-22.03-LTS.repo", "openEuler.repo"],
            &["openEuler-20.03-LTS.repo", "anolis-8.repo"],
        ),
        (
            &anolis,
            &["anolis-8.repo", "AnolisOS-8.8.repo"],
            &["anolis-7.repo", "Centos-8.repo"],
        ),
        (
            &kylin,
            &["Kylin-V10.repo", "kylin-v10-sp1.repo"],
            &["kylin-v4.repo", "kylin.list"],
        ),
        (
            &open_kylin,
            &["openKylin-1.0.list"],
            &["openkylin-2.0.list", "Kylin-V10.repo"],
        ),
        (&rhel, &["Centos-8.repo", "rhel-8.repo"], &["Centos-7.repo"]),
        (
            &uos,
            &["debian-10.list", "uos.list"],
            &["ubuntu-20.04.list"],
        ),
        (&old, &["CentOS-6.repo"], &["CentOS-7.repo"]),
    ] {
        for name in fitting {
            assert_eq!(
                check(&file(name), profile, &Catalog::default()),
                Ok(()),
                "{name} on {}",
                profile.os.id
            );
        }
        for name in other {
            assert!(
                check(&file(name), profile, &Catalog::default()).is_err(),
                "{name} on {}",
                profile.os.id
            );
        }
    }
}

#[test]
fn service_packs_are_compared_where_the_file_and_the_image_name_one() {
    let euler = |version| image("openeuler", "openEuler", version, "22.03", "");
    for (version, fitting, other) in [
        (
            "22.03 (LTS-SP1)",
            &[
                "openEuler-22.03-LTS-SP1.repo",
                "openEuler_22.03_sp1.repo",
                "openEuler-22.03-LTS.repo",
                "openEuler-22.03.repo",
                "openEuler.repo",
            ][..],
            &[
                "openEuler-22.03-LTS-SP2.repo",
                "openEuler-22.03-LTS-SP11.repo",
            ][..],
        ),
        (
            "22.03 (LTS)",
            &[
                "openEuler-22.03-LTS.repo",
                "openEuler-22.03-LTS-special.repo",
            ],
            &["openEuler-22.03-LTS-SP1.repo"],
        ),
        ("22.03", &["openEuler-22.03-LTS-SP1.repo"], &[]),
    ] {
        for name in fitting {
            assert_eq!(
                check(&file(name), &euler(version), &Catalog::default()),
                Ok(()),
                "{name} on {version}"
            );
        }
        for name in other {
            assert!(
                check(&file(name), &euler(version), &Catalog::default()).is_err(),
                "{name} on {version}"
            );
        }
    }
}

#[test]
fn a_file_in_the_wrong_folder_or_for_no_manager_does_not_fit() {
    let mut misplaced = file("x.repo");
    misplaced.kind = MirrorKind::Apt;
    assert!(check(&misplaced, &ubuntu_20(), &Catalog::default()).is_err());
    assert!(check(&misplaced, &centos_7(), &Catalog::default()).is_err());
    let mut bare = ubuntu_20();
    bare.package_manager = None;
    assert!(check(&file("ubuntu-20.04.list"), &bare, &Catalog::default()).is_err());
    for kind in [MirrorKind::Pip, MirrorKind::Conda] {
        let any = MirrorFile {
            kind,
            group: "ali".into(),
            file_name: "ubuntu-1.list".into(),
        };
        assert_eq!(check(&any, &bare, &Catalog::default()), Ok(()));
    }
}

//! Every file is one its package manager reads, fits the system it is for and no other, and names
//! nobody but the four mirrors.

use std::collections::BTreeSet;

use fastbuild_spec::{
    catalog::{Catalog, MirrorFile, MirrorKind},
    image_spec::PackageManager,
    mirror_match,
    names::parse_file_name,
    probe,
    profile::{ImageConfig, ImageProfile, PackageManagerFound},
};

use super::*;

const MIRRORS: [(&str, &str); 4] = [
    ("ali", "mirrors.aliyun.com"),
    ("qinghua", "mirrors.tuna.tsinghua.edu.cn"),
    ("163", "mirrors.163.com"),
    ("ustc", "mirrors.ustc.edu.cn"),
];

/// The systems a file may be for: the word in its path, what `os-release` says there, and the
/// release its repositories are named by.
const SYSTEMS: [(&str, &str, &str, &str); 15] = [
    ("debian-10", "debian", "10", "buster"),
    ("debian-11", "debian", "11", "bullseye"),
    ("debian-12", "debian", "12", "bookworm"),
    ("debian-13", "debian", "13", "trixie"),
    ("ubuntu-18.04", "ubuntu", "18.04", "bionic"),
    ("ubuntu-20.04", "ubuntu", "20.04", "focal"),
    ("ubuntu-22.04", "ubuntu", "22.04", "jammy"),
    ("ubuntu-24.04", "ubuntu", "24.04", "noble"),
    ("centos7", "centos", "7", "/centos-vault/7.9.2009/"),
    ("centos8", "centos", "8", "/centos-vault/8.5.2111/"),
    ("rocky-8", "rocky", "8.9", "/8/"),
    ("rocky-9", "rocky", "9.3", "/9/"),
    (
        "openeuler-20.03",
        "openEuler",
        "20.03",
        "/openEuler-20.03-LTS",
    ),
    (
        "openeuler-22.03",
        "openEuler",
        "22.03",
        "/openEuler-22.03-LTS",
    ),
    (
        "openeuler-24.03",
        "openEuler",
        "24.03",
        "/openEuler-24.03-LTS",
    ),
];

fn image(id: &str, version: &str) -> ImageProfile {
    let mut profile =
        probe::parse("@@end 1\n", "sha256:0", 1, "amd64", ImageConfig::default()).unwrap();
    profile.os.id = id.to_lowercase();
    version.clone_into(&mut profile.os.version_id);
    profile.package_manager = Some(PackageManagerFound {
        kind: if ["debian", "ubuntu"].contains(&id) {
            PackageManager::Apt
        } else {
            PackageManager::Yum
        },
        has_dnf: false,
        version: String::new(),
        mirrors: Vec::new(),
    });
    profile
}

fn mirror_file(path: &str) -> MirrorFile {
    let parts: Vec<&str> = path.split('/').collect();
    let [kind, group, file_name] = parts[..] else {
        panic!("{path} is not <kind>/<group>/<file>");
    };
    assert_eq!(parse_file_name(file_name).unwrap(), file_name);
    MirrorFile {
        kind: kind.parse().unwrap(),
        group: group.to_owned(),
        file_name: file_name.to_owned(),
    }
}

/// The system a file is for by its name, if it is for one.
fn system(file: &MirrorFile) -> Option<(&'static str, &'static str, &'static str)> {
    let name = file.file_name.to_lowercase().replace("centos-", "centos");
    SYSTEMS
        .iter()
        .find(|(word, ..)| name.starts_with(word))
        .map(|(_, id, version, release)| (*id, *version, *release))
}

/// Every address in a text.
fn addresses(text: &str) -> Vec<&str> {
    text.split_whitespace()
        .filter_map(|word| Some(&word[word.find("http://").or_else(|| word.find("https://"))?..]))
        .collect()
}

#[test]
fn the_table_is_the_folder() {
    fn walk(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                let below = path.strip_prefix(root).unwrap();
                found.insert(below.display().to_string());
            }
        }
    }
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/starter"));
    let mut found = BTreeSet::new();
    walk(root, root, &mut found);
    let listed: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
    assert_eq!(listed, found);
    assert_eq!(listed.len(), FILES.len());
}

/// The table of a README: what there is a file for, by row and mirror.
fn told(readme: &str) -> BTreeSet<(String, &'static str)> {
    let mut told = BTreeSet::new();
    let header = "| | `ali` | `qinghua` | `163` | `ustc` |";
    let rows = readme.lines().skip_while(|line| *line != header).skip(2);
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{row}");
        let label = cells[0].to_lowercase().replace(' ', "-");
        for (cell, (group, _)) in cells[1..].iter().zip(MIRRORS) {
            match *cell {
                "yes" => assert!(told.insert((label.clone(), group)), "{row}"),
                "–" => {}
                other => panic!("{other} in {row}"),
            }
        }
    }
    told
}

#[test]
fn the_readmes_tell_exactly_what_is_laid_down() {
    let laid: BTreeSet<(String, &str)> = FILES
        .iter()
        .map(|starter| {
            let file = mirror_file(starter.path);
            let label = match system(&file) {
                Some((id, version, _)) => {
                    // A file fits every minor release.
                    let version = version
                        .split('.')
                        .next()
                        .filter(|_| id == "rocky")
                        .unwrap_or(version);
                    format!("{}-{version}", id.to_lowercase())
                }
                None => file.kind.to_string(),
            };
            let (group, _) = MIRRORS
                .iter()
                .find(|(name, _)| *name == file.group)
                .unwrap();
            (label, *group)
        })
        .collect();
    assert_eq!(told(include_str!("../../../README.md")), laid);
    assert_eq!(told(include_str!("../../../README.zh-CN.md")), laid);
    for absent in [("rocky-9", "qinghua"), ("conda", "163")] {
        assert!(!laid.contains(&(absent.0.to_owned(), absent.1)));
    }
}

#[test]
fn every_system_has_a_file_and_every_mirror_serves_pip() {
    let files: Vec<MirrorFile> = FILES.iter().map(|file| mirror_file(file.path)).collect();
    for (word, id, version, _) in SYSTEMS {
        assert!(
            files
                .iter()
                .any(|file| system(file).is_some_and(|found| found.0 == id && found.1 == version)),
            "no file for {word}"
        );
    }
    for (group, _) in MIRRORS {
        for kind in [MirrorKind::Apt, MirrorKind::Yum, MirrorKind::Pip] {
            assert!(
                files
                    .iter()
                    .any(|file| file.kind == kind && file.group == group),
                "{group} has no file for {kind}"
            );
        }
    }
    assert_eq!(
        files
            .iter()
            .filter(|file| file.kind == MirrorKind::Conda)
            .count(),
        3
    );
}

#[test]
fn every_file_fits_its_system_and_no_other() {
    for starter in FILES {
        let file = mirror_file(starter.path);
        let own = system(&file);
        for (word, id, version, _) in SYSTEMS {
            let fits = mirror_match::check(&file, &image(id, version), &Catalog::default()).is_ok();
            let expected = match own {
                Some((own_id, own_version, _)) => (own_id, own_version) == (id, version),
                None => matches!(file.kind, MirrorKind::Pip | MirrorKind::Conda),
            };
            assert_eq!(fits, expected, "{} on {word}", starter.path);
        }
        if let Some((.., release)) = own {
            let lines = starter.text.lines().filter(|line| !line.starts_with('#'));
            for line in lines.filter(|line| {
                ["deb ", "Suites:", "baseurl="]
                    .iter()
                    .any(|start| line.starts_with(start))
            }) {
                assert!(line.contains(release), "{}: {line}", starter.path);
            }
        }
    }
}

#[test]
fn every_file_names_its_own_mirror_alone() {
    for starter in FILES {
        let group = mirror_file(starter.path).group;
        let (_, host) = MIRRORS.iter().find(|(name, _)| *name == group).unwrap();
        let addresses = addresses(starter.text);
        assert!(!addresses.is_empty(), "{}", starter.path);
        for address in addresses {
            let (_, rest) = address.split_once("://").unwrap();
            let found = rest.split('/').next().unwrap();
            assert_eq!(found, *host, "{}: {address}", starter.path);
        }
    }
}

#[test]
fn every_file_is_written_as_its_reader_wants_it() {
    for starter in FILES {
        let file = mirror_file(starter.path);
        let lines: Vec<&str> = starter
            .text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert!(starter.text.ends_with('\n'), "{}", starter.path);
        match (file.kind, file.file_name.rsplit_once('.').unwrap().1) {
            (MirrorKind::Apt, "list") => one_line_entries(&lines, starter.path),
            (MirrorKind::Apt, "sources") => stanzas(&lines, starter.path),
            (MirrorKind::Yum, "repo") => sections(
                &lines,
                &["name", "baseurl", "enabled", "gpgcheck", "gpgkey"],
                starter.path,
            ),
            (MirrorKind::Pip, "conf") => {
                assert_eq!(lines[0], "[global]", "{}", starter.path);
                sections(&lines, &["index-url"], starter.path);
            }
            (MirrorKind::Conda, "condarc") => channels(&lines, starter.path),
            other => panic!("{}: {other:?}", starter.path),
        }
    }
}

/// `deb URI SUITE COMPONENT...` (sources.list(5), one-line style).
fn one_line_entries(lines: &[&str], path: &str) {
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(words.len() >= 4, "{path}: {line}");
        assert_eq!(words[0], "deb", "{path}: {line}");
        assert!(words[1].starts_with("http://"), "{path}: {line}");
        assert!(words[1].ends_with('/'), "{path}: {line}");
        assert_eq!(words[3], "main", "{path}: {line}");
    }
}

/// Stanzas of `Field: value` (sources.list(5), deb822 style).
fn stanzas(lines: &[&str], path: &str) {
    for stanza in lines.split(|line| line.is_empty()) {
        let fields: Vec<&str> = stanza
            .iter()
            .map(|line| line.split_once(": ").unwrap().0)
            .collect();
        assert_eq!(
            fields,
            ["Types", "URIs", "Suites", "Components", "Signed-By"],
            "{path}"
        );
    }
}

/// `[section]` and `key = value`, each section with these keys, no section twice.
fn sections(lines: &[&str], keys: &[&str], path: &str) {
    let mut names = BTreeSet::new();
    let text: Vec<&&str> = lines.iter().filter(|line| !line.is_empty()).collect();
    for section in text.chunk_by(|_, line| !line.starts_with('[')) {
        let name = section[0]
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap();
        assert!(names.insert(name), "{path}: {name} twice");
        let found: Vec<&str> = section[1..]
            .iter()
            .map(|line| line.split_once('=').unwrap().0.trim())
            .collect();
        assert_eq!(found, keys, "{path}: {name}");
    }
    assert!(!names.is_empty(), "{path}");
}

/// The few forms of YAML a `.condarc` needs.
fn channels(lines: &[&str], path: &str) {
    let keys: Vec<&str> = lines
        .iter()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split_once(':').unwrap().0)
        .collect();
    assert_eq!(
        keys[..3],
        ["channels", "show_channel_urls", "default_channels"],
        "{path}"
    );
    for line in lines.iter().filter(|line| line.starts_with(' ')) {
        assert!(
            line.starts_with("  - ") || line.starts_with("  conda-forge: https://"),
            "{path}: {line}"
        );
    }
}

#[test]
fn what_is_there_is_left_alone_and_the_rest_laid_down() {
    let base = tempfile::tempdir().unwrap();
    let own = base.path().join("apt/ali/ubuntu-18.04.list");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::write(&own, "mine").unwrap();
    let laid = lay_down(base.path()).unwrap();
    assert_eq!(laid.len(), FILES.len() - 1);
    assert!(!laid.contains(&"apt/ali/ubuntu-18.04.list"));
    assert_eq!(fs::read_to_string(&own).unwrap(), "mine");
    for file in FILES.iter().filter(|file| laid.contains(&file.path)) {
        let path = base.path().join(file.path);
        assert_eq!(fs::read_to_string(path).unwrap(), file.text);
    }
    assert_eq!(lay_down(base.path()).unwrap(), Vec::<&str>::new());
}

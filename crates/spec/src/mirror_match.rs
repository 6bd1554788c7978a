//! Decides by its name whether a mirror file fits a base image. The extension says which package
//! manager reads it; distribution, version and service pack in the name are compared with the
//! image. What a name does not say is not compared.

use crate::{
    catalog::{Catalog, MirrorFile, MirrorKind},
    distro::{Family, RedHatKind},
    failure::{Failure, ReasonCode, Sentence},
    image_spec::PackageManager,
    profile::{self, ImageProfile, OsRelease},
};

/// Distributions by the words files are named after; longer words first.
const WORDS: [(&str, Family); 18] = [
    ("openkylin", Family::Kylin),
    ("neokylin", Family::Kylin),
    ("kylin", Family::Kylin),
    ("ubuntu", Family::Ubuntu),
    ("debian", Family::Debian),
    ("centos", Family::RedHat(RedHatKind::CentOs)),
    ("rockylinux", Family::RedHat(RedHatKind::Rocky)),
    ("rocky", Family::RedHat(RedHatKind::Rocky)),
    ("almalinux", Family::RedHat(RedHatKind::Alma)),
    ("alma", Family::RedHat(RedHatKind::Alma)),
    ("fedora", Family::RedHat(RedHatKind::Fedora)),
    ("redhat", Family::RedHat(RedHatKind::Other)),
    ("rhel", Family::RedHat(RedHatKind::Other)),
    ("epel", Family::RedHat(RedHatKind::Other)),
    ("openeuler", Family::OpenEuler),
    ("anolisos", Family::Anolis),
    ("anolis", Family::Anolis),
    ("alinux", Family::Anolis),
];

/// Releases by the names files use for them.
const CODENAMES: [(&str, Family, &str); 13] = [
    ("trusty", Family::Ubuntu, "14.04"),
    ("xenial", Family::Ubuntu, "16.04"),
    ("bionic", Family::Ubuntu, "18.04"),
    ("focal", Family::Ubuntu, "20.04"),
    ("jammy", Family::Ubuntu, "22.04"),
    ("noble", Family::Ubuntu, "24.04"),
    ("jessie", Family::Debian, "8"),
    ("stretch", Family::Debian, "9"),
    ("buster", Family::Debian, "10"),
    ("bullseye", Family::Debian, "11"),
    ("bookworm", Family::Debian, "12"),
    ("trixie", Family::Debian, "13"),
    ("forky", Family::Debian, "14"),
];

/// Words that may stand between a distribution and its version.
const FILLERS: [&str; 8] = [
    "linux", "stream", "server", "vault", "base", "lts", "os", "v",
];

/// Distributions whose `VERSION_ID` counts as their files' names do; a child that kept only the
/// family counts its own way.
const COUNTING: [&str; 14] = [
    "",
    "alinux",
    "almalinux",
    "anolis",
    "centos",
    "debian",
    "fedora",
    "kylin",
    "ol",
    "openeuler",
    "openkylin",
    "rhel",
    "rocky",
    "ubuntu",
];

/// At most so many files are proposed instead of one that does not fit.
const MAX_PROPOSED: usize = 5;

/// Whether `file` fits the image with `profile`. Names that tell no distribution fit any image
/// with the right package manager; pip's and conda's files fit every image.
///
/// # Errors
/// A `MirrorMismatch` that names files of the catalog which fit.
pub fn check(file: &MirrorFile, profile: &ImageProfile, catalog: &Catalog) -> Result<(), Failure> {
    match misfit(file, profile) {
        None => Ok(()),
        Some(Misfit::Ending(found)) => Err(mismatch(file, profile, &ending_expected(found))),
        Some(Misfit::Name) => {
            let expected = name_expected(&proposed(file, profile, catalog));
            Err(mismatch(file, profile, &expected))
        }
    }
}

/// Why a mirror file does not fit an image.
enum Misfit {
    /// Its ending is for another package manager than the image's.
    Ending(Option<PackageManager>),
    /// Its name tells another system than the image's.
    Name,
}

fn misfit(file: &MirrorFile, profile: &ImageProfile) -> Option<Misfit> {
    let by_kind = match file.kind {
        MirrorKind::Pip | MirrorKind::Conda => return None,
        MirrorKind::Apt => PackageManager::Apt,
        MirrorKind::Yum => PackageManager::Yum,
    };
    let needed = by_ending(&file.file_name).unwrap_or(by_kind);
    let found = profile.package_manager.as_ref().map(|manager| manager.kind);
    if found != Some(needed) || needed != by_kind {
        return Some(Misfit::Ending(found));
    }
    let (family, version) = named(&file.file_name)?;
    let pack = service_pack(&file.file_name);
    let family_fits = family_fits(family, profile.family());
    let version_fits = version.as_deref().is_none_or(|version| {
        !COUNTING.contains(&profile.os.id.as_str()) || version_fits(version, &profile.os)
    });
    let pack_fits = pack.is_none_or(|pack| {
        image_service_pack(family, &profile.os).is_none_or(|found| found == pack)
    });
    (!(family_fits && version_fits && pack_fits)).then_some(Misfit::Name)
}

/// The files of the catalog that fit the image: those of the same group first, and those that name its system
/// before those that name none.
fn proposed<'a>(
    file: &MirrorFile,
    profile: &ImageProfile,
    catalog: &'a Catalog,
) -> Vec<&'a MirrorFile> {
    let fits = |other: &&MirrorFile| other.kind == file.kind && misfit(other, profile).is_none();
    let mut files: Vec<&MirrorFile> = catalog.mirrors.iter().filter(fits).collect();
    files.sort_by_key(|other| (other.group != file.group, named(&other.file_name).is_none()));
    files.truncate(MAX_PROPOSED);
    files
}

fn mismatch(file: &MirrorFile, profile: &ImageProfile, expected: &Sentence) -> Failure {
    let os = profile::os(&profile.os);
    let name = &file.file_name;
    Failure::new(
        ReasonCode::MirrorMismatch,
        format!(
            "镜像操作系统{}:{}版本与配置的包管理源文件名称不匹配: {name}，{}。",
            os.name, os.version, expected.zh
        ),
        format!(
            "The mirror file {name} does not fit the image's system {} {}: {}.",
            os.name, os.version, expected.en
        ),
    )
    .with_culprit(format!("{}/{name}", file.group))
}

fn ending_expected(found: Option<PackageManager>) -> Sentence {
    match found {
        Some(PackageManager::Apt) => Sentence::new(
            "该镜像使用 apt，应选择以 .list 或 .sources 结尾的源文件",
            "the image has apt, which reads files that end in .list or .sources",
        ),
        Some(PackageManager::Yum) => Sentence::new(
            "该镜像使用 yum，应选择以 .repo 结尾的源文件",
            "the image has yum, which reads files that end in .repo",
        ),
        None => Sentence::new(
            "该镜像没有 apt 或 yum，应将源留空",
            "the image has neither apt nor yum, so no mirror can be chosen for it",
        ),
    }
}

fn name_expected(proposed: &[&MirrorFile]) -> Sentence {
    if proposed.is_empty() {
        return Sentence::new(
            "目录中没有适用于该系统的源文件，请管理员上传，或将源留空",
            "the catalog has no file for this system; ask the operator to upload one, or choose none",
        );
    }
    let names = |between: &str| {
        let names = proposed
            .iter()
            .map(|file| format!("{}/{}", file.group, file.file_name));
        names.collect::<Vec<_>>().join(between)
    };
    Sentence::new(
        format!("可选择适用于该系统的源文件：{}", names("、")),
        format!("choose a file for this system: {}", names(", ")),
    )
}

fn by_ending(file_name: &str) -> Option<PackageManager> {
    let (_, ending) = file_name.rsplit_once('.')?;
    match ending.to_ascii_lowercase().as_str() {
        "list" | "sources" => Some(PackageManager::Apt),
        "repo" => Some(PackageManager::Yum),
        _ => None,
    }
}

/// The distribution and the version a file's name tells.
fn named(file_name: &str) -> Option<(Family, Option<String>)> {
    let name = file_name.to_lowercase();
    let name = name
        .rsplit_once('.')
        .map_or(name.as_str(), |(stem, _)| stem);
    let codename = CODENAMES.iter().find(|(word, ..)| {
        name.split(|c: char| !c.is_ascii_alphanumeric())
            .any(|part| part == *word)
    });
    if let Some((_, family, version)) = codename {
        return Some((*family, Some((*version).to_owned())));
    }
    let (family, rest) = WORDS.iter().find_map(|(word, family)| {
        let start = name.find(word)?;
        Some((*family, &name[start + word.len()..]))
    })?;
    Some((family, version_after(rest, family)))
}

/// The version right behind a distribution's word: `-18.04`, `7-base-163`, `-stream-9`. The 163 of
/// the mirror of that name is none.
fn version_after(rest: &str, family: Family) -> Option<String> {
    let mut rest = rest;
    loop {
        rest = rest.trim_start_matches(['-', '_', '.', ' ']);
        match FILLERS.iter().find_map(|filler| rest.strip_prefix(filler)) {
            Some(after) => rest = after,
            None => break,
        }
    }
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let version = rest[..end].trim_matches('.');
    match version {
        "" | "163" => None,
        // `ubuntu-2004` is 20.04, `centos-79` stays what it is.
        digits if family == Family::Ubuntu && digits.len() == 4 && !digits.contains('.') => {
            Some(format!("{}.{}", &digits[..2], &digits[2..]))
        }
        version => Some(version.to_owned()),
    }
}

/// Red Hat's rebuilds share packages with Red Hat itself, not its mirrors with each other.
fn family_fits(file: Family, image: Family) -> bool {
    match (file, image) {
        (Family::RedHat(file), Family::RedHat(image)) => {
            file == image || file == RedHatKind::Other || image == RedHatKind::Other
        }
        (file, image) => file == image,
    }
}

/// Whether two versions agree as far as both go: `8` with `8.5`, `7.9.2009` with `7`.
fn version_fits(version: &str, os: &OsRelease) -> bool {
    let wanted = numbers(version);
    let agrees = |text: &str| {
        let found = numbers(text);
        wanted.iter().zip(&found).all(|(one, other)| one == other)
    };
    agrees(&os.version_id) && agrees(&os.release_line)
}

/// The service pack that a text names, such as the 1 of `22.03-LTS-SP1`.
fn service_pack(text: &str) -> Option<u32> {
    let text = text.to_ascii_lowercase();
    text.match_indices("sp").find_map(|(start, word)| {
        let inside_a_word = text[..start].ends_with(|c: char| c.is_alphabetic());
        let rest = &text[start + word.len()..];
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest[..end].parse().ok().filter(|_| !inside_a_word)
    })
}

/// The service pack of an image; `None` where it does not tell, as Kylin's, which have code names
/// instead. openEuler's releases without one say `LTS` alone.
fn image_service_pack(family: Family, os: &OsRelease) -> Option<u32> {
    let texts = [&os.version, &os.release_line];
    let named = texts.iter().find_map(|text| service_pack(text));
    let first = family == Family::OpenEuler && texts.iter().any(|text| text.contains("LTS"));
    named.or(first.then_some(0))
}

/// The numbers of the first dotted number in a text.
fn numbers(text: &str) -> Vec<u32> {
    let start = text
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(text.len());
    let text = &text[start..];
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    text[..end]
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
#[path = "mirror_match_tests.rs"]
mod tests;

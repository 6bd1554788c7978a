//! What a document wants installed: a Python, system packages, pip and conda packages, and the
//! mirrors they come from.

use serde_json::Value;

use super::super::{
    reader::{Place, Reader},
    requirements::{self, Environment},
};
use crate::{
    catalog::{MirrorFile, MirrorKind, ToolFile, ToolKind},
    failure::Sentence,
    image_spec::{CondaSpec, PackageManager, PipSpec, PythonSpec, SystemPackage, SystemSpec},
    names::{
        NameError, parse_debian_package, parse_debian_version, parse_file_name,
        parse_install_location, parse_match_spec, parse_requirement, parse_rpm_package,
        parse_rpm_version,
    },
};

const PYTHON_LOCATION: &str = "/usr/local/dros/python";

/// A Python of the catalog: its file's name, or an object with `file` and `location`.
pub(super) fn python(reader: &mut Reader, place: &Place<'_>) -> Option<PythonSpec> {
    let value = place.value?;
    let (file_place, location_place) = if value.is_string() {
        (place.clone(), place.field("location"))
    } else {
        let object = reader.object(place);
        reader.only(&object, &["file", "location"]);
        object.value?;
        (object.field("file"), object.field("location"))
    };
    let file = tool(
        reader,
        &file_place,
        |name| {
            [".tgz", ".tar.gz", ".tar.xz"]
                .iter()
                .any(|end| name.ends_with(end))
        },
        &Sentence::new(
            "应为 Python 源码包或预编译包的文件名，以 .tgz、.tar.gz 或 .tar.xz 结尾，例如 Python-3.8.10.tgz",
            "must be the name of a Python source or prebuilt archive that ends in .tgz, .tar.gz \
             or .tar.xz, such as Python-3.8.10.tgz",
        ),
    );
    let location = match reader.text(&location_place) {
        text if text.is_empty() => PYTHON_LOCATION.to_owned(),
        text => text,
    };
    let parsed = parse_install_location(&location);
    let install_location = reader.parsed(&location_place, &location, parsed)?;
    Some(PythonSpec {
        tool: ToolFile {
            kind: ToolKind::Python,
            file_name: file?,
        },
        install_location,
    })
}

/// System packages: a list, or an object with `manager` and `packages`.
pub(super) fn system(reader: &mut Reader, place: &Place<'_>, mirror: &Place<'_>) -> SystemSpec {
    let is_list = place.value.is_some_and(Value::is_array);
    let (manager_place, packages_place) = if is_list {
        (
            Place {
                pointer: place.pointer.clone(),
                value: None,
            },
            place.clone(),
        )
    } else {
        let object = reader.object(place);
        reader.only(&object, &["manager", "packages"]);
        (object.field("manager"), object.field("packages"))
    };
    let manager = match reader.text(&manager_place).as_str() {
        "" => None,
        "apt" => Some(PackageManager::Apt),
        "yum" | "dnf" => Some(PackageManager::Yum),
        other => {
            let allowed = Sentence::new("应为 apt、yum 或留空", "must be apt, yum or left out");
            reader.refuse(&manager_place, other, allowed);
            None
        }
    };
    let mut packages = Vec::new();
    for item in reader.items(&packages_place) {
        let Some((name, version)) = name_and_version(reader, &item, '=') else {
            continue;
        };
        let parsed = match manager {
            Some(PackageManager::Apt) => apt_package(&name, &version),
            Some(PackageManager::Yum) => yum_package(&name, &version),
            None => apt_package(&name, &version)
                .or_else(|refused| yum_package(&name, &version).map_err(|_| refused)),
        };
        packages.extend(reader.parsed(&item, &written(&name, &version, "="), parsed));
    }
    let mirror = mirror_file(reader, mirror, |file_name| match manager {
        Some(PackageManager::Apt) => Some(MirrorKind::Apt),
        Some(PackageManager::Yum) => Some(MirrorKind::Yum),
        None if [".list", ".sources"]
            .iter()
            .any(|end| file_name.ends_with(end)) =>
        {
            Some(MirrorKind::Apt)
        }
        None if ends_with_any(file_name, &[".repo"]) => Some(MirrorKind::Yum),
        None => None,
    });
    SystemSpec {
        manager,
        mirror,
        packages,
    }
}

/// pip packages: a list, or an object with `packages`, `requirements` (the text of a
/// requirements.txt), `install`, which installs pip itself, and `uv`, whether uv may take its place.
pub(super) fn pip(reader: &mut Reader, place: &Place<'_>, mirror: &Place<'_>) -> PipSpec {
    let mirror = mirror_file(reader, mirror, |_| Some(MirrorKind::Pip));
    let mut packages = Vec::new();
    let mut get_pip = false;
    let mut uv = None;
    let packages_place = if place.value.is_some_and(Value::is_array) {
        place.clone()
    } else {
        let object = reader.object(place);
        reader.only(&object, &["packages", "requirements", "install", "uv"]);
        get_pip = reader.flag(&object.field("install"));
        uv = reader.choice(&object.field("uv"));
        let text_place = object.field("requirements");
        if let Some(text) = text_place.value.and_then(Value::as_str) {
            packages = requirements::requirements(reader, &text_place, text);
        } else {
            reader.text(&text_place);
        }
        object.field("packages")
    };
    for item in reader.items(&packages_place) {
        let Some((name, version)) = name_and_version(reader, &item, '\0') else {
            continue;
        };
        let parsed = parse_requirement(&name, &version);
        packages.extend(reader.parsed(&item, &written(&name, &version, " "), parsed));
    }
    PipSpec {
        get_pip,
        mirror,
        requirements: packages,
        uv,
    }
}

/// conda packages: a list, or an object with `packages`, `environment` (the text of an
/// environment.yml), `installer`, and `micromamba`, whether that may take conda's place. Beside it what else the
/// environment wants.
pub(super) fn conda(
    reader: &mut Reader,
    place: &Place<'_>,
    mirror: &Place<'_>,
) -> (CondaSpec, Environment) {
    let mirror = mirror_file(reader, mirror, |_| Some(MirrorKind::Conda));
    let mut environment = Environment::default();
    let mut installer = None;
    let mut micromamba = None;
    let packages_place = if place.value.is_some_and(Value::is_array) {
        place.clone()
    } else {
        let object = reader.object(place);
        let fields = ["installer", "packages", "environment", "micromamba"];
        reader.only(&object, &fields);
        micromamba = reader.choice(&object.field("micromamba"));
        let installer_place = object.field("installer");
        if installer_place.is_given() {
            installer = tool(
                reader,
                &installer_place,
                |name| {
                    ends_with_any(name, &[".sh"])
                        && ["Miniconda3-", "Anaconda3-", "Miniforge3-"]
                            .iter()
                            .any(|start| name.starts_with(start))
                },
                &Sentence::new(
                    "应为 Miniconda3-*.sh、Anaconda3-*.sh 或 Miniforge3-*.sh 的文件名",
                    "must be the name of a Miniconda3-*.sh, Anaconda3-*.sh or Miniforge3-*.sh",
                ),
            );
        }
        let text_place = object.field("environment");
        if let Some(text) = text_place.value.and_then(Value::as_str) {
            environment = requirements::environment(reader, &text_place, text);
        } else {
            reader.text(&text_place);
        }
        object.field("packages")
    };
    let mut packages = std::mem::take(&mut environment.conda);
    for item in reader.items(&packages_place) {
        let Some((name, version)) = name_and_version(reader, &item, '\0') else {
            continue;
        };
        let parsed = parse_match_spec(&name, &version);
        packages.extend(reader.parsed(&item, &written(&name, &version, " "), parsed));
    }
    let spec = CondaSpec {
        installer: installer.map(|file_name| ToolFile {
            kind: ToolKind::Conda,
            file_name,
        }),
        mirror,
        packages,
        micromamba,
    };
    (spec, environment)
}

/// A package as `name`, as `name<separator>version`, or as an object with both.
fn name_and_version(
    reader: &mut Reader,
    place: &Place<'_>,
    separator: char,
) -> Option<(String, String)> {
    if place.value.is_some_and(Value::is_object) {
        reader.only(place, &["name", "version"]);
        let name = reader.text_once(&place.field("name"))?;
        let version = reader.text(&place.field("version"));
        return Some((name, version));
    }
    let text = reader.text_once(place)?;
    let (name, version) = text.split_once(separator).unwrap_or((&text, ""));
    Some((name.trim().to_owned(), version.trim().to_owned()))
}

fn written(name: &str, version: &str, separator: &str) -> String {
    if version.is_empty() {
        name.to_owned()
    } else {
        format!("{name}{separator}{version}")
    }
}

fn apt_package(name: &str, version: &str) -> Result<SystemPackage, NameError> {
    Ok(SystemPackage {
        name: parse_debian_package(name)?,
        version: (!version.is_empty())
            .then(|| parse_debian_version(version))
            .transpose()?,
    })
}

fn yum_package(name: &str, version: &str) -> Result<SystemPackage, NameError> {
    let name = parse_rpm_package(name)?;
    if name.starts_with('@') && !version.is_empty() {
        return Err(NameError {
            allowed: Sentence::new(
                "是软件包组，不能带版本",
                "must have no version, as it is a group",
            ),
        });
    }
    Ok(SystemPackage {
        name,
        version: (!version.is_empty())
            .then(|| parse_rpm_version(version))
            .transpose()?,
    })
}

/// A mirror file, `group/file`.
fn mirror_file(
    reader: &mut Reader,
    place: &Place<'_>,
    kind: impl Fn(&str) -> Option<MirrorKind>,
) -> Option<MirrorFile> {
    if !place.is_given() {
        return None;
    }
    let text = reader.text_once(place)?;
    let parsed = text.split_once('/').and_then(|(group, file_name)| {
        Some(MirrorFile {
            kind: kind(file_name)?,
            group: parse_file_name(group).ok()?,
            file_name: parse_file_name(file_name).ok()?,
        })
    });
    if parsed.is_none() {
        reader.refuse(
            place,
            &text,
            Sentence::new(
                "应为 分组/文件名，例如 ali/ubuntu-18.04.list；未写明 manager 时 apt 的文件以 .list 或 .sources 结尾，yum 的以 .repo 结尾",
                "must be group/file such as ali/ubuntu-18.04.list; without a manager, a file of \
                 apt ends in .list or .sources, one of yum in .repo",
            ),
        );
    }
    parsed
}

/// The name of a tool file that `fits`.
fn tool(
    reader: &mut Reader,
    place: &Place<'_>,
    fits: impl Fn(&str) -> bool,
    allowed: &Sentence,
) -> Option<String> {
    let text = reader.text_once(place)?;
    let parsed = parse_file_name(&text).ok().filter(|name| fits(name));
    if parsed.is_none() {
        reader.refuse(place, &text, allowed.clone());
    }
    parsed
}

fn ends_with_any(name: &str, ends: &[&str]) -> bool {
    ends.iter().any(|end| name.ends_with(end))
}

//! The installers of a build request: Python, the system's package manager, pip and conda, each
//! with the part of the completed body it stands for.

use serde_json::{Value, json};

use super::{
    fields::{Fields, Node},
    installer_fields::{Install, Installer, Item, Refused},
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

/// Where a Python goes unless the caller says otherwise.
const PYTHON_LOCATION: &str = "/usr/local/dros/python";

/// The Python of `python_env`.
pub(super) fn python(fields: &mut Fields, config: &Node<'_>) -> (Option<PythonSpec>, Value) {
    let node = fields.object(config, "python_env");
    let install = Install::read(fields, &node);
    let location = match install.location.as_str() {
        "" => PYTHON_LOCATION,
        location => location,
    };
    let file = install.wanted.as_deref().and_then(|target| {
        tool(
            fields,
            &node,
            target,
            |name| [".tgz", ".tar.gz", ".tar.xz"].iter().any(|end| name.ends_with(end)),
            &Sentence::new(
                "应为 Python 源码包或预编译包的文件名，以 .tgz、.tar.gz 或 .tar.xz 结尾，例如 Python-3.8.10.tgz",
                "must be the name of a Python source or prebuilt archive that ends in .tgz, \
                 .tar.gz or .tar.xz, such as Python-3.8.10.tgz",
            ),
        )
    });
    // Where nothing is installed, its place does not matter.
    let install_location = install.wanted.as_ref().and_then(|_| {
        fields.parsed(
            node.path("install_loc"),
            location,
            parse_install_location(location),
        )
    });
    let spec = file
        .zip(install_location)
        .map(|(file_name, install_location)| PythonSpec {
            tool: ToolFile {
                kind: ToolKind::Python,
                file_name,
            },
            install_location,
        });
    let completed = json!({
        "present": install.present,
        "update": install.update,
        "target": install.target,
        "install_loc": location,
    });
    (spec, completed)
}

/// The system packages of `package_manager_installer_config`.
pub(super) fn system(fields: &mut Fields, config: &Node<'_>) -> (SystemSpec, Value) {
    let installer = Installer::read(fields, config, "package_manager_installer_config", "");
    let manager = match installer.name.as_str() {
        "apt" => Some(PackageManager::Apt),
        "yum" => Some(PackageManager::Yum),
        other => {
            if !other.is_empty() {
                fields.refuse(
                    installer.node.path("installer_name"),
                    other,
                    Sentence::new("应为 apt、yum 或留空", "must be apt, yum or empty"),
                );
            }
            None
        }
    };
    let mirror = mirror(fields, &installer, |file_name| match manager {
        Some(PackageManager::Apt) => Ok(MirrorKind::Apt),
        Some(PackageManager::Yum) => Ok(MirrorKind::Yum),
        None if ends_with_any(file_name, &[".list", ".sources"]) => Ok(MirrorKind::Apt),
        None if ends_with_any(file_name, &[".repo"]) => Ok(MirrorKind::Yum),
        None => Err(Sentence::new(
            "在 installer_name 留空时应以 .list、.sources（apt）或 .repo（yum）结尾",
            "must end in .list or .sources (apt) or .repo (yum) as long as installer_name is empty",
        )),
    });
    let mut packages = Vec::new();
    for item in &installer.software {
        let parsed = match manager {
            Some(PackageManager::Apt) => apt_package(item),
            Some(PackageManager::Yum) => yum_package(item),
            None => apt_package(item).or_else(|refused| {
                yum_package(item).map_err(|other| match (refused, other) {
                    // Say what both allow only when both refuse the same field.
                    (Refused::Name(apt), Refused::Name(yum)) => Refused::Name(either(&apt, &yum)),
                    (Refused::Version(apt), Refused::Version(yum)) => {
                        Refused::Version(either(&apt, &yum))
                    }
                    (Refused::Version(apt), Refused::Name(_)) => Refused::Version(apt),
                    (Refused::Name(_), version) => version,
                })
            }),
        };
        packages.extend(item.keep(fields, parsed));
    }
    let spec = SystemSpec {
        manager,
        mirror,
        packages,
    };
    (spec, installer.completed)
}

/// pip and its packages, of `pip_installer_config`.
pub(super) fn pip(fields: &mut Fields, config: &Node<'_>) -> (PipSpec, Value) {
    let installer = Installer::read(fields, config, "pip_installer_config", "pip");
    installer.must_be(fields, "pip");
    let get_pip = installer.install.wanted.as_deref().and_then(|target| {
        tool(
            fields,
            &installer.install_node,
            target,
            |name| name == "get-pip.py",
            &Sentence::new("应为 get-pip.py 或留空", "must be get-pip.py or empty"),
        )
    });
    let mirror = mirror(fields, &installer, |_| Ok(MirrorKind::Pip));
    let mut requirements = Vec::new();
    for item in &installer.software {
        let parsed = parse_requirement(&item.name, &item.version)
            .map_err(|error| item.blame(error, |name| parse_requirement(name, "")));
        requirements.extend(item.keep(fields, parsed));
    }
    let uv = fields.flag(&installer.node, "uv");
    let spec = PipSpec {
        get_pip: get_pip.is_some(),
        mirror,
        requirements,
        uv,
    };
    let mut completed = installer.completed;
    if let Some(uv) = uv {
        completed["uv"] = json!(uv);
    }
    (spec, completed)
}

/// conda and its packages, of `conda_installer_config`.
pub(super) fn conda(fields: &mut Fields, config: &Node<'_>) -> (CondaSpec, Value) {
    let installer = Installer::read(fields, config, "conda_installer_config", "conda");
    installer.must_be(fields, "conda");
    let file = installer.install.wanted.as_deref().and_then(|target| {
        tool(
            fields,
            &installer.install_node,
            target,
            |name| {
                ends_with_any(name, &[".sh"])
                    && ["Miniconda3-", "Anaconda3-", "Miniforge3-"]
                        .iter()
                        .any(|start| name.starts_with(start))
            },
            &Sentence::new(
                "应为 Miniconda3-*.sh、Anaconda3-*.sh 或 Miniforge3-*.sh 的文件名，或留空",
                "must be the name of a Miniconda3-*.sh, Anaconda3-*.sh or Miniforge3-*.sh, or empty",
            ),
        )
    });
    let mirror = mirror(fields, &installer, |_| Ok(MirrorKind::Conda));
    let mut packages = Vec::new();
    for item in &installer.software {
        let parsed = parse_match_spec(&item.name, &item.version)
            .map_err(|error| item.blame(error, |name| parse_match_spec(name, "")));
        packages.extend(item.keep(fields, parsed));
    }
    let micromamba = fields.flag(&installer.node, "micromamba");
    let spec = CondaSpec {
        installer: file.map(|file_name| ToolFile {
            kind: ToolKind::Conda,
            file_name,
        }),
        mirror,
        packages,
        micromamba,
    };
    let mut completed = installer.completed;
    if let Some(micromamba) = micromamba {
        completed["micromamba"] = json!(micromamba);
    }
    (spec, completed)
}

fn apt_package(item: &Item) -> Result<SystemPackage, Refused> {
    Ok(SystemPackage {
        name: parse_debian_package(&item.name).map_err(Refused::Name)?,
        version: item.version(parse_debian_version)?,
    })
}

fn yum_package(item: &Item) -> Result<SystemPackage, Refused> {
    let name = parse_rpm_package(&item.name).map_err(Refused::Name)?;
    if name.starts_with('@') && !item.version.is_empty() {
        return Err(Refused::Version(NameError {
            allowed: Sentence::new("对软件包组应留空", "must be empty for a group"),
        }));
    }
    Ok(SystemPackage {
        name,
        version: item.version(parse_rpm_version)?,
    })
}

fn either(one: &NameError, other: &NameError) -> NameError {
    NameError {
        allowed: Sentence::new(
            format!("{}；或{}", one.allowed.zh, other.allowed.zh),
            format!("{}; or {}", one.allowed.en, other.allowed.en),
        ),
    }
}

/// The mirror file of a `source` part: group and file name, both or none.
fn mirror(
    fields: &mut Fields,
    installer: &Installer<'_>,
    kind: impl Fn(&str) -> Result<MirrorKind, Sentence>,
) -> Option<MirrorFile> {
    let (group, file_name) = (installer.group.as_str(), installer.file_name.as_str());
    let (group_path, file_path) = (
        installer.source.path("type"),
        installer.source.path("file_name"),
    );
    match (group.is_empty(), file_name.is_empty()) {
        (true, true) => return None,
        (false, false) => {}
        (missing_group, _) => {
            let path = if missing_group { group_path } else { file_path };
            let allowed = Sentence::new(
                "缺失：source 的 type 和 file_name 应同时给出或同时留空",
                "is missing: a source has both type and file_name, or neither",
            );
            // A field of another type has been refused already.
            let key = if missing_group { "type" } else { "file_name" };
            if installer.source.get(key).is_none_or(Value::is_string) {
                fields.refuse(path, "", allowed);
            }
            return None;
        }
    }
    let parsed_group = fields.parsed(group_path, group, parse_file_name(group));
    let parsed_name = fields.parsed(file_path.as_str(), file_name, parse_file_name(file_name));
    let (group, file_name) = parsed_group.zip(parsed_name)?;
    match kind(&file_name) {
        Ok(kind) => Some(MirrorFile {
            kind,
            group,
            file_name,
        }),
        Err(allowed) => {
            fields.refuse(file_path, &file_name, allowed);
            None
        }
    }
}

/// The name of a tool file that `fits`.
fn tool(
    fields: &mut Fields,
    node: &Node<'_>,
    target: &str,
    fits: impl Fn(&str) -> bool,
    allowed: &Sentence,
) -> Option<String> {
    let parsed = parse_file_name(target).ok().filter(|name| fits(name));
    if parsed.is_none() {
        fields.refuse(node.path("target"), target, allowed.clone());
    }
    parsed
}

fn ends_with_any(name: &str, ends: &[&str]) -> bool {
    ends.iter().any(|end| name.ends_with(end))
}

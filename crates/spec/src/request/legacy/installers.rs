//! The installers of a build request: Python, the system's package manager, pip and conda, each
//! with the part of the completed body it stands for.

use serde_json::{Value, json};

use super::{
    super::{
        files::{self, MirrorRefused},
        reader::{Place, Reader},
        rules,
    },
    installer_fields::{Install, Installer},
};
use crate::{
    catalog::{MirrorFile, MirrorKind},
    failure::Sentence,
    image_spec::{CondaChannels, CondaSpec, PackageManager, PipSpec, PythonSpec, SystemSpec},
    names::NameError,
    requirements::RequirementSet,
};

/// The Python of `python_env`.
pub(super) fn python(reader: &mut Reader, config: &Place<'_>) -> (Option<PythonSpec>, Value) {
    let place = reader.object(&config.field("python_env"));
    let install = Install::read(reader, &place);
    let location = match install.location.as_str() {
        "" => rules::PYTHON_LOCATION,
        location => location,
    };
    // Where nothing is installed, its place does not matter.
    let spec = install.wanted.as_deref().and_then(|file_name| {
        rules::python(
            reader,
            (&place.field("target"), file_name),
            (&place.field("install_loc"), location),
        )
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
pub(super) fn system(reader: &mut Reader, config: &Place<'_>) -> (SystemSpec, Value) {
    let place = config.field("package_manager_installer_config");
    let installer = Installer::read(reader, &place, "");
    let manager = match installer.name.as_str() {
        "apt" => Some(PackageManager::Apt),
        "yum" => Some(PackageManager::Yum),
        "" => None,
        other => {
            let allowed = Sentence::new("应为 apt、yum 或留空", "must be apt, yum or empty");
            reader.refuse(&installer.place.field("installer_name"), other, allowed);
            None
        }
    };
    let spec = SystemSpec {
        manager,
        mirror: mirror(reader, &installer, |name| {
            files::system_mirror_kind(manager, name)
        }),
        packages: installer
            .software
            .iter()
            .filter_map(|package| package.system(reader, manager))
            .collect(),
    };
    (spec, installer.completed)
}

/// pip and its packages, of `pip_installer_config`.
pub(super) fn pip(reader: &mut Reader, config: &Place<'_>) -> (PipSpec, Value) {
    let place = config.field("pip_installer_config");
    let mut installer = Installer::read(reader, &place, "pip");
    installer.must_be(reader, "pip");
    let get_pip = match installer.install.wanted.as_deref() {
        None => false,
        Some("get-pip.py") => true,
        Some(other) => {
            let allowed = Sentence::new("应为 get-pip.py 或留空", "must be get-pip.py or empty");
            reader.refuse(&installer.install_place.field("target"), other, allowed);
            false
        }
    };
    let mirror = mirror(reader, &installer, |_| Ok(MirrorKind::Pip));
    let requirements = installer
        .software
        .iter()
        .filter_map(|package| package.requirement(reader))
        .collect();
    let uv = reader.choice(&installer.place.field("uv"));
    if let Some(uv) = uv {
        installer.completed["uv"] = json!(uv);
    }
    let spec = PipSpec {
        get_pip,
        mirror,
        requirements,
        files: RequirementSet::default(),
        uv,
    };
    (spec, installer.completed)
}

/// conda and its packages, of `conda_installer_config`.
pub(super) fn conda(reader: &mut Reader, config: &Place<'_>) -> (CondaSpec, Value) {
    let place = config.field("conda_installer_config");
    let mut installer = Installer::read(reader, &place, "conda");
    installer.must_be(reader, "conda");
    let tool = installer.install.wanted.as_deref().and_then(|file_name| {
        let parsed = files::conda_installer(file_name);
        reader.parsed(&installer.install_place.field("target"), file_name, parsed)
    });
    let mirror = mirror(reader, &installer, |_| Ok(MirrorKind::Conda));
    let packages = installer
        .software
        .iter()
        .filter_map(|package| package.match_spec(reader))
        .collect();
    let micromamba = reader.choice(&installer.place.field("micromamba"));
    if let Some(micromamba) = micromamba {
        installer.completed["micromamba"] = json!(micromamba);
    }
    let spec = CondaSpec {
        installer: tool,
        mirror,
        packages,
        micromamba,
        channels: CondaChannels::default(),
        pip: Vec::new(),
    };
    (spec, installer.completed)
}

/// The mirror file of a `source` part: group (`type`) and `file_name`, both or neither.
fn mirror(
    reader: &mut Reader,
    installer: &Installer<'_>,
    kind: impl FnOnce(&str) -> Result<MirrorKind, NameError>,
) -> Option<MirrorFile> {
    let (group, file_name) = (installer.group.as_str(), installer.file_name.as_str());
    let group_place = installer.source.field("type");
    let file_place = installer.source.field("file_name");
    match (group.is_empty(), file_name.is_empty()) {
        (true, true) => None,
        (false, false) => match files::mirror(group, file_name, kind) {
            Ok(mirror) => Some(mirror),
            Err(MirrorRefused::Group(error)) => {
                reader.refuse(&group_place, group, error.allowed);
                None
            }
            Err(MirrorRefused::FileName(error)) => {
                reader.refuse(&file_place, file_name, error.allowed);
                None
            }
        },
        (group_is_missing, _) => {
            let missing = if group_is_missing {
                group_place
            } else {
                file_place
            };
            // A value of another type has been refused already.
            if missing.value.is_none_or(Value::is_string) {
                let allowed = Sentence::new(
                    "缺失：source 的 type 和 file_name 应同时给出或同时留空",
                    "is missing: a source has both type and file_name, or neither",
                );
                reader.refuse(&missing, "", allowed);
            }
            None
        }
    }
}

//! What a document wants installed: a Python, system packages, pip and conda packages, and the
//! mirrors they come from.

use serde_json::Value;

use super::super::{
    environment::{self, Environment},
    files::{self, MirrorRefused},
    packages::{Package, Written},
    reader::{Place, Reader},
    rules,
};
use crate::{
    catalog::{MirrorFile, MirrorKind},
    failure::Sentence,
    image_spec::{CondaSpec, PackageManager, PythonSpec, SystemSpec},
    names::NameError,
};

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
    let location = reader.text(&location_place);
    let file = reader.text_once(&file_place)?;
    rules::python(reader, (&file_place, &file), (&location_place, &location))
}

/// System packages: a list, or an object with `manager` and `packages`.
pub(super) fn system(reader: &mut Reader, place: &Place<'_>, mirror: &Place<'_>) -> SystemSpec {
    let (object, packages) = list_or_object(reader, place, &["manager", "packages"]);
    let manager_place = object.field("manager");
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
    SystemSpec {
        manager,
        mirror: mirror_file(reader, mirror, |name| {
            files::system_mirror_kind(manager, name)
        }),
        packages: packages_of(reader, &packages, Some('='), |reader, package| {
            package.system(reader, manager)
        }),
    }
}

/// conda packages: a list, or an object with `packages`, `environment` (the text of an
/// environment.yml), `installer` and `micromamba` (whether that may install them). Beside it what
/// else the environment wants.
pub(super) fn conda(
    reader: &mut Reader,
    place: &Place<'_>,
    mirror: &Place<'_>,
) -> (CondaSpec, Environment) {
    let known = ["installer", "packages", "environment", "micromamba"];
    let (object, packages_place) = list_or_object(reader, place, &known);
    let mirror = mirror_file(reader, mirror, |_| Ok(MirrorKind::Conda));
    let installer_place = object.field("installer");
    let installer = installer_place
        .is_given()
        .then(|| reader.text_once(&installer_place))
        .flatten()
        .and_then(|name| {
            let parsed = files::conda_installer(&name);
            reader.parsed(&installer_place, &name, parsed)
        });
    let text_place = object.field("environment");
    let text = reader.verbatim(&text_place);
    let mut environment = if text.is_empty() {
        Environment::default()
    } else {
        environment::environment(reader, &text_place, &text)
    };
    let mut packages = std::mem::take(&mut environment.conda);
    packages.extend(packages_of(
        reader,
        &packages_place,
        None,
        |reader, package| package.match_spec(reader),
    ));
    let spec = CondaSpec {
        installer,
        mirror,
        packages,
        channels: std::mem::take(&mut environment.channels),
        pip: std::mem::take(&mut environment.pip),
        micromamba: reader.choice(&object.field("micromamba")),
    };
    (spec, environment)
}

/// A place that holds a list of packages, or an object with `packages` and other `known` fields:
/// the object and the place of the list.
pub(super) fn list_or_object<'body>(
    reader: &mut Reader,
    place: &Place<'body>,
    known: &[&str],
) -> (Place<'body>, Place<'body>) {
    if place.value.is_some_and(Value::is_array) {
        return (place.emptied(), place.clone());
    }
    let object = reader.object(place);
    reader.only(&object, known);
    let packages = object.field("packages");
    (object, packages)
}

/// The packages of a list, as far as `parse` takes them.
pub(super) fn packages_of<T>(
    reader: &mut Reader,
    place: &Place<'_>,
    separator: Option<char>,
    parse: impl Fn(&mut Reader, &Package<'_>) -> Option<T>,
) -> Vec<T> {
    let mut packages = Vec::new();
    for item in reader.items(place) {
        if let Some(package) = package(reader, item, separator) {
            packages.extend(parse(reader, &package));
        }
    }
    packages
}

/// A package as `name`, as `name<separator>version`, or as an object with both.
fn package<'body>(
    reader: &mut Reader,
    place: Place<'body>,
    separator: Option<char>,
) -> Option<Package<'body>> {
    if place.value.is_some_and(Value::is_object) {
        reader.only(&place, &["name", "version"]);
        let (name_place, version_place) = (place.field("name"), place.field("version"));
        return Some(Package {
            name: reader.text_once(&name_place)?.trim().to_owned(),
            version: reader.text(&version_place),
            written: Written::Apart {
                name: name_place,
                version: version_place,
            },
        });
    }
    let text = reader.text_once(&place)?;
    let (name, version) = separator
        .and_then(|separator| text.split_once(separator))
        .unwrap_or((&text, ""));
    Some(Package {
        name: name.trim().to_owned(),
        version: version.trim().to_owned(),
        written: Written::Whole(place, text),
    })
}

/// A mirror file, written as `group/file`.
pub(super) fn mirror_file(
    reader: &mut Reader,
    place: &Place<'_>,
    kind: impl FnOnce(&str) -> Result<MirrorKind, NameError>,
) -> Option<MirrorFile> {
    if !place.is_given() {
        return None;
    }
    let text = reader.text_once(place)?;
    let parsed = match text.split_once('/') {
        Some((group, file_name)) => {
            files::mirror(group, file_name, kind).map_err(MirrorRefused::into_inner)
        }
        None => Err(NameError::new(
            "应为 分组/文件名，例如 ali/ubuntu-18.04.list",
            "must be group/file, such as ali/ubuntu-18.04.list",
        )),
    };
    reader.parsed(place, &text, parsed)
}

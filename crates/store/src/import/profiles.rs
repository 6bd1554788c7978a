//! Check results: JSON with marks of the Python classes it came from, as far as a profile can
//! hold them. They are shown, never planned with: they lack what a plan needs to know.

use std::collections::HashSet;

use fastbuild_spec::{
    image_spec::PackageManager,
    profile::{
        CommandFound, CondaFound, ImageConfig, ImageProfile, OsRelease, PackageManagerFound,
    },
};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::Value;

use super::{
    Fate, Importer, TableReport,
    images::image_id,
    newest_of_each,
    source::{OldDatabase, OldRow, shown},
};
use crate::{StoreError, builds::to_json, db::time::micros, entity::profile};

const TABLE: &str = "fb_image_check_result_table";

pub(super) async fn import(
    importer: &mut Importer<'_>,
    source: &OldDatabase,
) -> Result<TableReport, StoreError> {
    let rows = source.rows(TABLE).await?;
    let mut report = TableReport::new(TABLE, "check results", rows.is_some());
    let rows = rows.unwrap_or_default();
    let newest = newest_of_each(&rows, |row| {
        Some(["image_id", "image_name"].map(|column| row.text(column).to_owned()))
    });
    for row in &rows {
        if importer.has(TABLE, row) {
            report.already += 1;
            continue;
        }
        let fate = take(importer, row, &newest).await?;
        importer.settle(&mut report, row, fate).await?;
    }
    Ok(report)
}

async fn take(
    importer: &Importer<'_>,
    row: &OldRow,
    newest: &HashSet<i64>,
) -> Result<Fate, StoreError> {
    let mut remarks = Vec::new();
    let read = || -> Result<_, String> {
        let image_name = row.needed("image_name")?;
        let image_id = image_id(row.needed("image_id")?);
        if !newest.contains(&row.id()) {
            return Err("a newer row tells of the same image".to_owned());
        }
        let text = row.needed("result")?;
        let result: Value = serde_json::from_str(text)
            .map_err(|error| format!("result is no JSON ({error}): {}", shown(text)))?;
        if !result.is_object() {
            return Err(format!("result is no JSON object: {}", shown(text)));
        }
        let times = row.times(importer.zone, &mut remarks)?;
        Ok((image_name, profile_of(&image_id, &result), times))
    };
    let mut read = read;
    let (image_name, found, (created, updated)) = match read() {
        Ok(read) => read,
        Err(reason) => return Ok(Err(reason)),
    };
    let there = profile::Entity::find()
        .filter(profile::Column::ImageId.eq(found.image_id.as_str()))
        .filter(profile::Column::ImageName.eq(image_name))
        .one(importer.tx)
        .await?;
    if there.is_some() {
        return Ok(Err(
            "a check result of this image is there already".to_owned()
        ));
    }
    profile::Entity::insert(profile::ActiveModel {
        image_id: Set(found.image_id.clone()),
        image_name: Set(image_name.to_owned()),
        profile: Set(to_json("profile", &found)?),
        created_at: Set(micros(created)),
        updated_at: Set(micros(updated)),
        imported: Set(true),
        ..Default::default()
    })
    .exec_without_returning(importer.tx)
    .await?;
    Ok(Ok(remarks))
}

/// What a check result says. Its marks (`py/object`) are left out by asking for what is known.
fn profile_of(image_id: &str, result: &Value) -> ImageProfile {
    let available = |part: &str| result[part]["available"].as_bool().unwrap_or_default();
    let version = |part: &str| text(&result[part]["version"]);
    let os_name = text(&result["os"]["name"]);
    let manager = match text(&result["package_manager"]["name"]).as_str() {
        "apt" => Some(PackageManager::Apt),
        "yum" => Some(PackageManager::Yum),
        _ => None,
    };
    ImageProfile {
        image_id: image_id.to_owned(),
        size: 0,
        architecture: String::new(),
        config: ImageConfig::default(),
        kernel: version("kernel"),
        os: OsRelease {
            id: os_name.to_lowercase(),
            id_like: Vec::new(),
            version_id: version_id(&version("os")),
            version: version("os"),
            codename: String::new(),
            release_line: if os_name.eq_ignore_ascii_case("centos") {
                version("os")
            } else {
                String::new()
            },
            name: os_name,
        },
        package_manager: manager
            .filter(|_| available("package_manager"))
            .map(|kind| PackageManagerFound {
                kind,
                has_dnf: false,
                version: version("package_manager"),
                mirrors: texts(&result["package_manager"]["source"]),
            }),
        pythons: commands(&result["python"]["version"]),
        externally_managed: false,
        has_venv: false,
        pips: commands(&result["pip"]["version"]),
        pip_mirrors: texts(&result["pip"]["source"]),
        conda: available("conda").then(|| CondaFound {
            version: version("conda"),
            path: String::new(),
            environments: texts(&result["conda"]["environments"]),
            mirrors: texts(&result["conda"]["source"]),
        }),
        sshd: available("sshd").then(|| version("sshd")),
        jupyter_lab: available("jupyter_lab").then(|| version("jupyter_lab")),
        has_sudo: false,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A list of texts, also where it is marked as a Python tuple or set.
fn texts(value: &Value) -> Vec<String> {
    let list = value
        .as_array()
        .or_else(|| value["py/tuple"].as_array())
        .or_else(|| value["py/set"].as_array());
    list.into_iter().flatten().map(text).collect()
}

/// `python3(Python 3.11.2)` is the command `python3` and what it said.
fn commands(value: &Value) -> Vec<CommandFound> {
    texts(value)
        .into_iter()
        .map(|found| match found.split_once('(') {
            Some((command, version)) => CommandFound {
                command: command.to_owned(),
                version: version.strip_suffix(')').unwrap_or(version).to_owned(),
            },
            None => CommandFound {
                command: found,
                version: String::new(),
            },
        })
        .collect()
}

/// The number of a distribution's version: `18.04` of `18.04.6 LTS (Bionic Beaver)`, `7.9` of
/// `CentOS Linux release 7.9.2009 (Core)`.
fn version_id(version: &str) -> String {
    let number = version
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        .unwrap_or_default();
    number.split('.').take(2).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastbuild_spec::profile::Descriptor;

    #[test]
    fn a_result_with_marks_comes_out_as_check_image_answers_it() {
        let result = serde_json::json!({
            "py/object": "data.image_descriptor.ImageDescriptor",
            "image_name": "10.0.0.9/base/ubuntu:18.04",
            "kernel": {"py/object": "k", "name": "Linux", "available": true, "version": "Linux x"},
            "os": {"py/object": "o", "name": "Ubuntu", "available": true, "version": "18.04.6 LTS (Bionic Beaver)"},
            "package_manager": {"py/object": "a", "source": ["aliyun"], "name": "apt", "available": true, "version": "apt 2.6.1 (amd64)"},
            "pip": {"py/object": "p", "source": {"py/tuple": []}, "name": "pip", "available": true, "version": ["pip3(pip 23.0.1 from /usr/lib (python 3.11))"]},
            "conda": {"py/object": "c", "source": [], "environments": [], "name": "conda", "available": false, "version": ""},
            "python": {"py/object": "y", "name": "python", "available": true, "version": ["python3(Python 3.11.2)"]},
            "sshd": {"py/object": "s", "name": "sshd", "available": true, "version": "OpenSSH_7.6"},
            "jupyter_lab": null,
        });
        let shown = Descriptor::new("a:1", &profile_of("sha256:1", &result));
        let shown = serde_json::to_value(shown).unwrap();
        for part in ["kernel", "os", "package_manager", "python", "sshd", "conda"] {
            let mut expected = result[part].clone();
            expected.as_object_mut().unwrap().remove("py/object");
            assert_eq!(shown[part], expected, "{part}");
        }
        assert_eq!(shown["pip"]["version"], result["pip"]["version"]);
        assert_eq!(shown["jupyter_lab"]["available"], false);
    }

    #[test]
    fn the_number_of_a_version_is_found() {
        assert_eq!(version_id("18.04.6 LTS (Bionic Beaver)"), "18.04");
        assert_eq!(version_id("CentOS Linux release 7.9.2009 (Core)"), "7.9");
        assert_eq!(version_id(""), "");
    }
}

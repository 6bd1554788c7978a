//! The parts every installer of a build request has: what to install, where from, and the rows of
//! its software list; types checked, names not yet parsed.

use serde_json::{Value, json};

use super::super::{
    packages::{Package, Written},
    reader::{Place, Reader},
};
use crate::failure::Sentence;

/// One installer's config, its types checked.
pub(super) struct Installer<'body> {
    pub(super) place: Place<'body>,
    pub(super) name: String,
    pub(super) install_place: Place<'body>,
    pub(super) install: Install,
    pub(super) source: Place<'body>,
    pub(super) group: String,
    pub(super) file_name: String,
    pub(super) software: Vec<Package<'body>>,
    pub(super) completed: Value,
}

impl<'body> Installer<'body> {
    pub(super) fn read(reader: &mut Reader, place: &Place<'body>, default_name: &str) -> Self {
        let place = reader.object(place);
        let name_place = place.field("installer_name");
        let name = if name_place.is_given() {
            reader.text(&name_place)
        } else {
            default_name.to_owned()
        };
        let install_place = reader.object(&place.field("install"));
        let install = Install::read(reader, &install_place);
        let source = reader.object(&place.field("source"));
        let source_installer = reader.text(&source.field("installer_name"));
        let group = reader.text(&source.field("type"));
        let file_name = reader.text(&source.field("file_name"));
        let software = software(reader, &place.field("software_list"));
        let delimiter = reader.text(&place.field("delimiter"));
        let python_version = text_or_texts(reader, &place.field("python_version"), json!([]));
        let completed = json!({
            "installer_name": name,
            "install": {
                "present": install.present,
                "update": install.update,
                "target": install.target,
                "install_loc": install.location,
            },
            "source": {
                "installer_name": source_installer,
                "type": group,
                "file_name": file_name,
            },
            "software_list": software
                .iter()
                .map(|item| json!({"name": item.name, "version": item.version}))
                .collect::<Vec<_>>(),
            "delimiter": delimiter,
            "python_version": python_version,
        });
        Self {
            place,
            name,
            install_place,
            install,
            source,
            group,
            file_name,
            software,
            completed,
        }
    }

    pub(super) fn must_be(&self, reader: &mut Reader, expected: &str) {
        if !self.name.is_empty() && self.name != expected {
            let allowed = Sentence::new(
                format!("应为 {expected} 或留空"),
                format!("must be {expected} or empty"),
            );
            reader.refuse(&self.place.field("installer_name"), &self.name, allowed);
        }
    }
}

/// The rows of a `software_list`. A form's row left blank asks for nothing.
fn software<'body>(reader: &mut Reader, place: &Place<'body>) -> Vec<Package<'body>> {
    let mut software = Vec::new();
    for item in reader.items(place) {
        if !item.is_given() {
            reader.refuse_type(
                &item,
                &Value::Null,
                Sentence::new("应为对象（字段及其值）", "must be an object with fields"),
            );
            continue;
        }
        let item = reader.object(&item);
        let (name_place, version_place) = (item.field("name"), item.field("version"));
        let (name, version) = (reader.text(&name_place), reader.text(&version_place));
        let typed = [&name_place, &version_place]
            .iter()
            .all(|place| place.value.is_none_or(Value::is_string));
        if typed && !(name.is_empty() && version.is_empty()) {
            software.push(Package {
                name,
                version,
                written: Written::Apart {
                    name: name_place,
                    version: version_place,
                },
            });
        }
    }
    software
}

/// An `install` part, or `python_env`, which has the same fields.
pub(super) struct Install {
    pub(super) present: Value,
    pub(super) update: bool,
    pub(super) target: Value,
    /// The file to install; `None` when nothing is wanted.
    pub(super) wanted: Option<String>,
    pub(super) location: String,
}

impl Install {
    pub(super) fn read(reader: &mut Reader, place: &Place<'_>) -> Self {
        let target_place = place.field("target");
        let present = text_or_texts(reader, &place.field("present"), json!(""));
        let target = text_or_texts(reader, &target_place, json!(""));
        let asked = reader.choice(&place.field("update"));
        let location = reader.text(&place.field("install_loc"));
        // A target that repeats what is present asks for nothing.
        let named = match &target {
            Value::String(text) => Some(text.trim_matches(' ').to_owned())
                .filter(|text| !text.is_empty() && target != present),
            _ => None,
        };
        let is_foreign_list =
            matches!(&target, Value::Array(items) if !items.is_empty()) && target != present;
        if is_foreign_list && asked == Some(true) {
            let allowed = Sentence::new(
                "在 update 为 true 时应为一个文件名，而不是列表",
                "must be one file name and no list when update is true",
            );
            reader.refuse(&target_place, "", allowed);
        }
        let update = asked.unwrap_or(named.is_some());
        Self {
            present,
            update,
            target,
            wanted: named.filter(|_| update),
            location,
        }
    }
}

/// A text or a list of texts, as it is; `default` where there is none.
fn text_or_texts(reader: &mut Reader, place: &Place<'_>, default: Value) -> Value {
    let Some(value) = place.value else {
        return default;
    };
    let fits = match value {
        Value::String(_) => true,
        Value::Array(items) => items.iter().all(Value::is_string),
        _ => false,
    };
    if fits {
        return value.clone();
    }
    let allowed = Sentence::new(
        "应为字符串或字符串列表",
        "must be a string or a list of strings",
    );
    reader.refuse_type(place, value, allowed);
    default
}

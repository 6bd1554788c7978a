//! The parts every installer of a build request has: what to install, where from, and the rows of
//! its software list; types checked, names not yet parsed.

use serde_json::{Value, json};

use super::fields::{Fields, Node};
use crate::{failure::Sentence, names::NameError};

/// One installer's config, its types checked.
pub(super) struct Installer<'body> {
    pub(super) node: Node<'body>,
    pub(super) name: String,
    pub(super) install_node: Node<'body>,
    pub(super) install: Install,
    pub(super) source: Node<'body>,
    pub(super) group: String,
    pub(super) file_name: String,
    pub(super) software: Vec<Item>,
    pub(super) completed: Value,
}

impl<'body> Installer<'body> {
    pub(super) fn read(
        fields: &mut Fields,
        config: &Node<'body>,
        key: &str,
        default_name: &str,
    ) -> Self {
        let node = fields.object(config, key);
        let name = match node.get("installer_name") {
            None => default_name.to_owned(),
            Some(_) => fields.text(&node, "installer_name"),
        };
        let install_node = fields.object(&node, "install");
        let install = Install::read(fields, &install_node);
        let source = fields.object(&node, "source");
        let source_installer = fields.text(&source, "installer_name");
        let group = fields.text(&source, "type");
        let file_name = fields.text(&source, "file_name");
        let mut software = Vec::new();
        for item in fields.objects(&node, "software_list") {
            let (name, version) = (fields.text(&item, "name"), fields.text(&item, "version"));
            let typed = ["name", "version"]
                .iter()
                .all(|key| item.get(key).is_none_or(Value::is_string));
            // A form's row left blank asks for nothing.
            if typed && !(name.is_empty() && version.is_empty()) {
                software.push(Item {
                    name_path: item.path("name"),
                    version_path: item.path("version"),
                    name,
                    version,
                });
            }
        }
        let delimiter = fields.text(&node, "delimiter");
        let python_version = fields.text_or_texts(&node, "python_version", json!([]));
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
            node,
            name,
            install_node,
            install,
            source,
            group,
            file_name,
            software,
            completed,
        }
    }

    pub(super) fn must_be(&self, fields: &mut Fields, expected: &str) {
        if !self.name.is_empty() && self.name != expected {
            fields.refuse(
                self.node.path("installer_name"),
                &self.name,
                Sentence::new(
                    format!("应为 {expected} 或留空"),
                    format!("must be {expected} or empty"),
                ),
            );
        }
    }
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
    pub(super) fn read(fields: &mut Fields, node: &Node<'_>) -> Self {
        let present = fields.text_or_texts(node, "present", json!(""));
        let target = fields.text_or_texts(node, "target", json!(""));
        let asked = fields.flag(node, "update");
        let location = fields.text(node, "install_loc");
        // A target that repeats what is present asks for nothing.
        let named = match &target {
            Value::String(text) => Some(text.trim_matches(' ').to_owned())
                .filter(|text| !text.is_empty() && target != present),
            _ => None,
        };
        let is_foreign_list =
            matches!(&target, Value::Array(items) if !items.is_empty()) && target != present;
        if is_foreign_list && asked == Some(true) {
            fields.refuse(
                node.path("target"),
                "",
                Sentence::new(
                    "在 update 为 true 时应为一个文件名，而不是列表",
                    "must be one file name and no list when update is true",
                ),
            );
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

/// One row of a `software_list`.
pub(super) struct Item {
    pub(super) name_path: String,
    pub(super) version_path: String,
    pub(super) name: String,
    pub(super) version: String,
}

/// Which half of a row a parser refused.
pub(super) enum Refused {
    Name(NameError),
    Version(NameError),
}

impl Item {
    /// Blames the version when the name alone parses.
    pub(super) fn blame(
        &self,
        error: NameError,
        parse_name: impl Fn(&str) -> Result<String, NameError>,
    ) -> Refused {
        match parse_name(&self.name) {
            Ok(_) => Refused::Version(error),
            Err(error) => Refused::Name(error),
        }
    }

    pub(super) fn keep<T>(&self, fields: &mut Fields, parsed: Result<T, Refused>) -> Option<T> {
        match parsed {
            Ok(parsed) => Some(parsed),
            Err(Refused::Name(error)) => {
                fields.refuse(&self.name_path, &self.name, error.allowed);
                None
            }
            Err(Refused::Version(error)) => {
                fields.refuse(&self.version_path, &self.version, error.allowed);
                None
            }
        }
    }

    pub(super) fn version(
        &self,
        parse: impl Fn(&str) -> Result<String, NameError>,
    ) -> Result<Option<String>, Refused> {
        match self.version.as_str() {
            "" => Ok(None),
            version => parse(version).map(Some).map_err(Refused::Version),
        }
    }
}

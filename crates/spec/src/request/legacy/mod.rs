//! A build request of the old protocol, in either of its two shapes.

mod fields;
mod installer_fields;
mod installers;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::fields::{Fields, Node};
use super::{BuildRequest, WireKey};
use crate::{
    callback::{CallbackUrlError, check_callback_url},
    failure::{FieldError, Sentence},
    image_spec::{ImageSpec, ServicePasswords},
    limits::{LIMIT_FIELDS, RequestedLimits},
    names::{parse_description, parse_line},
    reference::ImageReference,
};

const LONGEST_LINE: usize = 255;
const LONGEST_DESCRIPTION: usize = 4096;
const LIMITS: &str = "limits";
const SSH_SECRET: &str = "webSSHSecret";
const JUPYTER_SECRET: &str = "jupyterLabSecret";

/// Which of the two shapes a body has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `task_data`, with the secrets beside it.
    Platform,
    /// `image_data`, with the secrets in it.
    FrontEnd,
}

impl Shape {
    fn key(self) -> &'static str {
        match self {
            Self::Platform => "task_data",
            Self::FrontEnd => "image_data",
        }
    }
}

/// Parses a build request of either shape: `task_data` with the secrets beside it, or
/// `image_data` with the secrets in it; both with `dockerfile_json`.
///
/// What callers leave out is filled in; unknown fields are ignored. `key` reads the secrets.
///
/// # Errors
/// Every field that does not parse, all at once.
pub fn parse_legacy(body: &Value, key: &WireKey) -> Result<BuildRequest, Vec<FieldError>> {
    let mut fields = Fields::default();
    let root = fields.root(body);
    if !root.is_given() {
        return Err(fields.errors);
    }
    let shape = shape(&mut fields, &root);
    let task = fields.object(&root, shape.key());
    let dockerfile = fields.object(&root, "dockerfile_json");
    let config = fields.object(&dockerfile, "image_installer_config");

    let task_name = line(&mut fields, &task, "task_name");
    let target = image(&mut fields, &task, "target_image_name");
    if let Some(digest) = target.as_ref().and_then(ImageReference::digest) {
        fields.refuse(
            task.path("target_image_name"),
            digest,
            Sentence::new(
                "目标镜像不能带摘要（@sha256:...），只能带标签",
                "the target image must not carry a digest (@sha256:...), only a tag",
            ),
        );
    }
    let callback_url = callback_url(&mut fields, &task);
    let owner = line(&mut fields, &task, "owner");
    let limits = limits(&mut fields, &task);
    let written = fields.text(&task, "image_desc");
    let description = fields
        .parsed(
            task.path("image_desc"),
            &written,
            parse_description(&written, LONGEST_DESCRIPTION),
        )
        .unwrap_or_default();
    let base = image(&mut fields, &dockerfile, "base_image");
    let maintainer = line(&mut fields, &dockerfile, "maintainer");

    let (python, python_json) = installers::python(&mut fields, &config);
    let (system, system_json) = installers::system(&mut fields, &config);
    let (pip, pip_json) = installers::pip(&mut fields, &config);
    let (conda, conda_json) = installers::conda(&mut fields, &config);

    // Beside the parts or in the task's own, as callers like it.
    let no_cache = match fields.flag(&root, "no_cache") {
        Some(given) => Some(given),
        None => fields.flag(&task, "no_cache"),
    };
    let (ssh, ssh_json) = secret(&mut fields, &root, &task, SSH_SECRET, key);
    let (jupyter_lab, jupyter_json) = secret(&mut fields, &root, &task, JUPYTER_SECRET, key);

    let (Some(base), Some(target), []) = (base, target, fields.errors.as_slice()) else {
        return Err(fields.errors);
    };

    let mut completed_task = json!({
        "task_name": raw(&task, "task_name"),
        "target_image_name": raw(&task, "target_image_name"),
        "callback_url": raw(&task, "callback_url"),
    });
    let mut completed = json!({});
    if shape == Shape::FrontEnd || task.get("image_desc").is_some() {
        completed_task["image_desc"] = raw(&task, "image_desc");
    }
    // Beside what every caller sends there may be an owner and limits; old callers know neither.
    if task.get("owner").is_some() {
        completed_task["owner"] = raw(&task, "owner");
    }
    if limits != RequestedLimits::default() {
        let seconds = [limits.total, limits.silence, limits.push];
        completed_task[LIMITS] = LIMIT_FIELDS
            .iter()
            .zip(seconds)
            .filter_map(|(field, seconds)| Some(((*field).to_owned(), Value::from(seconds?))))
            .collect();
    }
    if let Some(no_cache) = no_cache {
        completed["no_cache"] = json!(no_cache);
    }
    let secrets_in = match shape {
        Shape::Platform => &mut completed,
        Shape::FrontEnd => &mut completed_task,
    };
    secrets_in[SSH_SECRET] = ssh_json;
    secrets_in[JUPYTER_SECRET] = jupyter_json;
    completed[shape.key()] = completed_task;
    completed["dockerfile_json"] = json!({
        "base_image": raw(&dockerfile, "base_image"),
        "maintainer": raw(&dockerfile, "maintainer"),
        "image_installer_config": {
            "python_env": python_json,
            "package_manager_installer_config": system_json,
            "pip_installer_config": pip_json,
            "conda_installer_config": conda_json,
            // The old service put the plain passwords here; what a caller writes here was never
            // read and is not kept.
            SSH_SECRET: "",
            JUPYTER_SECRET: "",
        },
    });

    Ok(BuildRequest {
        task_name,
        owner,
        // The old protocol knows no administrators.
        priority: 0,
        limits,
        callback_url,
        spec: ImageSpec {
            base,
            target,
            maintainer,
            description: description.split_whitespace().collect::<Vec<_>>().join(" "),
            python,
            system,
            pip,
            conda,
            ssh: ssh.is_some(),
            jupyter_lab: jupyter_lab.is_some(),
            env: BTreeMap::new(),
            labels: BTreeMap::new(),
            no_cache: no_cache == Some(true),
        },
        passwords: ServicePasswords { ssh, jupyter_lab },
        completed,
    })
}

fn shape(fields: &mut Fields, root: &Node<'_>) -> Shape {
    let given = |shape: Shape| root.get(shape.key()).is_some();
    match (given(Shape::Platform), given(Shape::FrontEnd)) {
        (true, false) => Shape::Platform,
        (false, true) => Shape::FrontEnd,
        (platform, _) => {
            let allowed = if platform {
                Sentence::new(
                    "不能与 image_data 同时出现",
                    "must not stand beside image_data",
                )
            } else {
                Sentence::new(
                    "缺失：请求应含有 task_data 或 image_data",
                    "is missing: a request has either task_data or image_data",
                )
            };
            fields.refuse("task_data", "", allowed);
            Shape::Platform
        }
    }
}

/// The front end's secrets are in its task part, the platform's beside it; each is read where it
/// is, so that a caller who mixes the two is understood.
fn secret(
    fields: &mut Fields,
    root: &Node<'_>,
    task: &Node<'_>,
    name: &str,
    key: &WireKey,
) -> (Option<secrecy::SecretString>, Value) {
    let place = if task.get(name).is_some() { task } else { root };
    fields.secret(place, name, key)
}

fn raw(node: &Node<'_>, key: &str) -> Value {
    node.get(key).cloned().unwrap_or_else(|| Value::from(""))
}

fn line(fields: &mut Fields, node: &Node<'_>, key: &str) -> String {
    let text = fields.text(node, key);
    let parsed = parse_line(&text, LONGEST_LINE);
    fields
        .parsed(node.path(key), &text, parsed)
        .unwrap_or_default()
}

fn limits(fields: &mut Fields, task: &Node<'_>) -> RequestedLimits {
    let limits = fields.object(task, LIMITS);
    let [total, silence, push] = LIMIT_FIELDS.map(|field| fields.seconds(&limits, field));
    RequestedLimits {
        total,
        silence,
        push,
    }
}

fn image(fields: &mut Fields, node: &Node<'_>, key: &str) -> Option<ImageReference> {
    if node.get(key).is_some_and(|value| !value.is_string()) {
        fields.text(node, key);
        return None;
    }
    let text = fields.text(node, key);
    ImageReference::parse_pullable(&text)
        .map_err(|error| fields.refuse(node.path(key), &text, error.allowed()))
        .ok()
}

fn callback_url(fields: &mut Fields, task: &Node<'_>) -> Option<String> {
    let text = fields.text(task, "callback_url");
    if text.is_empty() {
        return None;
    }
    match check_callback_url(&text) {
        Ok(()) => return Some(text),
        Err(error @ CallbackUrlError::HasLogin) => fields.errors.push(FieldError::without_value(
            task.path("callback_url"),
            error.allowed(),
        )),
        Err(error) => fields.refuse(task.path("callback_url"), &text, error.allowed()),
    }
    None
}

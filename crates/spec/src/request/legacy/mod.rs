//! Build requests of the old protocol, in either of its two shapes. Unknown fields are ignored, what
//! is left out is filled in, and the completed body is what callers of old read again.

mod installer_fields;
mod installers;

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use super::{
    BuildRequest, MASK, RequestFormat, RequestPolicy, WireKey,
    reader::{Place, Reader},
    rules,
};
use crate::{
    failure::{FieldErrors, Sentence},
    image_spec::{ImageSpec, ServicePasswords},
    limits::LIMIT_FIELDS,
};

const LIMITS: &str = "limits";
const SSH_SECRET: &str = "webSSHSecret";
const JUPYTER_SECRET: &str = "jupyterLabSecret";

/// Parses a build request of the old protocol: `task_data` with the secrets beside it, or
/// `image_data` with the secrets in it; both with `dockerfile_json`.
///
/// # Errors
/// Every field that does not parse, all at once, by its dotted path.
///
/// # Examples
/// ```
/// use fastbuild_spec::{
///     limits::{BuildLimits, LimitBounds},
///     request::{RequestPolicy, WireKey, parse_legacy},
/// };
/// use serde_json::json;
///
/// let day = BuildLimits { total: 86_400, silence: 86_400, push: 86_400 };
/// let policy = RequestPolicy {
///     wire_key: WireKey::new("0123456789abcdef", "0000000000000000")?,
///     limits: LimitBounds { default: day, longest: day },
///     sources: Default::default(),
/// };
/// let body = json!({
///     "task_data": {
///         "task_name": "first",
///         "target_image_name": "registry.example/team/app:1",
///         "limits": {"total_seconds": 100_000},
///     },
///     "dockerfile_json": {},
/// });
/// let mistakes = parse_legacy(&body, &policy).unwrap_err();
/// let places: Vec<&str> = mistakes.reported().iter().map(|one| one.path.as_str()).collect();
/// assert_eq!(places, ["task_data.limits.total_seconds", "dockerfile_json.base_image"]);
/// # Ok::<(), fastbuild_spec::request::WireKeyError>(())
/// ```
pub fn parse_legacy(body: &Value, policy: &RequestPolicy) -> Result<BuildRequest, FieldErrors> {
    let mut reader = Reader::default();
    let root = reader.object(&Place::dotted_root(body));
    if !root.is_given() {
        return Err(reader.errors);
    }
    let (format, task) = task_part(&mut reader, &root);
    let dockerfile = reader.object(&root.field("dockerfile_json"));
    let config = reader.object(&dockerfile.field("image_installer_config"));

    let name = rules::line(&mut reader, &task.field("task_name"));
    let target = rules::target_image(&mut reader, &task.field("target_image_name"));
    let callback_url = rules::callback_url(&mut reader, &task.field("callback_url"));
    let owner = rules::line(&mut reader, &task.field("owner"));
    let limits_place = reader.object(&task.field(LIMITS));
    let limits = rules::limits(&mut reader, &limits_place, &policy.limits);
    let description = rules::description(&mut reader, &task.field("image_desc"));
    let base = rules::image(&mut reader, &dockerfile.field("base_image"));
    let maintainer = rules::line(&mut reader, &dockerfile.field("maintainer"));

    let (python, python_json) = installers::python(&mut reader, &config);
    let (system, system_json) = installers::system(&mut reader, &config);
    let (pip, pip_json) = installers::pip(&mut reader, &config);
    let (conda, conda_json) = installers::conda(&mut reader, &config);

    // Beside the parts or in the task's own, as callers like it.
    let no_cache = match reader.choice(&root.field("no_cache")) {
        Some(given) => Some(given),
        None => reader.choice(&task.field("no_cache")),
    };
    let key = &policy.wire_key;
    let (ssh, ssh_json) = secret(&mut reader, &root, &task, SSH_SECRET, key);
    let (jupyter_lab, jupyter_json) = secret(&mut reader, &root, &task, JUPYTER_SECRET, key);

    let (base, target) = reader.errors.or(base.zip(target))?;

    let mut completed_task = json!({
        "task_name": raw(&task, "task_name"),
        "target_image_name": raw(&task, "target_image_name"),
        "callback_url": raw(&task, "callback_url"),
    });
    let mut completed = json!({});
    if format == RequestFormat::FrontEnd || task.field("image_desc").is_given() {
        completed_task["image_desc"] = raw(&task, "image_desc");
    }
    // Beside what every caller sends there may be an owner and limits; old callers know neither.
    if task.field("owner").is_given() {
        completed_task["owner"] = raw(&task, "owner");
    }
    let requested = requested_limits(&limits_place);
    if !requested.is_empty() {
        completed_task[LIMITS] = requested.into();
    }
    if let Some(no_cache) = no_cache {
        completed["no_cache"] = json!(no_cache);
    }
    let secrets_in = if format == RequestFormat::FrontEnd {
        &mut completed_task
    } else {
        &mut completed
    };
    secrets_in[SSH_SECRET] = ssh_json;
    secrets_in[JUPYTER_SECRET] = jupyter_json;
    completed[task_key(format)] = completed_task;
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
        format,
        name,
        owner,
        // The old protocol knows no administrators.
        priority: 0,
        limits,
        callback_url,
        spec: ImageSpec {
            base,
            target,
            maintainer,
            description,
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

fn task_key(format: RequestFormat) -> &'static str {
    match format {
        RequestFormat::FrontEnd => "image_data",
        _ => "task_data",
    }
}

/// Which of the two shapes the body has, and the part that holds the task.
fn task_part<'body>(reader: &mut Reader, root: &Place<'body>) -> (RequestFormat, Place<'body>) {
    let [platform, front_end] = [RequestFormat::Platform, RequestFormat::FrontEnd]
        .map(|format| root.field(task_key(format)));
    let format = match (platform.is_given(), front_end.is_given()) {
        (true, false) => RequestFormat::Platform,
        (false, true) => RequestFormat::FrontEnd,
        (both, _) => {
            let allowed = if both {
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
            reader.refuse(&platform, "", allowed);
            RequestFormat::Platform
        }
    };
    let task = if format == RequestFormat::FrontEnd {
        front_end
    } else {
        platform
    };
    (format, reader.object(&task))
}

/// A password, and what the completed body shows of it. The front end's secrets are in its task
/// part, the platform's beside it; each is read where it is, so that a caller who mixes the two is
/// understood.
fn secret(
    reader: &mut Reader,
    root: &Place<'_>,
    task: &Place<'_>,
    name: &str,
    key: &WireKey,
) -> (Option<SecretString>, Value) {
    let in_task = task.field(name);
    let place = if in_task.is_given() {
        in_task
    } else {
        root.field(name)
    };
    let Some(wire) = place.value else {
        return (None, json!(""));
    };
    match rules::decrypted(reader, &place, key) {
        Some(password) if password.expose_secret().is_empty() => (None, wire.clone()),
        Some(password) => (rules::password_fits(reader, &place, password), json!(MASK)),
        None => (None, json!(MASK)),
    }
}

/// The limits that the request sets, as it wrote them.
fn requested_limits(place: &Place<'_>) -> Map<String, Value> {
    LIMIT_FIELDS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), place.field(name).value?.clone())))
        .collect()
}

fn raw(place: &Place<'_>, name: &str) -> Value {
    place
        .field(name)
        .value
        .cloned()
        .unwrap_or_else(|| json!(""))
}

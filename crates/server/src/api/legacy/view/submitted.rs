//! The answer to an accepted build request.

use std::path::Path;

use fastbuild_builder::Submitted;
use fastbuild_spec::profile::Descriptor;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Address, descriptor::ImageDescriptor};

/// An object the old protocol has and nobody reads.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmptyObject {}

/// A build request that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The request as it was sent, its secrets included, with defaults filled in.
    image_request: Value,
    /// The task part of the platform's shape, as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_data: Option<Value>,
    /// The caller's own ciphertext, as it was sent beside `task_data`.
    #[serde(rename = "webSSHSecret", skip_serializing_if = "Option::is_none")]
    ssh_secret: Option<Value>,
    /// The same for `JupyterLab`.
    #[serde(rename = "jupyterLabSecret", skip_serializing_if = "Option::is_none")]
    jupyter_lab_secret: Option<Value>,
    /// Always an empty object.
    image_utils: EmptyObject,
    /// The build's number.
    #[schema(example = 1_795_426_218_678_i64)]
    task_id: i64,
    /// The name the caller gave it, perhaps empty.
    task_name: String,
    /// URL of the callback; empty for none.
    callback_url: String,
    /// The target image, with its tag.
    pub(crate) target_image_name: String,
    /// The description of the image.
    target_image_desc: String,
    /// The base image, with its tag.
    base_image_name: String,
    /// What the base image contains, as `check-image` answers it; null when it is not known yet.
    #[schema(value_type = Option<ImageDescriptor>)]
    image_descriptor: Option<Descriptor>,
    /// The name of the build's folder, the part of `/task/<work_dir_name>/`.
    work_dir_name: String,
    /// The build's folder on the server's disk.
    task_work_dir: String,
    /// The same part of the request once more.
    dockerfile_json: Value,
    /// Always an empty object.
    record: EmptyObject,
    /// The state it is in: `QUEUED`.
    #[schema(example = "QUEUED")]
    state: String,
}

impl Accepted {
    /// A request that was taken, its files under `task_dir`.
    ///
    /// Callers store the answer and later offer logins from it, so it holds what they `sent`, their ciphertext
    /// included. It is returned to the caller that sent it and to nobody else: what is stored and what every
    /// other operation shows has its secrets masked.
    pub(crate) fn new(submitted: Submitted, sent: Value, task_dir: &Path) -> Self {
        let Submitted {
            build,
            request: mut image_request,
            profile,
        } = submitted;
        let part = |name: &str| sent.get(name).cloned();
        let (task_data, ssh_secret, jupyter_lab_secret) = (
            part("task_data"),
            part("webSSHSecret"),
            part("jupyterLabSecret"),
        );
        overlay(&mut image_request, sent);
        let address = Address::new(task_dir, None, &build.work_dir_name);
        Self {
            dockerfile_json: image_request
                .get("dockerfile_json")
                .cloned()
                .unwrap_or_default(),
            image_request,
            task_data,
            ssh_secret,
            jupyter_lab_secret,
            image_utils: EmptyObject {},
            task_id: build.id,
            task_work_dir: address.folder(),
            image_descriptor: profile.map(|profile| Descriptor::new(&build.base_image, &profile)),
            record: EmptyObject {},
            state: build.state.to_string(),
            task_name: build.name,
            callback_url: build.callback_url,
            target_image_name: build.target_image,
            target_image_desc: build.description,
            base_image_name: build.base_image,
            work_dir_name: build.work_dir_name,
        }
    }
}

/// Lays what was sent over a request with its defaults: what was sent stays as it is.
fn overlay(completed: &mut Value, sent: Value) {
    match (completed, sent) {
        (Value::Object(completed), Value::Object(sent)) => {
            for (name, value) in sent {
                overlay(completed.entry(name).or_insert(Value::Null), value);
            }
        }
        (completed, sent) => *completed = sent,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_sent_stays_and_defaults_stand_beside_it() {
        let mut completed = json!({"a": {"secret": "***", "default": false}, "list": []});
        overlay(
            &mut completed,
            json!({"a": {"secret": "c2VjcmV0"}, "list": [1], "extra": "x"}),
        );
        assert_eq!(
            completed,
            json!({"a": {"secret": "c2VjcmV0", "default": false}, "list": [1], "extra": "x"})
        );
    }
}

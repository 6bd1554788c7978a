//! The documents of the API's version 1, as a person writes them in YAML or a program in JSON: a build's,
//! which says what an image should be.
//!
//! Every field that is wrong is named at once, by its JSON pointer (RFC 6901); a field that does
//! not exist is a mistake, since it is one of the writer's spelling.

mod installers;
mod passwords;

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    BuildRequest, WireKey,
    reader::{Place, Reader, entries},
};
use crate::{
    callback::{CallbackUrlError, check_callback_url},
    failure::{FieldError, Sentence},
    image_spec::ImageSpec,
    limits::{LIMIT_FIELDS, RequestedLimits},
    names::{parse_description, parse_env_name, parse_label_name, parse_line},
    reference::ImageReference,
};

const LONGEST_LINE: usize = 255;
const LONGEST_DESCRIPTION: usize = 4096;
/// The range of a build's priority; the higher goes first.
const PRIORITIES: std::ops::RangeInclusive<i64> = -100..=100;
/// No limit is longer than a week.
const LONGEST_LIMIT: i64 = 7 * 24 * 3600;

/// Parses a build document. `key` reads passwords that are given in the wire form.
///
/// # Errors
/// Every field that does not parse, all at once.
pub fn parse_document(body: &Value, key: &WireKey) -> Result<BuildRequest, Vec<FieldError>> {
    let mut reader = Reader::default();
    let root = reader.object(&Place::root(body));
    reader.only(
        &root,
        &[
            "base",
            "target",
            "name",
            "description",
            "maintainer",
            "owner",
            "priority",
            "limits",
            "callback_url",
            "python",
            "system",
            "pip",
            "conda",
            "mirrors",
            "env",
            "labels",
            "ssh",
            "jupyter",
            "no_cache",
        ],
    );
    let base = image(&mut reader, &root.field("base"));
    let target = image(&mut reader, &root.field("target"));
    if let Some(digest) = target.as_ref().and_then(ImageReference::digest) {
        reader.refuse(
            &root.field("target"),
            digest,
            Sentence::new(
                "目标镜像不能带摘要（@sha256:...），只能带标签",
                "the target image must not carry a digest (@sha256:...), only a tag",
            ),
        );
    }
    let task_name = line(&mut reader, &root.field("name"));
    let maintainer = line(&mut reader, &root.field("maintainer"));
    let owner = line(&mut reader, &root.field("owner"));
    let description = {
        let place = root.field("description");
        let written = reader.text(&place);
        let parsed = parse_description(&written, LONGEST_DESCRIPTION);
        reader.parsed(&place, &written, parsed).unwrap_or_default()
    };
    let callback_url = callback_url(&mut reader, &root.field("callback_url"));
    let priority = reader
        .integer(&root.field("priority"), PRIORITIES)
        .and_then(|priority| i32::try_from(priority).ok())
        .unwrap_or_default();
    let limits = limits(&mut reader, &root.field("limits"));

    let mirrors = reader.object(&root.field("mirrors"));
    reader.only(&mirrors, &["system", "pip", "conda"]);
    let python = installers::python(&mut reader, &root.field("python"));
    let system = installers::system(&mut reader, &root.field("system"), &mirrors.field("system"));
    let (pip_place, conda_place) = (root.field("pip"), root.field("conda"));
    let mut pip = installers::pip(&mut reader, &pip_place, &mirrors.field("pip"));
    let (conda, environment) =
        installers::conda(&mut reader, &conda_place, &mirrors.field("conda"));
    pip.requirements.extend(environment.pip);

    let mut env: BTreeMap<String, String> = environment.variables;
    env.extend(entries(&mut reader, &root.field("env"), parse_env_name));
    let labels = entries(&mut reader, &root.field("labels"), parse_label_name);
    let no_cache = reader.flag(&root.field("no_cache"));
    let ssh = passwords::password(&mut reader, &root.field("ssh"), key);
    let jupyter_lab = passwords::password(&mut reader, &root.field("jupyter"), key);

    let (Some(base), Some(target), []) = (base, target, reader.errors.as_slice()) else {
        return Err(reader.errors);
    };
    let passwords = crate::image_spec::ServicePasswords { ssh, jupyter_lab };
    Ok(BuildRequest {
        task_name,
        owner,
        priority,
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
            ssh: passwords.ssh.is_some(),
            jupyter_lab: passwords.jupyter_lab.is_some(),
            no_cache,
            env,
            labels,
        },
        passwords,
        completed: passwords::masked(body),
    })
}

fn line(reader: &mut Reader, place: &Place<'_>) -> String {
    let text = reader.text(place);
    let parsed = parse_line(&text, LONGEST_LINE);
    reader.parsed(place, &text, parsed).unwrap_or_default()
}

fn image(reader: &mut Reader, place: &Place<'_>) -> Option<ImageReference> {
    if !place.is_given() {
        reader.refuse(
            place,
            "",
            Sentence::new("是必填项，应为镜像名", "is required: the name of an image"),
        );
        return None;
    }
    let text = reader.text_once(place)?;
    ImageReference::parse_pullable(&text)
        .map_err(|error| reader.refuse(place, &text, error.allowed()))
        .ok()
}

fn callback_url(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    let text = reader.text(place);
    if text.is_empty() {
        return None;
    }
    match check_callback_url(&text) {
        Ok(()) => return Some(text),
        // It holds a password.
        Err(error @ CallbackUrlError::HasLogin) => reader.refuse(place, "", error.allowed()),
        Err(error) => reader.refuse(place, &text, error.allowed()),
    }
    None
}

fn limits(reader: &mut Reader, place: &Place<'_>) -> RequestedLimits {
    let place = reader.object(place);
    reader.only(&place, &LIMIT_FIELDS);
    let mut seconds = |name: &str| {
        reader
            .integer(&place.field(name), 1..=LONGEST_LIMIT)
            .and_then(|seconds| u64::try_from(seconds).ok())
    };
    RequestedLimits {
        total: seconds("total_seconds"),
        silence: seconds("silence_seconds"),
        push: seconds("push_seconds"),
    }
}

#[cfg(test)]
mod tests;

//! The rules for the fields that both request formats have, each stated once. A format says where a
//! field is; what may be in it is said here.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::{
    WireKey,
    reader::{Place, Reader},
};
use crate::{
    callback::{CallbackUrlError, check_callback_url},
    failure::Sentence,
    image_spec::PythonSpec,
    limits::{BuildLimits, LIMIT_FIELDS, LimitBounds},
    names::{parse_description, parse_install_location, parse_line},
    reference::ImageReference,
    request::files::python_archive,
};

/// Longest name, owner and maintainer, in characters.
const LONGEST_LINE: usize = 255;
/// Longest description, in characters.
const LONGEST_DESCRIPTION: usize = 4096;
/// Longest password, in characters.
const LONGEST_PASSWORD: usize = 255;
/// Where a Python is installed unless the caller says otherwise.
pub(super) const PYTHON_LOCATION: &str = "/usr/local/dros/python";

/// The name of an image, which must be given.
pub(super) fn image(reader: &mut Reader, place: &Place<'_>) -> Option<ImageReference> {
    let text = match reader.text(place) {
        // A value of another type has been refused already.
        text if text.is_empty() && place.value.is_some_and(|value| !value.is_string()) => {
            return None;
        }
        text => text,
    };
    if text.is_empty() {
        let allowed = Sentence::new(
            "是必填项：镜像名，例如 harbor.example:30003/base/ubuntu:18.04",
            "is required: an image name such as harbor.example:30003/base/ubuntu:18.04",
        );
        reader.refuse(place, "", allowed);
        return None;
    }
    ImageReference::parse_pullable(&text)
        .map_err(|error| reader.refuse(place, &text, error.allowed()))
        .ok()
}

/// The name of the image to make: nobody can ask for a digest.
pub(super) fn target_image(reader: &mut Reader, place: &Place<'_>) -> Option<ImageReference> {
    let target = image(reader, place)?;
    if let Some(digest) = target.digest() {
        let allowed = Sentence::new(
            "目标镜像不能带摘要（@sha256:...），只能带标签",
            "the target image must not carry a digest (@sha256:...), only a tag",
        );
        reader.refuse(place, digest, allowed);
        return None;
    }
    Some(target)
}

/// One line of printable text, such as a name or an owner; may be empty.
pub(super) fn line(reader: &mut Reader, place: &Place<'_>) -> String {
    let text = reader.text(place);
    let parsed = parse_line(&text, LONGEST_LINE);
    reader.parsed(place, &text, parsed).unwrap_or_default()
}

/// A description, put into one line; may be empty.
pub(super) fn description(reader: &mut Reader, place: &Place<'_>) -> String {
    let text = reader.text(place);
    let parsed = parse_description(&text, LONGEST_DESCRIPTION);
    let description = reader.parsed(place, &text, parsed).unwrap_or_default();
    description.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where to report the end of the build; `None` where the field is missing or empty.
pub(super) fn callback_url(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
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

/// The limits of the build, within what the operator allows; what is not given is the default.
pub(super) fn limits(reader: &mut Reader, place: &Place<'_>, bounds: &LimitBounds) -> BuildLimits {
    let LimitBounds { default, longest } = bounds;
    let [total, silence, push] = LIMIT_FIELDS.map(|name| place.field(name));
    let mut limit = |place: &Place<'_>, default: u64, longest: u64| {
        reader.seconds(place, longest).unwrap_or(default)
    };
    BuildLimits {
        total: limit(&total, default.total, longest.total),
        silence: limit(&silence, default.silence, longest.silence),
        push: limit(&push, default.push, longest.push),
    }
}

/// A Python of the catalog and the folder it is installed in; an empty `location` is
/// [`PYTHON_LOCATION`].
pub(super) fn python(
    reader: &mut Reader,
    (file_place, file_name): (&Place<'_>, &str),
    (location_place, location): (&Place<'_>, &str),
) -> Option<PythonSpec> {
    let parsed = python_archive(file_name);
    let tool = reader.parsed(file_place, file_name, parsed);
    let location = if location.is_empty() {
        PYTHON_LOCATION
    } else {
        location
    };
    let parsed = parse_install_location(location);
    let install_location = reader.parsed(location_place, location, parsed);
    Some(PythonSpec {
        tool: tool?,
        install_location: install_location?,
    })
}

/// The text of a password in the wire form, which may be empty.
pub(super) fn decrypted(
    reader: &mut Reader,
    place: &Place<'_>,
    key: &WireKey,
) -> Option<SecretString> {
    let wire = secret_text(reader, place)?;
    key.decrypt(wire)
        .map_err(|error| {
            let allowed = Sentence::new(
                error.in_chinese(),
                format!("cannot be read as a password: {error}"),
            );
            reader.refuse(place, "", allowed);
        })
        .ok()
}

/// A text of which nothing may be repeated, whatever its type.
pub(super) fn secret_text<'body>(reader: &mut Reader, place: &Place<'body>) -> Option<&'body str> {
    let text = place.value.and_then(Value::as_str);
    if text.is_none() {
        reader.refuse(place, "", Sentence::new("应为文本", "must be text"));
    }
    text
}

/// The password, if a person can type it at a login.
pub(super) fn password_fits(
    reader: &mut Reader,
    place: &Place<'_>,
    password: SecretString,
) -> Option<SecretString> {
    let text = password.expose_secret();
    let fits = (1..=LONGEST_PASSWORD).contains(&text.chars().count())
        && !text.chars().any(char::is_control);
    if !fits {
        let allowed = Sentence::new(
            format!("应为一行文本，1 到 {LONGEST_PASSWORD} 个字符"),
            format!("must be one line of text of 1 to {LONGEST_PASSWORD} characters"),
        );
        reader.refuse(place, "", allowed);
    }
    fits.then_some(password)
}

//! Build documents of the API's version 1, as a person writes them in YAML or a program in JSON.
//!
//! Mistakes are named by JSON pointer (RFC 6901). A field that does not exist is a mistake: it is a
//! slip of the writer's.

mod installers;
mod passwords;
mod pip;

use serde_json::Value;

use super::{
    BuildRequest, RequestFormat, RequestPolicy,
    reader::{Place, Reader},
    rules,
};
use crate::{
    failure::FieldErrors,
    image_spec::{ImageSpec, ServicePasswords},
    limits::LIMIT_FIELDS,
    names::{parse_env_name, parse_label_name},
};

/// The range of a build's priority; the higher goes first.
const PRIORITIES: std::ops::RangeInclusive<i64> = -100..=100;

/// The fields of a document.
const FIELDS: [&str; 19] = [
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
];

/// Parses a build document.
///
/// # Errors
/// Every field that does not parse, all at once.
///
/// # Examples
/// ```
/// use fastbuild_spec::{
///     limits::{BuildLimits, LimitBounds},
///     request::{RequestPolicy, Syntax, WireKey, parse_document, read},
/// };
///
/// let hour = BuildLimits { total: 3600, silence: 3600, push: 3600 };
/// let policy = RequestPolicy {
///     wire_key: WireKey::new("0123456789abcdef", "0000000000000000")?,
///     limits: LimitBounds { default: hour, longest: hour },
///     sources: Default::default(),
/// };
/// let text = "base: debian:12\ntarget: registry.example/team/app:1\npip: [requests]\n";
/// let body = read(text, Syntax::Yaml).unwrap();
/// let request = parse_document(&body, &policy).unwrap();
/// assert_eq!(request.spec.pip.requirements, ["requests"]);
///
/// let body = read("base: 'A B'\npip: ['-r x']\n", Syntax::Yaml).unwrap();
/// let mistakes = parse_document(&body, &policy).unwrap_err();
/// let places: Vec<&str> = mistakes.reported().iter().map(|one| one.path.as_str()).collect();
/// assert_eq!(places, ["/base", "/target", "/pip/0"]);
/// # Ok::<(), fastbuild_spec::request::WireKeyError>(())
/// ```
pub fn parse_document(body: &Value, policy: &RequestPolicy) -> Result<BuildRequest, FieldErrors> {
    let mut reader = Reader::default();
    let root = reader.object(&Place::root(body));
    reader.only(&root, &FIELDS);
    let base = rules::image(&mut reader, &root.field("base"));
    let target = rules::target_image(&mut reader, &root.field("target"));
    let name = rules::line(&mut reader, &root.field("name"));
    let maintainer = rules::line(&mut reader, &root.field("maintainer"));
    let owner = rules::line(&mut reader, &root.field("owner"));
    let description = rules::description(&mut reader, &root.field("description"));
    let callback_url = rules::callback_url(&mut reader, &root.field("callback_url"));
    let priority = reader
        .integer(&root.field("priority"), PRIORITIES)
        .and_then(|priority| i32::try_from(priority).ok())
        .unwrap_or_default();
    let limits_place = reader.object(&root.field("limits"));
    reader.only(&limits_place, &LIMIT_FIELDS);
    let limits = rules::limits(&mut reader, &limits_place, &policy.limits);

    let mirrors = reader.object(&root.field("mirrors"));
    reader.only(&mirrors, &["system", "pip", "conda"]);
    let python = installers::python(&mut reader, &root.field("python"));
    let system = installers::system(&mut reader, &root.field("system"), &mirrors.field("system"));
    let (pip_place, conda_place) = (root.field("pip"), root.field("conda"));
    let pip = pip::pip(
        &mut reader,
        &pip_place,
        &mirrors.field("pip"),
        &policy.sources,
    );
    let (conda, environment) =
        installers::conda(&mut reader, &conda_place, &mirrors.field("conda"));

    let mut env = environment.variables;
    env.extend(reader.entries(&root.field("env"), parse_env_name));
    let labels = reader.entries(&root.field("labels"), parse_label_name);
    let no_cache = reader.flag(&root.field("no_cache"));
    let ssh = passwords::password(&mut reader, &root.field("ssh"), &policy.wire_key);
    let jupyter_lab = passwords::password(&mut reader, &root.field("jupyter"), &policy.wire_key);

    let (base, target) = reader.errors.or(base.zip(target))?;
    let passwords = ServicePasswords { ssh, jupyter_lab };
    Ok(BuildRequest {
        format: RequestFormat::Document,
        name,
        owner,
        priority,
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

#[cfg(test)]
mod tests;

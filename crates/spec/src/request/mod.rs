//! What a caller asks to be built. There are two formats, the requests of the old protocol
//! ([`parse_legacy`]) and the build documents of the API's version 1 ([`parse_document`]). Both are
//! read by one reader, obey one set of rules and become one [`BuildRequest`].

mod document;
mod environment;
mod files;
mod legacy;
mod packages;
pub(crate) mod reader;
mod rules;
mod secret;
mod syntax;

use serde_json::Value;

pub use self::{
    document::parse_document,
    legacy::parse_legacy,
    secret::{SecretError, WireKey, WireKeyError},
    syntax::{Syntax, SyntaxError, read},
};
use crate::{
    image_spec::{ImageSpec, ServicePasswords},
    limits::{BuildLimits, LimitBounds},
    requirements::Sources,
};

/// What stands for a password in a completed request.
const MASK: &str = "***";

/// What the site lays down for requests.
#[derive(Debug, Clone)]
pub struct RequestPolicy {
    /// Reads the passwords that callers encrypt.
    pub wire_key: WireKey,
    /// The limits of builds, and how far a request may raise them.
    pub limits: LimitBounds,
    /// What a requirement file may install from beside the mirrors of the catalog.
    pub sources: Sources,
}

/// The format in which a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestFormat {
    /// The old protocol's with `task_data` and the secrets beside it.
    Platform,
    /// The old protocol's with `image_data` and the secrets in it.
    FrontEnd,
    /// A build document.
    Document,
}

/// A parsed build request.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The format it came in.
    pub format: RequestFormat,
    /// The caller's name for the build; may be empty.
    pub name: String,
    /// For whom the image is made: builds of different owners take turns. May be empty.
    pub owner: String,
    /// Builds of a higher priority go first.
    pub priority: i32,
    /// How long the build may take: as requested, else as configured.
    pub limits: BuildLimits,
    /// Where to report the end, an `http` or `https` URL without user name and password.
    pub callback_url: Option<String>,
    /// What the image should be.
    pub spec: ImageSpec,
    /// The passwords that go with it.
    pub passwords: ServicePasswords,
    /// The body with its defaults filled in, known fields alone, and `***` for every secret that
    /// is not empty.
    pub completed: Value,
}

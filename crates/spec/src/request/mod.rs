//! What a caller asks to be built: the requests of the old protocol and the build documents of the
//! API's version 1, both parsed into one [`BuildRequest`].

mod document;
mod legacy;
pub(crate) mod reader;
mod requirements;
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
    limits::RequestedLimits,
};

/// A parsed build request.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The caller's name for it; may be empty.
    pub task_name: String,
    /// For whom the image is made: builds of different owners take turns. May be empty.
    pub owner: String,
    /// Builds of a higher priority go first.
    pub priority: i32,
    /// How long it may take, where other than configured.
    pub limits: RequestedLimits,
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

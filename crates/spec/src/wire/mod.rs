//! The shapes of the old protocol, in and out.

mod build_request;
mod descriptor;
mod field_error;
mod fields;
mod installer_fields;
mod installers;
mod secret;

pub use build_request::{BuildRequest, parse_build_request};
pub(crate) use descriptor::os;
pub use descriptor::{
    CondaDescriptor, Descriptor, ManyVersionsDescriptor, SourcedDescriptor, VersionDescriptor,
    VersionsDescriptor, descriptor,
};
pub use field_error::{FieldError, failure};
pub use secret::{SecretError, WireKey, WireKeyError};

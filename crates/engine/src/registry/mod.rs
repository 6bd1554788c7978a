//! Registries: the account an engine logs in with, the registries it may use without TLS, and a
//! client that speaks to a registry directly.

mod client;
mod insecure;
mod login;
mod push_check;
mod verify;

pub use client::{RegistryClient, RegistryError};
pub use insecure::InsecureRegistries;
pub(crate) use login::{auth_header, config_header, is_for_host, registry_of};
pub use push_check::PushCheck;
pub use verify::verify_registry;

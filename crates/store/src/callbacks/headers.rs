//! Callback headers: a map in which any value may be a credential.

use std::fmt;

use fastbuild_spec::settings::CallbackHeaders;
use secrecy::ExposeSecret as _;

use crate::{Seal, StoreError};

/// What stands where a secret value was.
const MASK: &str = "***";

/// Parts of a header's name that say its value is a credential.
const SECRET_NAME_PARTS: [&str; 11] = [
    "auth",
    "token",
    "cookie",
    "secret",
    "pass",
    "pwd",
    "key",
    "session",
    "jwt",
    "signature",
    "credential",
];

/// The headers with the values of those that look like credentials replaced by `***`.
pub fn mask_headers(headers: &CallbackHeaders) -> CallbackHeaders {
    headers
        .iter()
        .map(|(name, value)| {
            let lower = name.to_ascii_lowercase();
            let secret = SECRET_NAME_PARTS.iter().any(|part| lower.contains(part));
            let value = if secret {
                MASK.to_owned()
            } else {
                value.clone()
            };
            (name.clone(), value)
        })
        .collect()
}

/// Headers as they go over the wire. Printing them shows only [`mask_headers`] of them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SecretHeaders(CallbackHeaders);

impl SecretHeaders {
    /// The headers in the clear, for the request itself.
    pub fn expose(&self) -> &CallbackHeaders {
        &self.0
    }

    /// These headers with `newer` ones in place of those of the same name, upper and lower case
    /// alike (RFC 9110, section 5.1).
    #[must_use]
    pub fn overlaid(&self, newer: &CallbackHeaders) -> Self {
        let mut headers = self.0.clone();
        headers.retain(|name, _| !newer.keys().any(|newer| newer.eq_ignore_ascii_case(name)));
        headers.extend(newer.clone());
        Self(headers)
    }

    /// The headers as people may see them.
    pub fn masked(&self) -> CallbackHeaders {
        mask_headers(&self.0)
    }

    pub(crate) fn seal(&self, seal: &Seal, purpose: &str) -> Result<Vec<u8>, StoreError> {
        let plain =
            serde_json::to_vec(&self.0).map_err(|error| StoreError::corrupt("headers", error))?;
        seal.seal(purpose, &plain)
    }

    pub(crate) fn open(seal: &Seal, purpose: &str, sealed: &[u8]) -> Result<Self, StoreError> {
        let plain = seal.open(purpose, sealed)?;
        serde_json::from_slice(plain.expose_secret())
            .map(Self)
            // The parser's own text could quote a value.
            .map_err(|_| StoreError::corrupt("headers", "they are no JSON object of texts"))
    }
}

impl From<CallbackHeaders> for SecretHeaders {
    fn from(headers: CallbackHeaders) -> Self {
        Self(headers)
    }
}

impl fmt::Debug for SecretHeaders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("SecretHeaders")
            .field(&self.masked())
            .finish()
    }
}

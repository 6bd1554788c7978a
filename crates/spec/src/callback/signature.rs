//! The signature of callbacks, as the Standard Webhooks specification defines it (version 1.0,
//! symmetric signatures): `v1,` and the base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::Sha256;

use crate::failure::Sentence;

/// The header with the message id: the same in every attempt of one delivery.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the time of the attempt, in seconds since the Unix epoch.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// What a secret's text begins with.
const PREFIX: &str = "whsec_";
/// Bytes a key may have, as the specification bounds them.
const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that callbacks are signed with. Printing it shows nothing of it.
#[derive(Clone)]
pub struct SigningSecret {
    text: SecretString,
    key: SecretSlice<u8>,
}

/// A text is no signing secret. Repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be whsec_ and the base64 of 24 to 64 random bytes")]
pub struct NoSigningSecret;

impl NoSigningSecret {
    /// What is allowed, for a person.
    pub fn allowed(self) -> Sentence {
        Sentence::new(
            "应为 whsec_ 加上 24 至 64 个随机字节的 base64",
            self.to_string(),
        )
    }
}

impl SigningSecret {
    /// A secret from its text, `whsec_` and the base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// [`NoSigningSecret`] when it has another form.
    pub fn parse(text: &str) -> Result<Self, NoSigningSecret> {
        let key = text
            .strip_prefix(PREFIX)
            .and_then(|encoded| STANDARD.decode(encoded).ok())
            .map(SecretSlice::from)
            .filter(|key| KEY_LENGTHS.contains(&key.expose_secret().len()))
            .ok_or(NoSigningSecret)?;
        Ok(Self {
            text: text.to_owned().into(),
            key,
        })
    }

    /// The secret's text in the clear, to be sealed.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The value of [`SIGNATURE_HEADER`] for a message: its id, the second of the try and the
    /// body's exact bytes.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac = self.keyed();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }

    fn keyed(&self) -> Hmac<Sha256> {
        match Hmac::new_from_slice(self.key.expose_secret()) {
            Ok(mac) => mac,
            Err(error) => unreachable!("HMAC takes keys of every length: {error}"),
        }
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whsec_and_the_base64_of_enough_bytes_is_a_secret() {
        let of = |length: usize| format!("whsec_{}", STANDARD.encode(vec![7; length]));
        for good in [of(24), of(32), of(64)] {
            assert_eq!(SigningSecret::parse(&good).unwrap().expose(), good);
        }
        for bad in [
            String::new(),
            "whsec_".to_owned(),
            "whsec_not base64".to_owned(),
            of(23),
            of(65),
            STANDARD.encode([7; 32]),
        ] {
            assert_eq!(
                SigningSecret::parse(&bad).err(),
                Some(NoSigningSecret),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let text = format!("whsec_{}", STANDARD.encode([7; 32]));
        let secret = SigningSecret::parse(&text).unwrap();
        assert_eq!(format!("{secret:?}"), "SigningSecret");
    }
}

//! The wire form of passwords: AES-128-CBC with PKCS#7 padding (RFC 5652, 6.3) and one fixed IV,
//! in base64. It only keeps passwords out of plain sight on the way: every front end has the key.

use std::fmt;

use aes::Aes128;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cbc::{
    Decryptor, Encryptor,
    cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _, block_padding::Pkcs7},
};
use secrecy::SecretString;

const SIZE: usize = 16;

/// The key and the IV of the wire form.
#[derive(Clone)]
pub struct WireKey {
    key: [u8; SIZE],
    iv: [u8; SIZE],
}

/// What is wrong with a key or an IV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireKeyError {
    /// The key's form.
    #[error("the key of the wire secrets must be exactly 16 printable ASCII characters")]
    Key,
    /// The IV's form.
    #[error("the IV of the wire secrets must be exactly 16 printable ASCII characters")]
    Iv,
}

/// Why a wire secret cannot be read. Names neither the secret nor a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// No base64.
    #[error("it is not base64")]
    NotBase64,
    /// Base64, but not of something this key encrypted.
    #[error("it was not encrypted with this service's key and IV")]
    NotOurs,
    /// Control characters cannot be typed at a login.
    #[error("the password in it holds control characters")]
    ControlCharacters,
}

impl SecretError {
    /// The same in Chinese, as the end of a sentence whose subject is the field.
    pub fn in_chinese(self) -> &'static str {
        match self {
            Self::NotBase64 => "不是 base64，无法作为密码读取",
            Self::NotOurs => "不是用本服务的密钥和 IV 加密的，无法作为密码读取",
            Self::ControlCharacters => "中的密码含有控制字符",
        }
    }
}

impl WireKey {
    /// A key and an IV of 16 printable ASCII characters each.
    ///
    /// # Errors
    /// Which of the two has another form.
    pub fn new(key: &str, iv: &str) -> Result<Self, WireKeyError> {
        Ok(Self {
            key: block(key).ok_or(WireKeyError::Key)?,
            iv: block(iv).ok_or(WireKeyError::Iv)?,
        })
    }

    /// The wire form of a text.
    pub fn encrypt(&self, text: &str) -> String {
        let encryptor = Encryptor::<Aes128>::new(&self.key.into(), &self.iv.into());
        STANDARD.encode(encryptor.encrypt_padded_vec::<Pkcs7>(text.as_bytes()))
    }

    /// The text of a wire form; the empty string decrypts to itself.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn decrypt(&self, wire: &str) -> Result<SecretString, SecretError> {
        if wire.is_empty() {
            return Ok(SecretString::default());
        }
        let bytes = STANDARD.decode(wire).map_err(|_| SecretError::NotBase64)?;
        let plain = Decryptor::<Aes128>::new(&self.key.into(), &self.iv.into())
            .decrypt_padded_vec::<Pkcs7>(&bytes)
            .map_err(|_| SecretError::NotOurs)?;
        let text = String::from_utf8(plain).map_err(|_| SecretError::NotOurs)?;
        if text.chars().any(char::is_control) {
            return Err(SecretError::ControlCharacters);
        }
        Ok(text.into())
    }
}

impl fmt::Debug for WireKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WireKey(..)")
    }
}

fn block(text: &str) -> Option<[u8; SIZE]> {
    text.bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ')
        .then(|| text.as_bytes().try_into().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn key() -> WireKey {
        WireKey::new("c7e71f37dda040fd", "0000000000000000").unwrap()
    }

    #[test]
    fn the_vectors_of_the_protocol_hold_in_both_directions() {
        for (plain, wire) in [
            ("", "qkrhxQmWOe5kvpJpplvTuQ=="),
            ("Alkaid123456", "j7yC3VEVGFAJIRmnel+XVA=="),
            (" ", "EhbK7QBAQ+DyPSmUS5Ur+Q=="),
        ] {
            assert_eq!(key().encrypt(plain), wire);
            assert_eq!(key().decrypt(wire).unwrap().expose_secret(), plain);
        }
    }

    #[test]
    fn any_text_survives_the_way() {
        for plain in ["密码 with 空格", "0123456789abcdef", "0123456789abcdefg"] {
            let wire = key().encrypt(plain);
            assert_eq!(key().decrypt(&wire).unwrap().expose_secret(), plain);
        }
    }

    #[test]
    fn what_this_key_did_not_encrypt_is_refused() {
        let foreign = WireKey::new("another-key-0000", "0000000000000000").unwrap();
        assert_eq!(
            key().decrypt("Alkaid123456!").unwrap_err(),
            SecretError::NotBase64
        );
        assert_eq!(key().decrypt("AAAA").unwrap_err(), SecretError::NotOurs);
        assert_eq!(
            key().decrypt(&foreign.encrypt("Alkaid123456")).unwrap_err(),
            SecretError::NotOurs
        );
        assert_eq!(
            key().decrypt(&key().encrypt("a\nroot:b")).unwrap_err(),
            SecretError::ControlCharacters
        );
    }

    #[test]
    fn keys_have_sixteen_characters_and_do_not_print() {
        assert_eq!(
            WireKey::new("short", "0000000000000000").unwrap_err(),
            WireKeyError::Key
        );
        assert_eq!(
            WireKey::new("c7e71f37dda040fd", "密密密密密0").unwrap_err(),
            WireKeyError::Iv
        );
        assert_eq!(format!("{:?}", key()), "WireKey(..)");
    }
}

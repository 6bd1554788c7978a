//! Secrets at rest: AES-256-GCM (NIST SP 800-38D) around one 32-byte key.
//!
//! A sealed value is one version byte, a random 12-byte nonce, and the ciphertext with its tag.
//! The associated data names the place a value belongs to, so that a value copied into another
//! column or row does not open there.

use std::{
    fmt,
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use aes_gcm::{
    Aes256Gcm, Key, KeyInit as _, Nonce,
    aead::{Aead as _, Generate as _, Payload},
};
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::StoreError;

/// The layout of sealed values this version writes.
const VERSION: u8 = 1;
/// Bytes of a nonce.
const NONCE_LENGTH: usize = 12;
/// Bytes of a key.
const KEY_LENGTH: usize = 32;

/// Seals and opens the secrets in the database. Printing it shows nothing of the key.
#[derive(Clone)]
pub struct Seal {
    cipher: Aes256Gcm,
}

impl fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Seal")
    }
}

impl Seal {
    /// A seal from the bytes of a key, which must be 32.
    pub fn from_key(key: &[u8]) -> Result<Self, StoreError> {
        Self::from_key_at(key, "the given key")
    }

    fn from_key_at(key: &[u8], place: &str) -> Result<Self, StoreError> {
        let key = <&Key<Aes256Gcm>>::try_from(key).map_err(|_| StoreError::KeyLength {
            place: place.to_owned(),
            length: key.len(),
        })?;
        Ok(Self {
            cipher: Aes256Gcm::new(key),
        })
    }

    /// The seal whose key is in the file at `path`: 32 raw bytes, readable by its owner alone.
    /// Where there is no file, one is made with a fresh random key.
    ///
    /// Touches the disk, and may wait for the system's source of randomness: call it at start.
    pub fn load_or_create(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::KeyFile {
            path: path.to_owned(),
            source,
        };
        match std::fs::File::open(path) {
            Ok(file) => {
                let metadata = file.metadata().map_err(failed)?;
                let mode = metadata.permissions().mode() & 0o7777;
                if mode & 0o077 != 0 {
                    return Err(StoreError::KeyFileOpenToOthers {
                        path: path.to_owned(),
                        mode,
                    });
                }
                let mut key = Vec::with_capacity(KEY_LENGTH);
                // One byte more than a key is enough to see that a file is none.
                file.take(KEY_LENGTH as u64 + 1)
                    .read_to_end(&mut key)
                    .map_err(failed)?;
                if key.len() > KEY_LENGTH {
                    return Err(StoreError::KeyLength {
                        place: format!("the key file {}", path.display()),
                        length: usize::try_from(metadata.len()).unwrap_or(usize::MAX),
                    });
                }
                let key = SecretSlice::from(key);
                Self::from_key_at(
                    key.expose_secret(),
                    &format!("the key file {}", path.display()),
                )
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = SecretSlice::from(Key::<Aes256Gcm>::generate().to_vec());
                Self::write_key(path, key.expose_secret()).map_err(failed)?;
                // Read back rather than used: of two services that start at once, both use the
                // key that came to rest in the file.
                Self::load_or_create(path)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Puts a key in place whole or not at all: a service killed here must not leave a torn file.
    fn write_key(path: &Path, key: &[u8]) -> std::io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let draft = std::path::PathBuf::from(name);
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| {
                file.write_all(key)?;
                file.sync_all()
            })
            // A hard link, unlike a rename, never replaces a key that got there first.
            .and_then(|()| match std::fs::hard_link(&draft, path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
                other => other,
            });
        let removed = std::fs::remove_file(&draft);
        written.and(removed)
    }

    /// Seals `plain` for the place that `purpose` names.
    pub(crate) fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let nonce = Nonce::generate();
        let sealed = self
            .cipher
            .encrypt(
                &nonce,
                Payload {
                    msg: plain,
                    aad: purpose.as_bytes(),
                },
            )
            .map_err(|_| StoreError::corrupt("secret", "too long to be sealed"))?;
        let mut bytes = Vec::with_capacity(1 + NONCE_LENGTH + sealed.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(bytes)
    }

    /// Opens what [`Seal::seal`] made for the same purpose.
    pub(crate) fn open(&self, purpose: &str, sealed: &[u8]) -> Result<SecretSlice<u8>, StoreError> {
        let (nonce, ciphertext) = sealed
            .strip_prefix(&[VERSION])
            .and_then(|rest| rest.split_at_checked(NONCE_LENGTH))
            .ok_or_else(|| StoreError::corrupt("secret", "it is not in the sealed form"))?;
        let nonce = Nonce::try_from(nonce)
            .map_err(|_| StoreError::corrupt("secret", "its nonce is cut short"))?;
        self.cipher
            .decrypt(
                &nonce,
                Payload {
                    msg: ciphertext,
                    aad: purpose.as_bytes(),
                },
            )
            .map(SecretSlice::from)
            .map_err(|_| StoreError::WrongKey {
                what: purpose.to_owned(),
            })
    }
}

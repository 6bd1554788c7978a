//! Secrets at rest: AES-256-GCM (NIST SP 800-38D) around one 32-byte key.
//!
//! A sealed value is one version byte, a random 12-byte nonce, and the ciphertext with its tag.
//! The associated data names the place a value belongs to, so that a value copied into another
//! column or row does not open there.

use std::{
    fmt,
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
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
    /// `None` where there is no file. Touches the disk: call it at start.
    ///
    /// # Errors
    /// [`StoreError::KeyFile`], [`StoreError::KeyFileOpenToOthers`], [`StoreError::KeyLength`].
    pub fn load(path: &Path) -> Result<Option<Self>, StoreError> {
        let failed = |source| StoreError::KeyFile {
            path: path.to_owned(),
            source,
        };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
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
        let place = format!("the key file {}", path.display());
        if key.len() > KEY_LENGTH {
            return Err(StoreError::KeyLength {
                place,
                length: usize::try_from(metadata.len()).unwrap_or(usize::MAX),
            });
        }
        let key = SecretSlice::from(key);
        Self::from_key_at(key.expose_secret(), &place).map(Some)
    }

    /// As [`Seal::load`]; where there is no file, one is made with a fresh random key. May wait for
    /// the system's source of randomness.
    ///
    /// # Errors
    /// Those of [`Seal::load`].
    pub fn load_or_create(path: &Path) -> Result<Self, StoreError> {
        if let Some(seal) = Self::load(path)? {
            return Ok(seal);
        }
        let failed = |source| StoreError::KeyFile {
            path: path.to_owned(),
            source,
        };
        let key = SecretSlice::from(Key::<Aes256Gcm>::generate().to_vec());
        Self::write_key(path, key.expose_secret()).map_err(failed)?;
        // Read back rather than used: of two services that start at once, both use the key that came
        // to rest in the file.
        Self::load(path)?.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
    }

    /// Puts a key in place whole or not at all: a service killed here must not leave a torn file.
    fn write_key(path: &Path, key: &[u8]) -> std::io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let draft = PathBuf::from(name);
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

/// An installation's key: the one in its file, or on the first start a draft beside it, which gets
/// its name once the database is made. So a key file always says that there was a database.
#[derive(Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
    seal: Seal,
    draft: Option<PathBuf>,
}

impl KeyFile {
    pub(crate) fn load_or_draft(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        if let Some(seal) = Seal::load(&path)? {
            return Ok(Self {
                path,
                seal,
                draft: None,
            });
        }
        let mut draft = path.as_os_str().to_owned();
        draft.push(".draft");
        let draft = PathBuf::from(draft);
        Ok(Self {
            seal: Seal::load_or_create(&draft)?,
            path,
            draft: Some(draft),
        })
    }

    pub(crate) fn is_draft(&self) -> bool {
        self.draft.is_some()
    }

    pub(crate) fn seal(&self) -> Seal {
        self.seal.clone()
    }

    /// Gives a draft its name.
    pub(crate) fn keep(&self) -> Result<(), StoreError> {
        let Some(draft) = &self.draft else {
            return Ok(());
        };
        std::fs::rename(draft, &self.path)
            .and_then(|()| sync_folder(&self.path))
            .map_err(|source| StoreError::KeyFile {
                path: self.path.clone(),
                source,
            })
    }

    /// Removes a draft that no database was sealed with.
    pub(crate) fn discard(&self) {
        if let Some(draft) = &self.draft {
            // What stays is overwritten by nothing and used by the next first start.
            std::fs::remove_file(draft).ok();
        }
    }
}

/// Makes the names in a file's folder outlive a power cut.
pub(crate) fn sync_folder(file: &Path) -> std::io::Result<()> {
    match file.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

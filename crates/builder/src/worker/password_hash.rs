//! Passwords on their way into an image, hashed before they leave this process.

use argon2::{Argon2, password_hash::PasswordHasher as _};
use fastbuild_spec::{failure::Failure, image_spec::ServicePasswords, plan::PlanSecret};
use secrecy::{ExposeSecret as _, SecretString};
use sha_crypt::ShaCrypt;

use crate::common::internal;

/// glibc's crypt reads 16 characters of salt; base64 of 12 bytes is exactly that.
const CRYPT_SALT_BYTES: usize = 12;

/// The value of a secret a plan mounts.
///
/// Hashing is meant to be slow: call it off the async threads.
///
/// # Errors
/// `Internal` when the plan asks for a password the build does not have.
pub(crate) fn secret_value(
    secret: PlanSecret,
    passwords: &ServicePasswords,
    index_logins: &SecretString,
) -> Result<SecretString, Failure> {
    let password = match secret {
        PlanSecret::SshPasswordHash => &passwords.ssh,
        PlanSecret::JupyterPasswordHash => &passwords.jupyter_lab,
        PlanSecret::IndexLogins => return Ok(index_logins.clone()),
    };
    let password = password
        .as_ref()
        .ok_or_else(|| internal(&format!("the build has no password for {}", secret.id())))?;
    let bytes = password.expose_secret().as_bytes();
    let hashed = match secret {
        PlanSecret::JupyterPasswordHash => jupyter(bytes),
        _ => crypt(bytes),
    };
    hashed
        .map(SecretString::from)
        .map_err(|error| internal(&error))
}

/// SHA-512 crypt(5), as `/etc/shadow` takes it.
fn crypt(password: &[u8]) -> Result<String, String> {
    let salt: [u8; CRYPT_SALT_BYTES] = rand::random();
    ShaCrypt::SHA512
        .hash_password_with_salt(password, &salt)
        .map(|hash| hash.as_str().to_owned())
        .map_err(|error| error.to_string())
}

/// Argon2id in Jupyter Server's form, `argon2:<PHC string>`.
fn jupyter(password: &[u8]) -> Result<String, String> {
    Argon2::default()
        .hash_password(password)
        .map(|hash| format!("argon2:{hash}"))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> ServicePasswords {
        ServicePasswords {
            ssh: Some("Alkaid123456".into()),
            jupyter_lab: Some("Alkaid123456".into()),
        }
    }

    #[test]
    fn the_ssh_hash_has_the_shape_glibc_reads() {
        let hash = secret_value(
            PlanSecret::SshPasswordHash,
            &passwords(),
            &SecretString::default(),
        )
        .unwrap();
        let fields: Vec<&str> = hash.expose_secret().split('$').collect();
        assert_eq!(fields[1], "6");
        assert_eq!(fields[fields.len() - 2].len(), 16, "salt");
        assert_eq!(fields[fields.len() - 1].len(), 86, "digest");
        assert!(!hash.expose_secret().contains("Alkaid"));
    }

    #[test]
    fn the_jupyter_hash_verifies_and_differs_each_time() {
        use argon2::password_hash::{PasswordVerifier as _, phc::PasswordHash};
        let make = || {
            secret_value(
                PlanSecret::JupyterPasswordHash,
                &passwords(),
                &SecretString::default(),
            )
            .unwrap()
        };
        let (one, two) = (make(), make());
        assert_ne!(one.expose_secret(), two.expose_secret());
        let phc = one.expose_secret().strip_prefix("argon2:").unwrap();
        let parsed = PasswordHash::new(phc).unwrap();
        assert!(
            Argon2::default()
                .verify_password(b"Alkaid123456", &parsed)
                .is_ok()
        );
        assert!(
            Argon2::default()
                .verify_password(b"wrong", &parsed)
                .is_err()
        );
    }

    #[test]
    fn a_password_that_is_not_there_is_a_fault_of_ours() {
        let none = ServicePasswords::default();
        assert!(
            secret_value(PlanSecret::SshPasswordHash, &none, &SecretString::default()).is_err()
        );
    }
}

//! Passwords of a document: how people log in to what was built.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::{
    MASK, WireKey,
    reader::{Place, Reader},
    rules::{decrypted, password_fits, secret_text},
};
use crate::failure::Sentence;

/// The two places of a document that hold passwords.
const PLACES: [&str; 2] = ["ssh", "jupyter"];

/// A password, given in the clear (`password`) or in the wire form (`encrypted`). `false` in its
/// place says that none is wanted.
pub(super) fn password(
    reader: &mut Reader,
    place: &Place<'_>,
    key: &WireKey,
) -> Option<SecretString> {
    if place.value == Some(&Value::Bool(false)) || !place.is_given() {
        return None;
    }
    let place = reader.object(place);
    place.value?;
    reader.only(&place, &["password", "encrypted"]);
    let (plain, encrypted) = (place.field("password"), place.field("encrypted"));
    let password = match (plain.is_given(), encrypted.is_given()) {
        (true, false) => secret_text(reader, &plain).map(SecretString::from),
        (false, true) => decrypted(reader, &encrypted, key),
        _ => {
            let allowed = Sentence::new(
                "应含有 password 或 encrypted 之一",
                "must have either password or encrypted",
            );
            reader.refuse(&place, "", allowed);
            None
        }
    };
    let given = if plain.is_given() { plain } else { encrypted };
    password.and_then(|password| password_fits(reader, &given, password))
}

/// The document with its passwords masked.
pub(super) fn masked(body: &Value) -> Value {
    let mut body = body.clone();
    for place in PLACES {
        if let Some(access) = body.get_mut(place).filter(|access| access.is_object()) {
            *access = json!({"password": MASK});
        }
    }
    body
}

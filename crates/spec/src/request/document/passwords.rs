//! Passwords of a document: how people get into what was built.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::{
    WireKey,
    reader::{Place, Reader},
};
use crate::failure::Sentence;

const MASK: &str = "***";
const LONGEST: usize = 255;
/// The two places of a document that hold passwords.
const PLACES: [&str; 2] = ["ssh", "jupyter"];

/// A password, given as it is (`password`) or in the wire form (`encrypted`).
pub(super) fn password(
    reader: &mut Reader,
    place: &Place<'_>,
    key: &WireKey,
) -> Option<SecretString> {
    // Not wanted, said aloud.
    if place.value == Some(&Value::Bool(false)) || !place.is_given() {
        return None;
    }
    let place = reader.object(place);
    reader.only(&place, &["password", "encrypted"]);
    let (plain, encrypted) = (place.field("password"), place.field("encrypted"));
    match (plain.is_given(), encrypted.is_given()) {
        (true, false) => match plain.value {
            Some(Value::String(text)) if fits(text) => Some(text.clone().into()),
            _ => {
                // Never repeated.
                reader.refuse(
                    &plain,
                    "",
                    Sentence::new(
                        format!("应为一行文本，1 到 {LONGEST} 个字符"),
                        format!("must be one line of text of 1 to {LONGEST} characters"),
                    ),
                );
                None
            }
        },
        (false, true) => {
            let wire = encrypted.value.and_then(Value::as_str).unwrap_or_default();
            match key.decrypt(wire) {
                Ok(password) if fits(secrecy::ExposeSecret::expose_secret(&password)) => {
                    Some(password)
                }
                Ok(_) => {
                    let allowed = Sentence::new("不能为空", "must not be empty");
                    reader.refuse(&encrypted, "", allowed);
                    None
                }
                Err(error) => {
                    let allowed = Sentence::new(
                        error.in_chinese(),
                        format!("cannot be read as a password: {error}"),
                    );
                    reader.refuse(&encrypted, "", allowed);
                    None
                }
            }
        }
        _ if place.value.is_some() => {
            reader.refuse(
                &place,
                "",
                Sentence::new(
                    "应含有 password 或 encrypted 之一",
                    "must have either password or encrypted",
                ),
            );
            None
        }
        _ => None,
    }
}

fn fits(password: &str) -> bool {
    (1..=LONGEST).contains(&password.chars().count()) && !password.chars().any(char::is_control)
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

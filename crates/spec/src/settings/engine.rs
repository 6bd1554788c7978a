//! Engine documents of the API's version 1: an engine to add, and a patch of one.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::Value;

use super::TlsMaterial;
use crate::{
    failure::{FieldErrors, Sentence},
    names::{parse_engine_name, parse_host, parse_label_name},
    request::reader::{Place, Reader},
};

/// Ports on which Docker Engines listen unless told otherwise, without and with TLS.
const PORTS: [u16; 2] = [2375, 2376];
/// More builds than this at a time are no engine's.
const HIGHEST_CAPACITY: i64 = 1000;
/// No PEM file is larger.
const LARGEST_PEM: usize = 1 << 20;

/// An engine to be added.
#[derive(Debug, Clone)]
pub struct EngineDocument {
    /// Its name.
    pub name: String,
    /// IP address or host name.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The client side of mutual TLS; `None` is plain TCP.
    pub tls: Option<TlsMaterial>,
    /// How many builds run on it at a time, where that is said.
    pub capacity: Option<u32>,
    /// What an operator says about it.
    pub labels: BTreeMap<String, String>,
}

/// What is to change about an engine (RFC 7396); what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct EnginePatch {
    /// IP address or host name.
    pub host: Option<String>,
    /// TCP port.
    pub port: Option<u16>,
    /// The client side of mutual TLS; `Some(None)` turns TLS off.
    pub tls: Option<Option<TlsMaterial>>,
    /// How many builds run on it at a time.
    pub capacity: Option<u32>,
    /// What an operator says about it, all of it.
    pub labels: Option<BTreeMap<String, String>>,
}

/// Parses the document of an engine to be added.
///
/// # Errors
/// Every field that does not parse, all at once. Key material is never repeated.
pub fn parse_engine(body: &Value) -> Result<EngineDocument, FieldErrors> {
    let mut reader = Reader::default();
    let root = reader.object(&Place::root(body));
    reader.only(
        &root,
        &["name", "host", "port", "tls", "capacity", "labels"],
    );
    let place = root.field("name");
    let name = reader.text_once(&place).and_then(|text| {
        let parsed = parse_engine_name(&text);
        reader.parsed(&place, &text, parsed)
    });
    let place = root.field("host");
    if !place.is_given() {
        reader.refuse(&place, "", Sentence::new("不能为空", "must not be empty"));
    }
    let patch = fields(&mut reader, &root);
    let (name, host) = reader.errors.or(name.zip(patch.host))?;
    let tls = patch.tls.flatten();
    Ok(EngineDocument {
        name,
        host,
        port: patch.port.unwrap_or(PORTS[usize::from(tls.is_some())]),
        tls,
        capacity: patch.capacity,
        labels: patch.labels.unwrap_or_default(),
    })
}

/// Parses what is to change about an engine.
///
/// # Errors
/// As [`parse_engine`].
pub fn parse_engine_patch(body: &Value) -> Result<EnginePatch, FieldErrors> {
    let mut reader = Reader::default();
    let root = reader.object(&Place::root(body));
    reader.only(&root, &["host", "port", "tls", "capacity", "labels"]);
    let mut patch = fields(&mut reader, &root);
    if body.get("tls").is_some_and(Value::is_null) {
        patch.tls = Some(None);
    }
    reader.errors.or(Some(patch))
}

/// The fields that both documents have.
fn fields(reader: &mut Reader, root: &Place<'_>) -> EnginePatch {
    let place = root.field("host");
    let host = place
        .is_given()
        .then(|| reader.text(&place))
        .and_then(|text| {
            let parsed = parse_host(&text);
            reader.parsed(&place, &text, parsed)
        });
    let port = reader
        .integer(&root.field("port"), 1..=i64::from(u16::MAX))
        .and_then(|port| u16::try_from(port).ok());
    let capacity = reader
        .integer(&root.field("capacity"), 1..=HIGHEST_CAPACITY)
        .and_then(|capacity| u32::try_from(capacity).ok());
    let place = root.field("labels");
    let labels = place
        .is_given()
        .then(|| reader.entries(&place, parse_label_name));
    EnginePatch {
        host,
        port,
        tls: tls(reader, &root.field("tls")).map(Some),
        capacity,
        labels,
    }
}

fn tls(reader: &mut Reader, place: &Place<'_>) -> Option<TlsMaterial> {
    if !place.is_given() {
        return None;
    }
    let place = reader.object(place);
    reader.only(&place, &["ca", "cert", "key"]);
    let mut pem = |name: &str, kind: &str| {
        let place = place.field(name);
        let text = reader.text_once(&place)?;
        let begins = text.contains("-----BEGIN ") && text.contains(kind);
        if !begins || text.len() > LARGEST_PEM {
            reader.refuse(
                &place,
                "",
                Sentence::new(
                    format!("应为 PEM 文本（-----BEGIN … {kind}-----）"),
                    format!("must be PEM text (-----BEGIN ... {kind}-----)"),
                ),
            );
            return None;
        }
        Some(text)
    };
    let (ca, cert) = (pem("ca", "CERTIFICATE"), pem("cert", "CERTIFICATE"));
    let key = pem("key", "PRIVATE KEY").map(SecretString::from);
    Some(TlsMaterial {
        ca_pem: ca?,
        cert_pem: cert?,
        key_pem: key?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::failure::FieldError;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";

    fn mistakes(errors: &FieldErrors) -> String {
        let line = |error: &FieldError| format!("{}: {}", error.path, error.detail().en);
        errors
            .reported()
            .iter()
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let plain = parse_engine(&json!({"name": "b", "host": "10.0.0.2"})).unwrap();
        assert_eq!((plain.port, plain.capacity), (2375, None));
        assert!(plain.tls.is_none() && plain.labels.is_empty());
        let tls = json!({"ca": CERTIFICATE, "cert": CERTIFICATE, "key": KEY});
        let with_tls = json!({
            "name": "c", "host": "docker.example", "tls": tls, "capacity": 8,
            "labels": {"rack": "a7"}
        });
        let with_tls = parse_engine(&with_tls).unwrap();
        assert_eq!((with_tls.port, with_tls.capacity), (2376, Some(8)));
        assert_eq!(with_tls.labels["rack"], "a7");
        assert_eq!(with_tls.tls.unwrap().ca_pem, CERTIFICATE);
    }

    #[test]
    fn a_patch_changes_what_it_names() {
        let none = parse_engine_patch(&json!({})).unwrap();
        assert!(none.host.is_none() && none.tls.is_none() && none.labels.is_none());
        let patch = json!({"tls": null, "labels": {}, "capacity": 2});
        let patch = parse_engine_patch(&patch).unwrap();
        assert!(matches!(patch.tls, Some(None)));
        assert_eq!(patch.labels, Some(BTreeMap::new()));
        assert_eq!(patch.capacity, Some(2));
    }

    #[test]
    fn every_mistake_is_told_and_no_key_repeated() {
        let body = json!({
            "name": "Builder 2", "host": "tcp://10.0.0.2", "port": 0, "capacity": "4",
            "labels": {"a b": "c"}, "draining": true,
            "tls": {"ca": CERTIFICATE, "cert": KEY, "key": "hunter2"}
        });
        insta::assert_snapshot!(mistakes(&parse_engine(&body).unwrap_err()));
        let nothing = parse_engine(&json!({})).unwrap_err();
        assert_eq!(nothing.len(), 2, "{}", mistakes(&nothing));
        assert!(parse_engine_patch(&json!({"name": "b"})).is_err());
        assert!(parse_engine_patch(&json!([])).is_err());
    }
}

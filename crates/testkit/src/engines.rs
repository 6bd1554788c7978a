//! Engines as callers of version 1 describe them.

use anyhow::Result;
use serde_json::{Value, json};

use crate::env::EnginePart;

/// The document that adds an engine of the parts under a name, with its keys where it has some.
///
/// # Errors
/// When the keys cannot be read.
pub fn engine_document(name: &str, engine: &EnginePart, capacity: u32) -> Result<Value> {
    let mut document = json!({
        "name": name,
        "host": engine.host,
        "port": engine.port,
        "capacity": capacity,
    });
    if let Some(folder) = &engine.tls_dir {
        let read = |file: &str| std::fs::read_to_string(folder.join(file));
        document["tls"] = json!({
            "ca": read("ca.pem")?,
            "cert": read("cert.pem")?,
            "key": read("key.pem")?,
        });
    }
    Ok(document)
}

//! `[sources]`: what requests may install from.

use std::collections::BTreeMap;

use super::reader::Reader;
use fastbuild_spec::{
    names::parse_file_name,
    requirements::{HostPattern, IndexLogin, NamedIndex, Sources, index_address},
};
use serde::Deserialize;

/// An index as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenIndex {
    url: String,
    username: Option<String>,
    password: Option<String>,
}

impl Reader<'_> {
    /// What requests may install from. A mistake repeats no password.
    pub(super) fn sources(&mut self) -> Option<Sources> {
        let urls: Vec<String> = self.get("sources.allowed_indexes")?;
        let hosts: Vec<String> = self.get("sources.allowed_hosts")?;
        let written: BTreeMap<String, WrittenIndex> = self.get("sources.indexes")?;
        let mut sources = Sources::default();
        for text in urls {
            match index_address(&text) {
                Some(url) => sources.allowed_indexes.push(url),
                None => self.mistake("sources.allowed_indexes", NO_ADDRESS),
            }
        }
        for text in hosts {
            match HostPattern::parse(&text) {
                Ok(pattern) => sources.allowed_hosts.push(pattern),
                Err(text) => self.mistake(
                    "sources.allowed_hosts",
                    &format!("{text:?} is no host, host:port or *.host"),
                ),
            }
        }
        let mut accounts: BTreeMap<String, String> = BTreeMap::new();
        for (name, index) in written {
            let key = format!("sources.indexes.{name}");
            if parse_file_name(&name).is_err() {
                self.mistake(&key, "must be named by letters, digits and . _ -");
            }
            let Some(url) = index_address(&index.url) else {
                self.mistake(&key, NO_ADDRESS);
                continue;
            };
            let login = match (index.username, index.password) {
                (None, None) => None,
                (Some(username), Some(password)) => {
                    let login = IndexLogin::new(username, password);
                    if login.is_none() {
                        self.mistake(
                            &key,
                            "username and password must be printable ASCII without blanks",
                        );
                    }
                    let host = url.host_str().unwrap_or_default().to_owned();
                    if let Some(other) = accounts.insert(host, name.clone()) {
                        self.mistake(&key, &format!("has an account at the host of {other}; tools know one for each host"));
                    }
                    login
                }
                _ => {
                    self.mistake(&key, "needs username and password, or neither");
                    None
                }
            };
            sources.indexes.insert(name, NamedIndex { url, login });
        }
        Some(sources)
    }
}

const NO_ADDRESS: &str =
    "must be an http:// or https:// address without user name, password, query and fragment";

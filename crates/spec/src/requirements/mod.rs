//! Requirement files as pip reads them: requirements.txt with the files it names, pyproject.toml and pylock.toml.
//!
//! What a file says is parsed, checked against what the site allows ([`Sources`]) and written anew, one requirement a
//! line: so pip and uv both read what was checked, and nothing else. Markers and hashes are kept for the tool
//! that installs, which evaluates them in the image's own Python.

mod hosts;
mod lines;
mod lock;
mod marker;
mod options;
mod project;
mod read;
mod requirement;

use serde::{Deserialize, Serialize};

pub use self::hosts::{HostPattern, IndexLogin, NamedIndex, Sources, index_address};
pub(crate) use self::{
    project::{pylock, pyproject},
    read::{FileError, Files, read, simple, with_indexes},
};

/// What requirement files want installed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RequirementSet {
    /// Lines for `pip install --requirement`.
    pub requirements: Vec<String>,
    /// Lines for `pip install --constraint`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// How they are installed.
    #[serde(skip_serializing_if = "InstallOptions::is_default")]
    pub options: InstallOptions,
}

/// Options of pip that hold for a whole installation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of pip's")]
pub struct InstallOptions {
    /// In place of the index that pip is configured with.
    pub index_url: Option<String>,
    /// Beside it.
    pub extra_index_urls: Vec<String>,
    /// Whether no index is asked at all.
    pub no_index: bool,
    /// Pages with links to archives.
    pub find_links: Vec<String>,
    /// Hosts, perhaps with a port, that are trusted without a certificate.
    pub trusted_hosts: Vec<String>,
    /// Whether versions before a release count.
    pub pre: bool,
    /// Whether an older wheel is taken before a newer source archive.
    pub prefer_binary: bool,
    /// `--no-binary=...` and `--only-binary=...` in their order, which matters.
    pub formats: Vec<String>,
    /// Whether everything has to have a hash.
    pub require_hashes: bool,
    /// Whether what is named is all that is installed.
    pub no_deps: bool,
    /// Named indexes whose accounts are used.
    pub logins: Vec<String>,
}

impl InstallOptions {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl RequirementSet {
    /// Whether nothing of it changes an installation.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

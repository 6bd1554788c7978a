//! Parsers of names in requests, each by the rules of the tool that will read the name. A parsed
//! name cannot be mistaken for an option or URL by its tool. It must still be quoted in shell text.

mod conda;
mod debian;
mod engine_name;
mod entry;
mod file_name;
mod host;
mod pep508;
mod rpm;
mod text;

pub(crate) use conda::is_channel;
pub use conda::parse_match_spec;
pub use debian::{parse_debian_package, parse_debian_version};
pub use engine_name::parse_engine_name;
pub use entry::{parse_env_name, parse_env_value, parse_label_name};
pub use file_name::{parse_file_name, parse_install_location};
pub use host::{HostPort, parse_host, parse_host_port};
pub use pep508::parse_requirement;
pub(crate) use pep508::split_requirement;
pub use rpm::{parse_rpm_package, parse_rpm_version};
pub use text::{parse_description, parse_line};

use crate::failure::Sentence;

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", allowed.en)]
pub struct NameError {
    /// What is allowed, as the end of a sentence whose subject is the field ("must be ...").
    pub allowed: Sentence,
}

impl NameError {
    pub(crate) fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            allowed: Sentence::new(zh, en),
        }
    }
}

#[cfg(test)]
mod attacks {
    /// Texts that are no name of any kind.
    pub(super) const ATTACKS: [&str; 18] = [
        "curl; touch /pwned",
        "--index-url=http://x",
        "-o=Dpkg::Options::=x",
        "git\ntouch /pwned",
        "git\r\nRUN id",
        "$(id)",
        "`id`",
        "a$(id)",
        "a`id`b",
        "../x",
        "a/../../x",
        "git\0",
        "git\u{202e}tig",
        "ｇｉｔ／ｘ",
        "gi\u{200b}t",
        "git && id",
        "git|id",
        "a'b\"c",
    ];
}

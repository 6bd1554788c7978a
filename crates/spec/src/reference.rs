//! Image references: `[registry[:port]/]repository[:tag][@digest]`, as the Docker and OCI
//! distribution tools write them.

use std::{fmt, str::FromStr};

use oci_spec::distribution::Reference;
use serde::{Deserialize, Serialize};

/// A parsed image reference that remembers whether a registry was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    registry: Option<String>,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a text is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReferenceError(String);

impl ImageReference {
    /// The registry as written, with its port; `None` is Docker Hub.
    pub fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// The repository without registry, tag and digest, such as `base/ubuntu`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Registry and repository as written, without tag and digest.
    pub fn name(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            None => self.repository.clone(),
        }
    }

    /// The tag; `latest` when none was written.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }

    /// The digest, such as `sha256:...`, where one was written.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

impl FromStr for ImageReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed: Reference =
            text.parse()
                .map_err(|error: oci_spec::distribution::ParseError| {
                    ReferenceError(error.to_string())
                })?;
        let registry = text
            .strip_prefix(parsed.registry())
            .is_some_and(|rest| rest.starts_with('/'))
            .then(|| parsed.registry().to_owned());
        if let Some((_, port)) = registry.as_deref().and_then(|name| name.split_once(':'))
            && port.parse::<u16>().is_err()
        {
            return Err(ReferenceError(format!(
                "the port {port} is not between 0 and 65535"
            )));
        }
        let repository = parsed.repository();
        let repository = match (&registry, repository.strip_prefix("library/")) {
            (None, Some(short)) if !text.starts_with("library/") => short,
            _ => repository,
        };
        let name = registry.as_ref().map_or(0, |registry| registry.len() + 1) + repository.len();
        let tag_written = text.get(name..).is_some_and(|rest| rest.starts_with(':'));
        Ok(Self {
            repository: repository.to_owned(),
            tag: parsed.tag().filter(|_| tag_written).map(str::to_owned),
            digest: parsed.digest().map(str::to_owned),
            registry,
        })
    }
}

impl fmt::Display for ImageReference {
    /// The reference as an engine takes it: with `:latest` when neither tag nor digest was
    /// written.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name())?;
        match (&self.tag, &self.digest) {
            (None, None) => formatter.write_str(":latest"),
            (None, Some(digest)) => write!(formatter, "@{digest}"),
            (Some(tag), None) => write!(formatter, ":{tag}"),
            (Some(tag), Some(digest)) => write!(formatter, ":{tag}@{digest}"),
        }
    }
}

impl TryFrom<String> for ImageReference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> Self {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (Option<String>, String, String, Option<String>, String) {
        let reference: ImageReference = text.parse().unwrap();
        (
            reference.registry().map(str::to_owned),
            reference.repository().to_owned(),
            reference.tag().to_owned(),
            reference.digest().map(str::to_owned),
            reference.to_string(),
        )
    }

    #[test]
    fn a_registry_may_have_a_port_and_a_tag_may_be_missing() {
        insta::assert_debug_snapshot!(
            [
                "ubuntu",
                "library/ubuntu:20.04",
                "172.27.213.154:30003/base/ubuntu:v3",
                "172.27.213.154:30003/base/ubuntu",
                "harbor.example/team/a/b:1",
                "localhost/x",
                "docker.io/library/debian:12",
            ]
            .map(|text| parts(text).4),
            @r#"
        [
            "ubuntu:latest",
            "library/ubuntu:20.04",
            "172.27.213.154:30003/base/ubuntu:v3",
            "172.27.213.154:30003/base/ubuntu:latest",
            "harbor.example/team/a/b:1",
            "localhost/x:latest",
            "docker.io/library/debian:12",
        ]
        "#
        );
        assert_eq!(
            parts("172.27.213.154:30003/base/ubuntu").0.as_deref(),
            Some("172.27.213.154:30003")
        );
        assert_eq!(parts("base/ubuntu:1").0, None);
    }

    #[test]
    fn a_digest_stands_instead_of_a_tag_or_beside_it() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let bare = format!("r.example/a@{digest}");
        assert_eq!(parts(&bare).4, bare);
        assert_eq!(parts(&bare).3.as_deref(), Some(digest.as_str()));
        let both = format!("r.example:5000/a:1@{digest}");
        assert_eq!(parts(&both).4, both);
        assert_eq!(parts(&both).2, "1");
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "",
            "a/Upper",
            "a b",
            "a:",
            "../containers/x",
            "a;touch /pwned",
            "a:$(id)",
            "a\n",
            "r.example:99999/a",
            "a@sha256:12",
        ] {
            assert!(text.parse::<ImageReference>().is_err(), "{text:?}");
        }
    }
}

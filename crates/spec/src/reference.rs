//! Image references in Docker's own grammar: `[host[:port]/]path[:tag][@digest]`.
//!
//! The grammar and its normal form are those of `github.com/distribution/reference` v0.6, which
//! Docker Engine 23 and later and the Docker CLI parse with. Its rules for what is a host (a first
//! component with `.`, `:` or an upper case letter, or `localhost`) and for Docker Hub's names
//! (`docker.io`, `index.docker.io`, `library/`) are what decides which registry is asked.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::failure::Sentence;

/// Docker Hub's host in the normal form of a name.
const DOCKER_HUB: &str = "docker.io";
/// Docker Hub's older host.
const DOCKER_HUB_OLD: &str = "index.docker.io";
/// The path of Docker Hub's official images, which is left out when they are written.
const OFFICIAL: &str = "library/";
/// The longest path, in bytes (`RepositoryNameTotalLengthMax`). Engines before 23 count the host as well.
const LONGEST_PATH: usize = 255;
/// The longest tag, in bytes.
const LONGEST_TAG: usize = 128;
/// Names of Docker Hub that no engine pulls or pushes.
const RESERVED: [&str; 2] = ["scratch", "sha256"];
/// The tag of a name that has neither tag nor digest.
const LATEST: &str = "latest";
/// The digest algorithms that engines know, with the length of their hexadecimal form
/// (`github.com/opencontainers/go-digest`).
const DIGESTS: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// A parsed image reference in its normal form: two texts that name the same image are equal, and print the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    /// `docker.io` where none or another name of Docker Hub was written. Empty where the grammar takes the text
    /// although its first component looks like a host and is none (`my_host.example/x`).
    domain: String,
    /// With `library/`, where that was left out.
    path: String,
    /// `latest` where neither tag nor digest was written.
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a text is no image reference, or none that an image can be pulled or pushed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing was written.
    #[error("it is empty")]
    Empty,
    /// 64 hexadecimal digits, which engines take for an image's id.
    #[error("64 hexadecimal digits are an image's id and no name")]
    Identifier,
    /// An upper case letter in the path.
    #[error("its path has upper case letters")]
    UpperCase,
    /// The path does not fit the grammar.
    #[error("its path is not made of lower case letters, digits and single separators")]
    Path,
    /// The path is longer than 255 bytes.
    #[error("its path is longer than {LONGEST_PATH} characters")]
    TooLong,
    /// The tag does not fit the grammar.
    #[error("its tag is not made of 1 to {LONGEST_TAG} ASCII letters, digits, '.', '_' and '-'")]
    Tag,
    /// The digest does not fit the grammar, or its algorithm is not known.
    #[error(
        "its digest is not sha256:, sha384: or sha512: with as many lower case hexadecimal digits as that has"
    )]
    Digest,
    /// The host is none, or its port is not between 1 and 65535.
    #[error("its registry is no host name or IP address with a port from 1 to 65535")]
    Host,
    /// `scratch`, which no registry has, or `sha256`, which with a tag is an id.
    #[error("scratch and sha256 are names that Docker keeps for itself")]
    Reserved,
}

impl ReferenceError {
    /// What the name must be, as it follows the name of a field.
    pub fn allowed(self) -> Sentence {
        match self {
            Self::Empty | Self::Path => Sentence::new(
                "应为镜像名 [仓库地址[:端口]/]名称[:标签]，名称只用小写字母、数字及 . _ - /，例如 harbor.example:30003/base/ubuntu:18.04",
                "must be an image name, [registry[:port]/]name[:tag] with lower case letters, \
                 digits and . _ - / in the name, such as harbor.example:30003/base/ubuntu:18.04",
            ),
            Self::Identifier => Sentence::new(
                "应为镜像名，不能是镜像 ID（64 位十六进制数）",
                "must be the name of an image and not an id (64 hexadecimal digits)",
            ),
            Self::UpperCase => Sentence::new(
                "应为镜像名，仓库地址之后的名称只用小写字母、数字及 . _ - /，不能有大写字母",
                "must be an image name with lower case letters, digits and . _ - / after the \
                 registry; upper case letters are not allowed there",
            ),
            Self::TooLong => Sentence::new(
                format!(
                    "应为镜像名，仓库地址之后的名称（Docker Hub 官方镜像含 library/）最长 {LONGEST_PATH} 个字符"
                ),
                format!(
                    "must be an image name with at most {LONGEST_PATH} characters after the registry \
                     (counting library/ of Docker Hub's official images)"
                ),
            ),
            Self::Tag => Sentence::new(
                format!(
                    "的标签应为 1 至 {LONGEST_TAG} 个 ASCII 字母、数字及 . _ -，且不以 . 或 - 开头"
                ),
                format!(
                    "must have a tag of 1 to {LONGEST_TAG} ASCII letters, digits and . _ -, which does not begin \
                     with . or -"
                ),
            ),
            Self::Digest => Sentence::new(
                "的摘要应为 sha256: 加 64 位、sha384: 加 96 位或 sha512: 加 128 位小写十六进制数",
                "must have a digest of sha256: and 64, sha384: and 96, or sha512: and 128 lower case \
                 hexadecimal digits",
            ),
            Self::Host => Sentence::new(
                "的仓库地址应为主机名或 IP 地址（IPv6 加方括号），可带 1 到 65535 的端口，例如 harbor.example:30003/base/ubuntu:18.04",
                "must have a registry that is a host name or an IP address (IPv6 in brackets), perhaps with a port \
                 from 1 to 65535, such as harbor.example:30003/base/ubuntu:18.04",
            ),
            Self::Reserved => Sentence::new(
                "不能是 scratch 或 sha256：这是 Docker 的保留名（scratch 代表没有任何文件的空镜像）；请写一个带有系统的镜像，例如 debian:12",
                "must not be scratch or sha256, names that Docker keeps for itself (scratch is an image without any \
                 file); name an image that holds a system, such as debian:12",
            ),
        }
    }
}

impl ImageReference {
    /// Parses the name of an image that is to be pulled or pushed: beside the grammar, its registry
    /// must be one that an engine can ask.
    ///
    /// # Errors
    /// Those of the grammar, `Host` and `Reserved`.
    pub fn parse_pullable(text: &str) -> Result<Self, ReferenceError> {
        let parsed: Self = text.parse()?;
        let port_fits = match split_port(&parsed.domain).1 {
            Some(port) => port.parse::<u16>().is_ok_and(|port| port > 0),
            None => true,
        };
        if parsed.domain.is_empty() || !port_fits {
            return Err(ReferenceError::Host);
        }
        if parsed.registry().is_none() && RESERVED.contains(&parsed.repository()) {
            return Err(ReferenceError::Reserved);
        }
        Ok(parsed)
    }

    /// The registry with its port; `None` is Docker Hub, under whichever of its names it was written.
    pub fn registry(&self) -> Option<&str> {
        (self.domain != DOCKER_HUB).then_some(self.domain.as_str())
    }

    /// The registry with its port, `docker.io` for Docker Hub.
    pub fn host(&self) -> &str {
        &self.domain
    }

    /// The repository without registry, tag and digest, such as `base/ubuntu`; of Docker Hub's official images
    /// without `library/`.
    pub fn repository(&self) -> &str {
        match self.path.strip_prefix(OFFICIAL) {
            Some(short) if self.registry().is_none() && !short.contains('/') => short,
            _ => &self.path,
        }
    }

    /// The repository as the registry's own API calls it (`<name>` in the OCI distribution specification).
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Registry and repository without tag and digest, in the shortest form that names the same image:
    /// `debian` for `docker.io/library/debian`.
    pub fn name(&self) -> String {
        let short = self.repository();
        match self.registry() {
            Some("") => short.to_owned(),
            Some(registry) => format!("{registry}/{short}"),
            // Docker's own short form would be read as another image, or as an id.
            None if is_ambiguous(short, &self.path) => format!("{DOCKER_HUB}/{short}"),
            None => short.to_owned(),
        }
    }

    /// The tag; `latest` when none was written.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(LATEST)
    }

    /// The digest, such as `sha256:...`, where one was written.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

/// Whether Docker Hub's `short` name of `path` is read as anything else than that.
fn is_ambiguous(short: &str, path: &str) -> bool {
    let (domain, remainder) = split_domain(short);
    domain != DOCKER_HUB
        || full_path(domain, remainder) != path
        || is_identifier(short)
        || DIGESTS.iter().any(|(algorithm, _)| *algorithm == short)
}

/// What an engine takes for an image's id before it takes it for a name.
fn is_identifier(text: &str) -> bool {
    text.len() == 64 && is_lower_hex(text)
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The host, in its normal form, and what follows it (`splitDockerDomain`).
fn split_domain(text: &str) -> (&str, &str) {
    let written = text.split_once('/').filter(|(first, _)| {
        first.contains(['.', ':']) || *first == "localhost" || first.chars().any(char::is_uppercase)
    });
    match written {
        Some((DOCKER_HUB_OLD, remainder)) => (DOCKER_HUB, remainder),
        Some(written) => written,
        None => (DOCKER_HUB, text),
    }
}

fn full_path(domain: &str, path: &str) -> String {
    if domain == DOCKER_HUB && !path.contains('/') {
        format!("{OFFICIAL}{path}")
    } else {
        path.to_owned()
    }
}

/// `host` and `port` of `host:port`; an IPv6 address stands in brackets.
fn split_port(domain: &str) -> (&str, Option<&str>) {
    match domain.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (domain, None),
    }
}

/// `domain` of the grammar: components of letters, digits and inner hyphens, or anything of hexadecimal digits and
/// colons in brackets, and a port of digits.
fn is_domain(text: &str) -> bool {
    let (host, port) = split_port(text);
    let port_fits =
        port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let host_fits = match bracketed {
        Some(address) => {
            !address.is_empty()
                && address
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || byte == b':')
        }
        None => host.split('.').all(is_domain_component),
    };
    port_fits && host_fits
}

fn is_domain_component(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `path-component` of the grammar: lower case letters and digits, and between them `.`, `_`, `__` or any number of `-`.
fn is_path_component(text: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends_fit = bytes.first().is_some_and(is_word) && bytes.last().is_some_and(is_word);
    ends_fit
        && bytes.split(is_word).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__")
                || separator.iter().all(|byte| *byte == b'-')
        })
}

fn is_path(text: &str) -> bool {
    text.split('/').all(is_path_component)
}

fn is_tag(text: &str) -> bool {
    (1..=LONGEST_TAG).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        DIGESTS.contains(&(algorithm, hex.len())) && is_lower_hex(hex)
    })
}

impl FromStr for ImageReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if is_identifier(text) {
            return Err(ReferenceError::Identifier);
        }
        let (written, remainder) = split_domain(text);
        let (remainder, digest) = split_at(remainder, '@');
        let (after_host, tag) = split_at(remainder, ':');
        // What is no host is the beginning of the path, if it fits there.
        let (domain, path) = if is_domain(written) {
            (written, full_path(written, after_host))
        } else {
            ("", format!("{written}/{after_host}"))
        };
        if !is_path(&path) {
            let looks_like_a_host = domain.is_empty() && written.contains(char::is_alphanumeric);
            return Err(if is_path(&path.to_lowercase()) {
                ReferenceError::UpperCase
            } else if looks_like_a_host && is_path(after_host) {
                ReferenceError::Host
            } else {
                ReferenceError::Path
            });
        }
        if path.len() > LONGEST_PATH {
            return Err(ReferenceError::TooLong);
        }
        if !tag.is_none_or(is_tag) {
            return Err(ReferenceError::Tag);
        }
        if !digest.is_none_or(is_digest) {
            return Err(ReferenceError::Digest);
        }
        Ok(Self {
            domain: domain.to_owned(),
            path,
            tag: tag
                .or(digest.is_none().then_some(LATEST))
                .map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }
}

fn split_at(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

impl fmt::Display for ImageReference {
    /// The reference as an engine takes it: with `:latest` when neither tag nor digest was
    /// written.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name())?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(formatter, "@{digest}"),
            None => Ok(()),
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
mod tests;

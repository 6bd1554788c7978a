//! One requirement of a file: a name (PEP 508), a direct URL, or a repository of git.

use url::Url;

use super::{hosts::Refused, marker::is_marker};
use crate::{
    failure::Sentence,
    names::{NameError, split_requirement},
};

/// A requirement, written as pip and uv both read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requirement {
    /// Name with extras; empty for a bare URL.
    pub(super) name: String,
    /// Version specifiers; empty where there are none or a URL stands in their place.
    pub(super) specifiers: String,
    /// Where it comes from, unless from an index.
    pub(super) url: Option<String>,
    /// When it applies.
    pub(super) marker: Option<String>,
    /// `sha256:...`.
    pub(super) hashes: Vec<String>,
}

impl Requirement {
    /// Parses a requirement without its options.
    ///
    /// # Errors
    /// A sentence for a text that pip does not read, or that names a file of the writer's own machine.
    pub(super) fn parse(text: &str) -> Result<Self, Refused> {
        let is_bare_url = text
            .split_once(':')
            .is_some_and(|(scheme, _)| is_scheme(scheme));
        let (subject, marker) = if is_bare_url {
            split_marker(text, "; ")
        } else {
            split_marker(text, ";")
        };
        if marker.is_some_and(|marker| !is_marker(marker)) {
            return Err(Refused::plain(marker_is_none()));
        }
        let marker = marker.map(str::to_owned);
        if is_bare_url {
            return Ok(Self {
                name: String::new(),
                specifiers: String::new(),
                url: Some(url(subject)?),
                marker,
                hashes: vec![],
            });
        }
        if let Some((name, address)) = subject.split_once('@') {
            let (name, specifiers) = split_requirement(name.trim()).map_err(name_error)?;
            if !specifiers.is_empty() {
                return Err(Refused::plain(name_and_url()));
            }
            return Ok(Self {
                name,
                specifiers,
                url: Some(url(address.trim())?),
                marker,
                hashes: vec![],
            });
        }
        if is_path(subject) {
            return Err(Refused::plain(local_path()));
        }
        let (name, specifiers) = split_requirement(subject).map_err(name_error)?;
        Ok(Self {
            name,
            specifiers,
            url: None,
            marker,
            hashes: vec![],
        })
    }

    /// Whether it is a name with specifiers and nothing else.
    pub(super) fn is_simple(&self) -> bool {
        self.url.is_none() && self.marker.is_none() && self.hashes.is_empty()
    }

    /// As one line of a requirement file.
    pub(super) fn line(&self) -> String {
        let mut line = match &self.url {
            Some(url) if self.name.is_empty() => url.clone(),
            Some(url) => format!("{} @ {url}", self.name),
            None => format!("{}{}", self.name, self.specifiers),
        };
        if let Some(marker) = &self.marker {
            line.push_str(" ; ");
            line.push_str(marker);
        }
        for hash in &self.hashes {
            line.push_str(" --hash=");
            line.push_str(hash);
        }
        line
    }

    /// The address, without what a tool puts before and behind it.
    pub(super) fn address(&self) -> Option<Url> {
        let text = self.url.as_deref()?;
        text.strip_prefix("git+").unwrap_or(text).parse().ok()
    }
}

/// `sha256:` and so on with as many hexadecimal digits as pip's three algorithms have.
pub(super) fn is_hash(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        [("sha256", 64), ("sha384", 96), ("sha512", 128)].contains(&(algorithm, hex.len()))
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn split_marker<'text>(text: &'text str, separator: &str) -> (&'text str, Option<&'text str>) {
    match text.split_once(separator) {
        Some((subject, marker)) => (subject.trim(), Some(marker.trim())),
        None => (text.trim(), None),
    }
}

/// What pip takes for the beginning of a URL.
fn is_scheme(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let plain = text.split_once('+').map_or(text.as_str(), |(tool, _)| tool);
    matches!(
        plain,
        "http" | "https" | "file" | "ftp" | "git" | "hg" | "svn" | "bzr" | "ssh"
    )
}

fn is_path(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    text.starts_with(['.', '/', '~', '\\'])
        || text.contains(['/', '\\'])
        || [".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz"]
            .iter()
            .any(|end| lower.ends_with(end))
}

/// An address of a wheel, an archive or a repository that a build can fetch without an account of the writer's.
fn url(text: &str) -> Result<String, Refused> {
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("file:") {
        return Err(Refused::plain(local_path()));
    }
    let address = match lower.strip_prefix("git+") {
        Some(_) => &text[4..],
        None => text,
    };
    let parsed = Url::parse(address).ok().filter(|url| {
        ["http", "https"].contains(&url.scheme())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !text.contains(['"', '\'', '\\', ';', '`', '<', '>'])
    });
    let Some(parsed) = parsed else {
        return Err(Refused::secret(no_url()));
    };
    // pip, too, knows a wheel by these letters alone.
    if parsed.path().strip_suffix(".whl").is_some() && !is_wheel(&parsed) {
        return Err(Refused::plain(no_wheel()));
    }
    // `git@` in front of a host is a name that everybody uses.
    if parsed.password().is_some() || !["", "git"].contains(&parsed.username()) {
        return Err(Refused::secret(has_login()));
    }
    Ok(text.to_owned())
}

/// Whether an address ends in the name of a wheel: name, version, perhaps a build, and three tags (PEP 427).
fn is_wheel(url: &Url) -> bool {
    let name = url.path().rsplit('/').next().unwrap_or_default();
    let stem = name.strip_suffix(".whl").unwrap_or_default();
    let parts: Vec<&str> = stem.split('-').collect();
    let fits = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._+!%".contains(&byte))
    };
    matches!(parts.len(), 5 | 6) && parts.into_iter().all(fits)
}

fn no_wheel() -> Sentence {
    Sentence::new(
        "的文件名不是 wheel 的，应为 名称-版本-Python-ABI-平台.whl，例如 six-1.16.0-py2.py3-none-any.whl",
        "must end in a wheel's file name, name-version-python-abi-platform.whl, such as six-1.16.0-py2.py3-none-any.whl",
    )
}

fn name_error(error: NameError) -> Refused {
    Refused::plain(error.allowed)
}

fn marker_is_none() -> Sentence {
    Sentence::new(
        "分号之后应为 PEP 508 的环境标记，例如 python_version < \"3.11\" and sys_platform == \"linux\"",
        "must have an environment marker of PEP 508 behind the semicolon, such as python_version < \"3.11\" and \
         sys_platform == \"linux\"",
    )
}

fn name_and_url() -> Sentence {
    Sentence::new(
        "不能同时带版本要求和 URL，应为 包名 @ URL",
        "must have either a version specifier or a URL: name @ URL",
    )
}

fn local_path() -> Sentence {
    Sentence::new(
        "是本机上的文件或文件夹，构建时没有它；请把包发布到索引后写包名，或写成 包名 @ https://… 的直接地址",
        "is a file or folder of your own machine, which a build does not have; publish the package in an index and name \
         it, or give its address as name @ https://...",
    )
}

fn no_url() -> Sentence {
    Sentence::new(
        "应为 http:// 或 https:// 开头的地址，仓库写成 git+https://主机/路径@标签；不支持 git+ssh、hg、svn 和 bzr",
        "must be an address that begins with http:// or https://, a repository git+https://host/path@ref; git+ssh, hg, \
         svn and bzr are not supported",
    )
}

fn has_login() -> Sentence {
    Sentence::new(
        "的地址不能带用户名或密码，因为请求会被保存；请管理员在 [sources.indexes] 中定义该索引及其账号，然后在 pip.indexes 中写它的名字",
        "must not hold a user name or password, because requests are stored; let the operator define the index with its \
         account in [sources.indexes], and name it in pip.indexes",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_written_as_one_line() {
        for (text, line) in [
            (
                "requests [socks, security] >= 2 , <3 ; python_version<'4'",
                "requests[socks,security]>=2,<3 ; python_version<'4'",
            ),
            ("numpy\t==1.26.4", "numpy==1.26.4"),
            ("numpy>=1,", "numpy>=1"),
            (
                "pip @ https://h.example/pip-1.0-py3-none-any.whl#sha256=00;os_name=='posix'",
                "pip @ https://h.example/pip-1.0-py3-none-any.whl#sha256=00 ; os_name=='posix'",
            ),
            (
                "a[x]@git+https://git@h.example/a.git@v1#subdirectory=b",
                "a[x] @ git+https://git@h.example/a.git@v1#subdirectory=b",
            ),
            (
                "https://h.example/a-1.0-py3-none-any.whl ; os_name == 'posix'",
                "https://h.example/a-1.0-py3-none-any.whl ; os_name == 'posix'",
            ),
            (
                "git+https://h.example/a@main#egg=a",
                "git+https://h.example/a@main#egg=a",
            ),
        ] {
            assert_eq!(Requirement::parse(text).unwrap().line(), line);
        }
    }

    #[test]
    fn local_files_other_schemes_and_logins_are_refused() {
        for (text, part) in [
            ("./a", "your own machine"),
            ("a-1.0-py3-none-any.whl", "your own machine"),
            ("file:///a.whl", "your own machine"),
            ("a @ file:///a.whl", "your own machine"),
            ("wheels/a", "your own machine"),
            ("git+ssh://git@h.example/a", "git+ssh"),
            ("a @ ftp://h.example/a.zip", "git+ssh"),
            ("https://u:p@h.example/a.zip", "account"),
            ("https://h.example/a.whl", "wheel's file name"),
            (
                "a @ https://h.example/a-1-py=3-none-any.whl",
                "wheel's file name",
            ),
            ("a==1 @ https://h.example/a.zip", "either"),
            ("a ; python", "marker"),
            ("a b", "PEP 508"),
            ("a=1", "PEP 508"),
        ] {
            let refused = Requirement::parse(text).unwrap_err();
            assert!(
                refused.allowed.en.contains(part),
                "{text}: {}",
                refused.allowed.en
            );
            assert_eq!(
                refused.is_secret,
                text.contains("u:p") || text.contains("ssh") || text.contains("ftp"),
                "{text}"
            );
        }
    }
}

//! Which other hosts a requirement file may reach: a matter of the site.

use std::{collections::BTreeMap, fmt};

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::failure::Sentence;

/// Why something of a requirement file is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// What is allowed, or to be done.
    pub(super) allowed: Sentence,
    /// Whether the text may hold a password, and is not repeated.
    pub(super) is_secret: bool,
}

impl Refused {
    pub(super) fn plain(allowed: Sentence) -> Self {
        Self {
            allowed,
            is_secret: false,
        }
    }

    pub(super) fn secret(allowed: Sentence) -> Self {
        Self {
            allowed,
            is_secret: true,
        }
    }
}

/// What the operator allows requests to install from, beside the mirrors of the catalog. The default is nothing.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Package indexes that requests may name, each with everything below it.
    pub allowed_indexes: Vec<Url>,
    /// Hosts that requests may name in addresses of any kind.
    pub allowed_hosts: Vec<HostPattern>,
    /// Indexes that requests may ask for by name.
    pub indexes: BTreeMap<String, NamedIndex>,
}

/// A package index that the operator defined.
#[derive(Debug, Clone)]
pub struct NamedIndex {
    /// Its address (PEP 503), without user name and password.
    pub url: Url,
    /// The account that builds use there.
    pub login: Option<IndexLogin>,
}

/// An account at an index.
#[derive(Debug, Clone)]
pub struct IndexLogin {
    /// Its name.
    pub username: String,
    /// Its password or token.
    pub password: SecretString,
}

impl IndexLogin {
    /// An account; `None` where a netrc file cannot hold it, as it has blanks or characters outside ASCII.
    pub fn new(username: String, password: String) -> Option<Self> {
        let plain =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        (plain(&username) && plain(&password)).then(|| Self {
            username,
            password: password.into(),
        })
    }
}

/// The address of an index: `http://` or `https://`, without user name, password, query and fragment.
pub fn index_address(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let plain = ["http", "https"].contains(&url.scheme())
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

/// A host, `*.` before which stands for any number of labels; with a port, only that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    host: String,
    below: bool,
    port: Option<u16>,
}

impl HostPattern {
    /// Parses `host`, `host:port` or `*.host`.
    ///
    /// # Errors
    /// The text itself, when it is none of these.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let parsed = crate::names::parse_host_port(rest).map_err(|_| text.to_owned())?;
        Ok(Self {
            host: parsed.host.to_ascii_lowercase(),
            below,
            port: parsed.port,
        })
    }

    fn fits(&self, host: &str, port: Option<u16>, is_default_port: bool) -> bool {
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let host_fits = if self.below {
            host.strip_suffix(&self.host)
                .is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
        } else {
            host == self.host
        };
        let port_fits = match self.port {
            Some(only) => port == Some(only),
            None => is_default_port,
        };
        host_fits && port_fits
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.below { "*." } else { "" };
        write!(formatter, "{below}{}", self.host)?;
        match self.port {
            Some(port) => write!(formatter, ":{port}"),
            None => Ok(()),
        }
    }
}

impl Sources {
    /// The accounts of the named indexes as a netrc file, which pip, uv and curl read.
    pub fn netrc(&self, names: &[String]) -> SecretString {
        let mut text = String::new();
        for index in names.iter().filter_map(|name| self.indexes.get(name)) {
            if let (Some(login), Some(host)) = (&index.login, index.url.host_str()) {
                let IndexLogin { username, password } = login;
                let password = password.expose_secret();
                let entry = format!("machine {host} login {username} password {password}\n");
                text.push_str(&entry);
            }
        }
        text.into()
    }

    fn allows_host(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        url.host_str().is_some_and(|host| {
            self.allowed_hosts
                .iter()
                .any(|pattern| pattern.fits(host, port, url.port().is_none()))
        })
    }

    /// The name of the index that an operator defined with this very address.
    pub(super) fn name_of(&self, url: &Url) -> Option<&str> {
        self.indexes
            .iter()
            .find(|(_, index)| is_below(url, &index.url) && is_below(&index.url, url))
            .map(|(name, _)| name.as_str())
    }

    fn allows_index(&self, url: &Url) -> bool {
        self.allowed_indexes
            .iter()
            .any(|allowed| is_below(url, allowed))
            || self.name_of(url).is_some()
            || self.allows_host(url)
    }

    /// An index, or a page of links, that a file names.
    ///
    /// # Errors
    /// A sentence with the setting that would allow it.
    pub(super) fn check_index(&self, text: &str) -> Result<Url, Refused> {
        let url = Url::parse(text).ok().filter(|url| {
            ["http", "https"].contains(&url.scheme())
                && url.host_str().is_some()
                && text.bytes().all(|byte| byte.is_ascii_graphic())
                && !text.contains(['"', '\'', '\\', '`', '<', '>'])
        });
        let Some(url) = url else {
            return Err(Refused::secret(Sentence::new(
                "应为 http:// 或 https:// 开头的地址；本机上的文件夹在构建时不存在",
                "must be an address that begins with http:// or https://; a build has no folder of your own machine",
            )));
        };
        if url.password().is_some() || !url.username().is_empty() {
            return Err(Refused::secret(Sentence::new(
                "的地址不能带用户名或密码，因为请求会被保存；请管理员在 [sources.indexes] 中定义该索引及其账号，然后在 pip.indexes 中写它的名字",
                "must not hold a user name or password, because requests are stored; let the operator define the index \
                 with its account in [sources.indexes], and name it in pip.indexes",
            )));
        }
        if self.allows_index(&url) {
            return Ok(url);
        }
        Err(Refused::plain(self.index_not_allowed(&url)))
    }

    /// An address that a requirement names.
    ///
    /// # Errors
    /// A sentence with the setting that would allow it.
    pub(super) fn check_address(&self, url: &Url) -> Result<(), Refused> {
        if self.allows_host(url)
            || self
                .allowed_indexes
                .iter()
                .any(|allowed| is_below(url, allowed))
        {
            return Ok(());
        }
        let host = host_and_port(url);
        Err(Refused::plain(Sentence::new(
            format!(
                "指向主机 {host}，管理员没有允许它（设置 [sources] allowed_hosts）；请改写为包名，从 mirrors.pip 选择的镜像安装，或请管理员把 {host} 加入该设置"
            ),
            format!(
                "leads to the host {host}, which the operator does not allow ([sources] allowed_hosts); name the package \
                 instead and install it from the mirror chosen by mirrors.pip, or ask the operator to add {host} there"
            ),
        )))
    }

    /// `host` or `host:port` of a `--trusted-host`.
    ///
    /// # Errors
    /// A sentence with the setting that would allow it.
    pub(super) fn check_trusted(&self, text: &str) -> Result<(), Refused> {
        let known = crate::names::parse_host_port(text)
            .ok()
            .is_some_and(|asked| {
                let is_of = |url: &Url| {
                    url.host_str()
                        .is_some_and(|host| host.eq_ignore_ascii_case(&asked.host))
                        && asked
                            .port
                            .is_none_or(|port| url.port_or_known_default() == Some(port))
                };
                self.allowed_hosts.iter().any(|pattern| {
                    pattern.fits(
                        &asked.host,
                        asked.port.or(pattern.port),
                        asked.port.is_none(),
                    )
                }) || self.allowed_indexes.iter().any(is_of)
                    || self.indexes.values().any(|index| is_of(&index.url))
            });
        if known {
            return Ok(());
        }
        Err(Refused::plain(Sentence::new(
            "不是管理员允许的主机（设置 [sources] allowed_hosts）；请删去这一行，在镜像文件 mirrors.pip 中写 trusted-host",
            "is no host that the operator allows ([sources] allowed_hosts); leave the line out, and have trusted-host \
             written in the mirror file that mirrors.pip names",
        )))
    }

    /// An index by the name an operator gave it.
    ///
    /// # Errors
    /// A sentence with the names there are.
    pub(super) fn named(&self, name: &str) -> Result<&NamedIndex, Refused> {
        self.indexes.get(name).ok_or_else(|| {
            Refused::plain(Sentence::new(
                format!(
                    "不是管理员在 [sources.indexes] 中定义的索引{}",
                    self.names_zh()
                ),
                format!(
                    "is no index that the operator defined in [sources.indexes]{}",
                    self.names_en()
                ),
            ))
        })
    }

    fn index_not_allowed(&self, url: &Url) -> Sentence {
        Sentence::new(
            format!(
                "不是这里允许的索引：管理员的设置 [sources] allowed_indexes 和 allowed_hosts 中没有 {url}；请删去这一行并用 mirrors.pip 选择镜像，或请管理员加入 {url}{}",
                self.names_zh()
            ),
            format!(
                "is no index that is allowed here: the operator's settings [sources] allowed_indexes and allowed_hosts do \
                 not have {url}; leave the line out and choose the mirror by mirrors.pip, or ask the operator to add {url}{}",
                self.names_en()
            ),
        )
    }

    fn names_zh(&self) -> String {
        let names: Vec<&str> = self.indexes.keys().map(String::as_str).collect();
        if names.is_empty() {
            return String::new();
        }
        format!("；pip.indexes 可用的索引：{}", names.join("、"))
    }

    fn names_en(&self) -> String {
        let names: Vec<&str> = self.indexes.keys().map(String::as_str).collect();
        if names.is_empty() {
            return String::new();
        }
        format!("; pip.indexes may name {}", names.join(", "))
    }
}

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Whether `url` is `above` or lies in it, whatever slash either ends with. Dots were resolved by the parser; a path
/// that writes them in another way is not below anything.
fn is_below(url: &Url, above: &Url) -> bool {
    let same_host = url.scheme() == above.scheme()
        && url.host_str() == above.host_str()
        && url.port_or_known_default() == above.port_or_known_default();
    let path = url.path().trim_end_matches('/');
    let lower = path.to_ascii_lowercase();
    let plain = !["%2f", "%5c", "%2e"]
        .iter()
        .any(|escaped| lower.contains(escaped));
    let rest = path.strip_prefix(above.path().trim_end_matches('/'));
    same_host && plain && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Sources {
        Sources {
            allowed_indexes: vec!["https://index.example/simple/".parse().unwrap()],
            allowed_hosts: ["*.pytorch.example", "10.0.0.9:8080", "[2001:db8::9]:3141"]
                .map(|text| HostPattern::parse(text).unwrap())
                .to_vec(),
            indexes: BTreeMap::from([(
                "pytorch-cu124".to_owned(),
                NamedIndex {
                    url: "https://download.example/whl/cu124".parse().unwrap(),
                    login: Some(IndexLogin {
                        username: "robot".to_owned(),
                        password: "hush".to_owned().into(),
                    }),
                },
            )]),
        }
    }

    #[test]
    fn what_is_allowed_is_told_from_what_looks_like_it() {
        let sources = sources();
        for allowed in [
            "https://index.example/simple",
            "https://index.example:443/simple/team/",
            "https://download.pytorch.example/whl/cu124",
            "http://10.0.0.9:8080/simple",
            "http://[2001:db8::9]:3141/root/pypi",
            "https://download.example/whl/cu124/",
        ] {
            assert!(sources.check_index(allowed).is_ok(), "{allowed}");
        }
        for other in [
            "https://index.example/simple2",
            "https://index.example/simple/../other",
            "https://index.example/simple/%2e%2e/other",
            "https://index.example/simple/..%2fother",
            "http://index.example/simple",
            "https://index.example.evil.example/simple",
            "https://index.example@evil.example/simple",
            "https://pytorch.example/whl",
            "https://evilpytorch.example/whl",
            "https://download.pytorch.example:8443/whl",
            "http://10.0.0.9/simple",
            "https://download.example/whl/cu118",
            "file:///wheels",
            "/wheels",
        ] {
            assert!(sources.check_index(other).is_err(), "{other}");
        }
        assert!(
            Sources::default()
                .check_index("https://pypi.example/simple")
                .is_err()
        );
    }

    #[test]
    fn a_refusal_names_the_setting_and_the_indexes_there_are() {
        let refused = sources()
            .check_index("https://pypi.example/simple")
            .unwrap_err();
        for part in [
            "allowed_indexes",
            "mirrors.pip",
            "https://pypi.example/simple",
            "pytorch-cu124",
        ] {
            assert!(refused.allowed.en.contains(part), "{}", refused.allowed.en);
            assert!(refused.allowed.zh.contains(part), "{}", refused.allowed.zh);
        }
        let secret = sources()
            .check_index("https://u:p@pypi.example/simple")
            .unwrap_err();
        assert!(secret.is_secret && !secret.allowed.en.contains("u:p"));
    }

    #[test]
    fn accounts_are_written_for_the_hosts_of_the_named_indexes_alone() {
        let netrc = sources().netrc(&["pytorch-cu124".to_owned(), "other".to_owned()]);
        assert_eq!(
            netrc.expose_secret(),
            "machine download.example login robot password hush\n"
        );
        assert_eq!(sources().netrc(&[]).expose_secret(), "");
    }

    #[test]
    fn trusted_hosts_are_those_that_are_allowed() {
        let sources = sources();
        for host in [
            "download.pytorch.example",
            "10.0.0.9",
            "10.0.0.9:8080",
            "index.example",
            "download.example:443",
        ] {
            assert!(sources.check_trusted(host).is_ok(), "{host}");
        }
        for host in ["10.0.0.9:1", "pypi.example", "", "a b"] {
            assert!(sources.check_trusted(host).is_err(), "{host}");
        }
    }
}

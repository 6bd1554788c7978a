//! The multipart forms of the old protocol by which an operator configures a site: field names,
//! defaults and rules. The server hands over the parts of a form; what comes back is typed, and
//! every missing or malformed field is named in one answer.

use std::collections::BTreeMap;

use super::{DockerServerSettings, HostSettings, RegistrySettings, tls_archive};
use crate::{
    failure::{FieldError, FieldErrors, Sentence},
    names::{NameError, parse_host, parse_host_port, parse_line},
};

/// The port callers reach the service under unless another is given.
const DEFAULT_PORT: u16 = 48001;
/// The port a Docker Engine listens on without TLS unless another is given.
const DEFAULT_DOCKER_PORT: u16 = 2375;
/// Longest account name of a registry, in characters.
const LONGEST_USERNAME: usize = 255;

/// What `config-fastbuild` sets at once.
#[derive(Debug, Clone)]
pub struct SiteSettings {
    /// The service's own address.
    pub host: HostSettings,
    /// The registry.
    pub registry: RegistrySettings,
    /// The engine.
    pub docker_server: DockerServerSettings,
}

/// Parses the form of `config-fastbuild`: the fields of the three forms below together.
///
/// # Errors
/// Every missing or malformed field.
pub fn parse_site_form<V: AsRef<[u8]>>(
    parts: &BTreeMap<String, V>,
) -> Result<SiteSettings, FieldErrors> {
    parse(parts, Form::site)
}

/// Parses the form of `update-host`: `fastbuild_host`, `fastbuild_port` (48001 unless given).
///
/// # Errors
/// Every missing or malformed field.
pub fn parse_host_form<V: AsRef<[u8]>>(
    parts: &BTreeMap<String, V>,
) -> Result<HostSettings, FieldErrors> {
    parse(parts, Form::host)
}

/// Parses the form of `update-harbor`: `harbor_username`, `harbor_password`, `harbor_registry`,
/// `harbor_registry_dns` (optional).
///
/// # Errors
/// Every missing or malformed field. The password is never repeated.
pub fn parse_registry_form<V: AsRef<[u8]>>(
    parts: &BTreeMap<String, V>,
) -> Result<RegistrySettings, FieldErrors> {
    parse(parts, Form::registry)
}

/// Parses the form of `update-docker-server`: `docker_host`, `docker_port` (2375 unless given),
/// `docker_tls_tar_file` (a tar or tar.gz; TLS is on if it is given).
///
/// # Errors
/// Every missing or malformed field. Key material is never repeated.
pub fn parse_docker_server_form<V: AsRef<[u8]>>(
    parts: &BTreeMap<String, V>,
) -> Result<DockerServerSettings, FieldErrors> {
    parse(parts, Form::docker_server)
}

fn parse<'parts, V: AsRef<[u8]>, T>(
    parts: &'parts BTreeMap<String, V>,
    read: impl FnOnce(&mut Form<'parts, V>) -> Result<T, Refused>,
) -> Result<T, FieldErrors> {
    let mut form = Form {
        parts,
        errors: FieldErrors::default(),
    };
    let value = read(&mut form);
    form.errors.or(value.ok())
}

/// The parts of a form and the mistakes found in them.
struct Form<'parts, V> {
    parts: &'parts BTreeMap<String, V>,
    errors: FieldErrors,
}

/// A field is wrong, and [`Form::errors`] says how.
#[derive(Debug)]
struct Refused;

impl<'parts, V: AsRef<[u8]>> Form<'parts, V> {
    fn site(&mut self) -> Result<SiteSettings, Refused> {
        // All three are read before the first mistake ends it.
        let (host, registry, docker_server) = (self.host(), self.registry(), self.docker_server());
        Ok(SiteSettings {
            host: host?,
            registry: registry?,
            docker_server: docker_server?,
        })
    }

    fn host(&mut self) -> Result<HostSettings, Refused> {
        let host = self.required("fastbuild_host", parse_host);
        let port = self.port("fastbuild_port", DEFAULT_PORT);
        Ok(HostSettings {
            host: host?,
            port: port?,
        })
    }

    fn registry(&mut self) -> Result<RegistrySettings, Refused> {
        let username = self.required("harbor_username", |text| parse_line(text, LONGEST_USERNAME));
        // Blanks around a password belong to it.
        let password = self.required_text("harbor_password");
        let registry = self.required("harbor_registry", registry_address);
        let registry_dns = self.optional("harbor_registry_dns", registry_address);
        Ok(RegistrySettings {
            username: username?,
            password: password?.into(),
            registry: registry?,
            registry_dns: registry_dns?,
        })
    }

    fn docker_server(&mut self) -> Result<DockerServerSettings, Refused> {
        let host = self.required("docker_host", parse_host);
        let port = self.port("docker_port", DEFAULT_DOCKER_PORT);
        let archive = self.content("docker_tls_tar_file");
        let tls = archive
            .map(tls_archive::read)
            .transpose()
            .map_err(|allowed| self.refuse("docker_tls_tar_file", allowed));
        Ok(DockerServerSettings {
            host: host?,
            port: port?,
            tls: tls?,
        })
    }

    fn port(&mut self, name: &str, default: u16) -> Result<u16, Refused> {
        Ok(self.optional(name, parse_port)?.unwrap_or(default))
    }

    /// A field that must be given.
    fn required<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, NameError>,
    ) -> Result<T, Refused> {
        match self.required_text(name)?.trim() {
            "" => Err(self.refuse(name, required())),
            text => self.parsed(name, text, parse),
        }
    }

    /// A field that may be missing or blank.
    fn optional<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, NameError>,
    ) -> Result<Option<T>, Refused> {
        match self.text(name)?.map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => self.parsed(name, text, parse).map(Some),
        }
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, NameError>,
    ) -> Result<T, Refused> {
        parse(text).map_err(|error| {
            self.errors.push(FieldError::new(name, text, error.allowed));
            Refused
        })
    }

    fn required_text(&mut self, name: &str) -> Result<&'parts str, Refused> {
        self.text(name)?
            .ok_or_else(|| self.refuse(name, required()))
    }

    /// The text of a field, where it is given.
    fn text(&mut self, name: &str) -> Result<Option<&'parts str>, Refused> {
        self.content(name)
            .map(str::from_utf8)
            .transpose()
            .map_err(|_not_utf8| {
                self.refuse(name, Sentence::new("应为 UTF-8 文本", "must be UTF-8 text"))
            })
    }

    /// The content of a part. Browsers send an empty one for a file that was not chosen.
    fn content(&self, name: &str) -> Option<&'parts [u8]> {
        let content = self.parts.get(name)?.as_ref();
        (!content.is_empty()).then_some(content)
    }

    /// Notes a mistake without repeating the value.
    fn refuse(&mut self, name: &str, allowed: Sentence) -> Refused {
        self.errors.push(FieldError::without_value(name, allowed));
        Refused
    }
}

fn required() -> Sentence {
    Sentence::new("是必填项", "is required")
}

fn parse_port(text: &str) -> Result<u16, NameError> {
    text.parse::<u16>()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| {
            NameError::new(
                "应为 1 到 65535 之间的端口号",
                "must be a port number from 1 to 65535",
            )
        })
}

/// A registry's address. Operators paste what their browser shows, scheme and all.
fn registry_address(text: &str) -> Result<String, NameError> {
    let text = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .unwrap_or(text)
        .trim_end_matches('/');
    parse_host_port(text).map(|address| address.to_string())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn form(fields: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn a_site_is_configured_by_its_required_fields_alone() {
        let site = parse_site_form(&form(&[
            ("fastbuild_host", " 10.0.0.1 "),
            ("fastbuild_port", ""),
            ("harbor_username", "admin"),
            ("harbor_password", " Harbor12345"),
            ("harbor_registry", "https://harbor.example:8443/"),
            ("docker_host", "10.0.0.2"),
            ("docker_tls_tar_file", ""),
        ]))
        .unwrap();
        assert_eq!(
            (site.host.host.as_str(), site.host.port),
            ("10.0.0.1", 48001)
        );
        assert_eq!(site.registry.registry, "harbor.example:8443");
        assert_eq!(site.registry.password.expose_secret(), " Harbor12345");
        assert_eq!(site.registry.registry_dns, None);
        assert_eq!(site.docker_server.port, 2375);
        assert!(site.docker_server.tls.is_none());
    }

    #[test]
    fn missing_and_malformed_fields_come_back_together() {
        let mut parts = form(&[
            ("fastbuild_port", "0"),
            ("harbor_username", "a\nb"),
            ("harbor_registry", "a/b"),
            ("harbor_registry_dns", "harbor example"),
            ("docker_port", "70000"),
            ("docker_tls_tar_file", "no archive"),
        ]);
        parts.insert("docker_host".into(), vec![0xff]);
        let failure = crate::failure::Failure::from(parse_site_form(&parts).unwrap_err());
        insta::assert_snapshot!(failure.message.en.replace("; ", ";\n"));
        assert_eq!(failure.fields.len(), 9);
    }

    #[test]
    fn a_refused_password_is_not_repeated() {
        let parts = BTreeMap::from([("harbor_password".to_owned(), b"hunter2\xff".to_vec())]);
        let failure = crate::failure::Failure::from(parse_registry_form(&parts).unwrap_err());
        assert!(
            failure
                .message
                .en
                .contains("harbor_password must be UTF-8 text")
        );
        assert!(!failure.message.en.contains("hunter2"));
    }
}

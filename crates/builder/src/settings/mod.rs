//! Configuring the site while the service runs: the forms as callers fill them in, their parsing,
//! and the proofs that come before anything is stored.

mod rollback;

use std::io::Read as _;

use bytes::Bytes;
use fastbuild_spec::{
    failure::{Failure, FieldError, Sentence},
    names::{parse_host, parse_host_port},
    settings::{
        CallbackHeaders, DockerServerSettings, HostSettings, RegistrySettings, TlsMaterial,
    },
};
use fastbuild_store::NewSettings;
use flate2::read::GzDecoder;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::SecretString;

use crate::{
    builder::{Builder, stored},
    engines::context::prove,
};

/// The whole site, as `config-fastbuild` takes it.
#[derive(Debug)]
pub struct SiteForm {
    /// This service's own address.
    pub host: HostForm,
    /// The registry.
    pub registry: RegistryForm,
    /// The engine.
    pub docker_server: DockerServerForm,
}

/// This service's own address, unparsed.
#[derive(Debug)]
pub struct HostForm {
    /// `fastbuild_host`.
    pub host: String,
    /// `fastbuild_port`.
    pub port: String,
}

/// The registry, unparsed.
#[derive(Debug)]
pub struct RegistryForm {
    /// `harbor_username`.
    pub username: String,
    /// `harbor_password`.
    pub password: SecretString,
    /// `harbor_registry`.
    pub registry: String,
    /// `harbor_registry_dns`; empty when the registry has one name.
    pub registry_dns: String,
}

/// The engine, unparsed.
#[derive(Debug)]
pub struct DockerServerForm {
    /// `docker_host`.
    pub host: String,
    /// `docker_port`.
    pub port: String,
    /// `docker_tls_tar_file`, a tar or tar.gz; with one TLS is on.
    pub tls_archive: Option<Bytes>,
}

impl Builder {
    /// Parses, proves and stores the whole site: all three rows or none.
    ///
    /// # Errors
    /// `SpecInvalid` naming every bad field, or what the engine or the registry answered.
    pub async fn configure(&self, form: SiteForm) -> Result<(), Failure> {
        let mut fields = Fields::default();
        let host = fields.host(&form.host);
        let registry = fields.registry(&form.registry);
        let server = fields.docker_server(&form.docker_server);
        let (host, registry, server) = fields.finish(|| Some((host?, registry?, server?)))?;
        prove(&server, Some(&registry)).await?;
        self.add(NewSettings {
            host: Some(host),
            registry: Some(registry),
            docker_server: Some(server),
            headers: None,
        })
        .await?;
        self.engines_changed();
        Ok(())
    }

    /// Parses and stores this service's own address.
    ///
    /// # Errors
    /// `SpecInvalid` naming every bad field.
    pub async fn update_host(&self, form: &HostForm) -> Result<(), Failure> {
        let mut fields = Fields::default();
        let host = fields.host(form);
        let host = fields.finish(|| host)?;
        self.add(NewSettings {
            host: Some(host),
            ..NewSettings::default()
        })
        .await
    }

    /// Parses, proves and stores the registry. The proof needs an engine; without one yet the
    /// registry is stored unproven, as building stays refused until there is one.
    ///
    /// # Errors
    /// `SpecInvalid` naming every bad field, or what the engine or the registry answered.
    pub async fn update_registry(&self, form: &RegistryForm) -> Result<(), Failure> {
        let mut fields = Fields::default();
        let registry = fields.registry(form);
        let registry = fields.finish(|| registry)?;
        let settings = self
            .store()
            .settings()
            .await
            .map_err(|error| stored(&error))?;
        if let Some(server) = &settings.docker_server {
            prove(server, Some(&registry)).await?;
        }
        self.add(NewSettings {
            registry: Some(registry),
            ..NewSettings::default()
        })
        .await?;
        self.engines_changed();
        Ok(())
    }

    /// Parses, proves and stores the engine; it must be able to log in to the registry in force,
    /// if there is one.
    ///
    /// # Errors
    /// `SpecInvalid` naming every bad field, or what the engine or the registry answered.
    pub async fn update_docker_server(&self, form: &DockerServerForm) -> Result<(), Failure> {
        let mut fields = Fields::default();
        let server = fields.docker_server(form);
        let server = fields.finish(|| server)?;
        let settings = self
            .store()
            .settings()
            .await
            .map_err(|error| stored(&error))?;
        prove(&server, settings.registry.as_ref()).await?;
        self.add(NewSettings {
            docker_server: Some(server),
            ..NewSettings::default()
        })
        .await?;
        self.engines_changed();
        Ok(())
    }

    /// Stores the headers of callbacks.
    ///
    /// # Errors
    /// `SpecInvalid` naming every header that HTTP does not allow (RFC 9110, section 5).
    pub async fn update_headers(&self, headers: CallbackHeaders) -> Result<(), Failure> {
        let errors = check_headers(&headers);
        if !errors.is_empty() {
            return Err(Failure::invalid_fields(&errors));
        }
        self.add(NewSettings {
            headers: Some(headers.into()),
            ..NewSettings::default()
        })
        .await
    }

    pub(crate) async fn add(&self, settings: NewSettings) -> Result<(), Failure> {
        self.store()
            .add_settings(settings, self.clock().now())
            .await
            .map_err(|error| stored(&error))?;
        Ok(())
    }
}

/// What is wrong with headers of callbacks: those HTTP does not allow (RFC 9110, section 5).
pub fn check_headers(headers: &CallbackHeaders) -> Vec<FieldError> {
    let mut fields = Fields::default();
    for (name, value) in headers {
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            fields.bad(
                name,
                name,
                " HTTP 头部名称（字母、数字和连字符）",
                "an HTTP header name (letters, digits and hyphens)",
            );
        } else if HeaderValue::from_str(value).is_err() {
            // The value may be a credential: it is not repeated.
            fields.bad(
                name,
                "",
                "单行可见 ASCII 文本",
                "one line of visible ASCII text",
            );
        }
    }
    fields.errors
}

/// Collects every bad field of a form, so that one answer names them all.
#[derive(Default)]
struct Fields {
    errors: Vec<FieldError>,
}

impl Fields {
    fn bad(&mut self, path: &str, value: &str, zh: &str, en: &str) {
        self.errors.push(FieldError::new(
            path,
            value,
            Sentence::new(format!("应为{zh}"), format!("must be {en}")),
        ));
    }

    /// What the form says, if every field of it is good.
    fn finish<T>(self, value: impl FnOnce() -> Option<T>) -> Result<T, Failure> {
        match value() {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Failure::invalid_fields(&self.errors)),
        }
    }

    fn port(&mut self, path: &str, text: &str) -> Option<u16> {
        let port = text.trim().parse::<u16>().ok().filter(|port| *port != 0);
        if port.is_none() {
            self.bad(
                path,
                text,
                " 1 到 65535 之间的端口号",
                "a port number from 1 to 65535",
            );
        }
        port
    }

    fn host_name(&mut self, path: &str, text: &str) -> Option<String> {
        match parse_host(text.trim()) {
            Ok(host) => Some(host),
            Err(error) => {
                self.errors.push(FieldError::new(path, text, error.allowed));
                None
            }
        }
    }

    fn registry_name(&mut self, path: &str, text: &str) -> Option<String> {
        let text = text.trim();
        let text = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .unwrap_or(text)
            .trim_end_matches('/');
        match parse_host_port(text) {
            Ok(name) => Some(name.to_string()),
            Err(error) => {
                self.errors.push(FieldError::new(path, text, error.allowed));
                None
            }
        }
    }

    fn host(&mut self, form: &HostForm) -> Option<HostSettings> {
        let host = self.host_name("fastbuild_host", &form.host);
        let port = self.port("fastbuild_port", &form.port);
        Some(HostSettings {
            host: host?,
            port: port?,
        })
    }

    fn registry(&mut self, form: &RegistryForm) -> Option<RegistrySettings> {
        let username = form.username.trim();
        if username.is_empty() || username.contains(char::is_control) {
            self.bad(
                "harbor_username",
                username,
                "非空的单行文本",
                "one line of text, not empty",
            );
        }
        let registry = self.registry_name("harbor_registry", &form.registry);
        let registry_dns = if form.registry_dns.trim().is_empty() {
            Some(None)
        } else {
            self.registry_name("harbor_registry_dns", &form.registry_dns)
                .map(Some)
        };
        Some(RegistrySettings {
            username: (!username.is_empty()).then(|| username.to_owned())?,
            password: form.password.clone(),
            registry: registry?,
            registry_dns: registry_dns?,
        })
    }

    fn docker_server(&mut self, form: &DockerServerForm) -> Option<DockerServerSettings> {
        let host = self.host_name("docker_host", &form.host);
        let port = self.port("docker_port", &form.port);
        let tls = match &form.tls_archive {
            None => Some(None),
            Some(archive) => match read_tls_archive(archive) {
                Ok(material) => Some(Some(material)),
                Err(problem) => {
                    self.errors
                        .push(FieldError::without_value("docker_tls_tar_file", problem));
                    None
                }
            },
        };
        Some(DockerServerSettings {
            host: host?,
            port: port?,
            tls: tls?,
        })
    }
}

/// A compressed archive is unpacked no further than this.
const LARGEST_ARCHIVE: u64 = 16 << 20;

/// No PEM file is larger; an archive that claims one is not ours.
const LARGEST_PEM: u64 = 1 << 20;

/// The files of the archive, without `-jenkins.pem` or `.pem`.
const NAMES: [&str; 3] = ["ca", "cert", "key"];

/// Reads the client side of mutual TLS from a tar or tar.gz: `ca-jenkins.pem`, `cert-jenkins.pem`
/// and `key-jenkins.pem` at any depth, or the same without `-jenkins`.
fn read_tls_archive(archive: &[u8]) -> Result<TlsMaterial, Sentence> {
    let unreadable = |error: std::io::Error| {
        Sentence::new(
            format!("应为可读取的 tar 或 tar.gz 文件（{error}）"),
            format!("must be a readable tar or tar.gz file ({error})"),
        )
    };
    let plain: Box<dyn std::io::Read> = if archive.starts_with(&[0x1f, 0x8b]) {
        Box::new(GzDecoder::new(archive).take(LARGEST_ARCHIVE))
    } else {
        Box::new(archive)
    };
    let mut found: [Option<String>; 3] = [None, None, None];
    let mut tar = tar::Archive::new(plain);
    for entry in tar.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path().map_err(unreadable)?.into_owned();
        let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let wanted = NAMES.iter().position(|name| {
            file_name == format!("{name}-jenkins.pem") || file_name == format!("{name}.pem")
        });
        if let Some(index) = wanted
            && entry.header().entry_type().is_file()
        {
            let mut text = String::new();
            entry
                .by_ref()
                .take(LARGEST_PEM)
                .read_to_string(&mut text)
                .map_err(unreadable)?;
            // The `-jenkins` spelling is the documented one and wins over the short one.
            if found[index].is_none() || file_name.ends_with("-jenkins.pem") {
                found[index] = Some(text);
            }
        }
    }
    let missing: Vec<String> = NAMES
        .iter()
        .zip(&found)
        .filter(|(_, text)| text.is_none())
        .map(|(name, _)| format!("{name}-jenkins.pem"))
        .collect();
    let [Some(ca_pem), Some(cert_pem), Some(key_pem)] = found else {
        return Err(Sentence::new(
            format!(
                "应为包含 ca-jenkins.pem、cert-jenkins.pem、key-jenkins.pem 的归档（缺少 {}）",
                missing.join("、")
            ),
            format!(
                "must be an archive with ca-jenkins.pem, cert-jenkins.pem and key-jenkins.pem (missing: {})",
                missing.join(", ")
            ),
        ));
    };
    Ok(TlsMaterial {
        ca_pem,
        cert_pem,
        key_pem: SecretString::from(key_pem),
    })
}

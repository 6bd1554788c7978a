//! Settings revisions: rows are only ever added, and the newest is in force.

pub(crate) mod history;

use fastbuild_spec::settings::{
    CallbackHeaders, DockerServerSettings, HostSettings, RegistrySettings, Settings, TlsMaterial,
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, DatabaseTransaction, EntityTrait as _, PaginatorTrait as _, QueryOrder as _,
};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    Seal, SecretHeaders, SettingsRevisions, Store, StoreError,
    db::{
        dialect,
        time::{micros, timestamp},
    },
    entity::{setting_docker_server, setting_headers, setting_host, setting_registry},
};

/// Settings to put in force; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct NewSettings {
    /// The service's own address.
    pub host: Option<HostSettings>,
    /// The registry and its account.
    pub registry: Option<RegistrySettings>,
    /// The engine.
    pub docker_server: Option<DockerServerSettings>,
    /// The callback headers, all of them.
    pub headers: Option<SecretHeaders>,
}

/// A row of the host's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRevision {
    /// The row's number.
    pub id: i64,
    /// IP address or host name.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// When it came into force.
    pub created_at: Timestamp,
    /// When the row last changed: never after that.
    pub updated_at: Timestamp,
}

/// A row of the registry's history, without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryRevision {
    /// The row's number.
    pub id: i64,
    /// Account name.
    pub username: String,
    /// Address, `host` or `host:port`.
    pub registry: String,
    /// Its second name.
    pub registry_dns: Option<String>,
    /// When it came into force.
    pub created_at: Timestamp,
    /// When the row last changed: never after that.
    pub updated_at: Timestamp,
}

/// A row of the Docker server's history, without its TLS material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerServerRevision {
    /// The row's number.
    pub id: i64,
    /// IP address or host name.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether it is reached with mutual TLS.
    pub tls: bool,
    /// When it came into force.
    pub created_at: Timestamp,
    /// When the row last changed: never after that.
    pub updated_at: Timestamp,
}

/// A row of the callback headers' history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadersRevision {
    /// The row's number.
    pub id: i64,
    /// The headers, with `***` for the values of those that look like credentials.
    pub headers: CallbackHeaders,
    /// When it came into force.
    pub created_at: Timestamp,
    /// When the row last changed: never after that.
    pub updated_at: Timestamp,
}

/// The form in which TLS material is sealed.
#[derive(Serialize, Deserialize)]
struct SealedTls {
    ca: String,
    cert: String,
    key: String,
}

impl Drop for SealedTls {
    fn drop(&mut self) {
        // Into a secret, which overwrites its memory when it goes.
        drop(SecretString::from(std::mem::take(&mut self.key)));
    }
}

/// Where callback headers belong, for the seal.
pub(crate) const HEADERS_PURPOSE: &str = "setting_headers.headers";

/// Where a password belongs: with this account at this registry. Under another address in the
/// same table it does not open.
fn password_purpose(registry: &str, username: &str) -> String {
    format!("setting_registries.password/{registry}/{username}")
}

/// Where TLS material belongs: with this engine.
fn tls_purpose(host: &str, port: i32) -> String {
    format!("setting_docker_servers.tls/{host}:{port}")
}

pub(crate) fn read_port(port: i32) -> Result<u16, StoreError> {
    u16::try_from(port).map_err(|_| StoreError::corrupt("port", port))
}

pub(crate) fn seal_tls(
    seal: &Seal,
    purpose: &str,
    tls: &TlsMaterial,
) -> Result<Vec<u8>, StoreError> {
    let plain = SealedTls {
        ca: tls.ca_pem.clone(),
        cert: tls.cert_pem.clone(),
        key: tls.key_pem.expose_secret().to_owned(),
    };
    let plain = serde_json::to_vec(&plain)
        .map(SecretSlice::from)
        .map_err(|_| StoreError::corrupt("TLS material", "it is no text"))?;
    seal.seal(purpose, plain.expose_secret())
}

pub(crate) fn open_tls(
    seal: &Seal,
    purpose: &str,
    sealed: &[u8],
) -> Result<TlsMaterial, StoreError> {
    let plain = seal.open(purpose, sealed)?;
    let mut tls: SealedTls = serde_json::from_slice(plain.expose_secret())
        // The parser's own text could quote the key.
        .map_err(|_| StoreError::corrupt("TLS material", "it is not in the stored form"))?;
    Ok(TlsMaterial {
        ca_pem: std::mem::take(&mut tls.ca),
        cert_pem: std::mem::take(&mut tls.cert),
        key_pem: std::mem::take(&mut tls.key).into(),
    })
}

impl Store {
    /// Puts settings in force, all or none, and returns the numbers of the added rows.
    pub async fn add_settings(
        &self,
        new: NewSettings,
        now: Timestamp,
    ) -> Result<SettingsRevisions, StoreError> {
        let tx = self.begin().await?;
        let revisions = self.insert_settings(&tx, new, now).await?;
        tx.commit().await?;
        Ok(revisions)
    }

    /// Puts a host and callback headers in force where there are none yet.
    pub async fn ensure_defaults(
        &self,
        host: HostSettings,
        headers: CallbackHeaders,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        dialect::one_at_a_time(&tx, "defaults").await?;
        let no_host = setting_host::Entity::find().count(&tx).await? == 0;
        let no_headers = setting_headers::Entity::find().count(&tx).await? == 0;
        let new = NewSettings {
            host: no_host.then_some(host),
            headers: no_headers.then(|| headers.into()),
            ..NewSettings::default()
        };
        self.insert_settings(&tx, new, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Adds rows in a transaction under way.
    pub(crate) async fn insert_settings(
        &self,
        tx: &DatabaseTransaction,
        new: NewSettings,
        now: Timestamp,
    ) -> Result<SettingsRevisions, StoreError> {
        let mut revisions = SettingsRevisions::default();
        let (created_at, updated_at) = (Set(micros(now)), Set(micros(now)));
        if let Some(host) = new.host {
            let row = setting_host::ActiveModel {
                host: Set(host.host),
                port: Set(host.port.into()),
                created_at: created_at.clone(),
                updated_at: updated_at.clone(),
                ..Default::default()
            };
            let added = setting_host::Entity::insert(row).exec(tx).await?;
            revisions.host = Some(added.last_insert_id);
        }
        if let Some(registry) = new.registry {
            let purpose = password_purpose(&registry.registry, &registry.username);
            let password = registry.password.expose_secret().as_bytes();
            let row = setting_registry::ActiveModel {
                password: Set(self.seal.seal(&purpose, password)?),
                username: Set(registry.username),
                registry: Set(registry.registry),
                registry_dns: Set(registry.registry_dns),
                created_at: created_at.clone(),
                updated_at: updated_at.clone(),
                ..Default::default()
            };
            let added = setting_registry::Entity::insert(row).exec(tx).await?;
            revisions.registry = Some(added.last_insert_id);
        }
        if let Some(server) = new.docker_server {
            let purpose = tls_purpose(&server.host, server.port.into());
            let tls = server
                .tls
                .map(|tls| seal_tls(&self.seal, &purpose, &tls))
                .transpose()?;
            let row = setting_docker_server::ActiveModel {
                host: Set(server.host),
                port: Set(server.port.into()),
                tls: Set(tls),
                created_at: created_at.clone(),
                updated_at: updated_at.clone(),
                ..Default::default()
            };
            let added = setting_docker_server::Entity::insert(row).exec(tx).await?;
            revisions.docker_server = Some(added.last_insert_id);
        }
        if let Some(headers) = new.headers {
            let row = setting_headers::ActiveModel {
                headers: Set(headers.seal(&self.seal, HEADERS_PURPOSE)?),
                created_at,
                updated_at,
                ..Default::default()
            };
            let added = setting_headers::Entity::insert(row).exec(tx).await?;
            revisions.headers = Some(added.last_insert_id);
        }
        Ok(revisions)
    }

    /// What is in force right now, secrets opened.
    pub async fn settings(&self) -> Result<Settings, StoreError> {
        Ok(self.settings_in_force().await?.0)
    }

    /// The numbers of the rows in force right now.
    pub async fn settings_revisions(&self) -> Result<SettingsRevisions, StoreError> {
        Ok(self.settings_in_force().await?.1)
    }

    /// What is in force right now and the numbers of its rows, from one moment.
    pub async fn settings_in_force(&self) -> Result<(Settings, SettingsRevisions), StoreError> {
        // One transaction sees one moment: a change between two reads would mix two sets.
        let tx = self.begin_read().await?;
        let host = setting_host::Entity::find()
            .order_by_desc(setting_host::Column::Id)
            .one(&tx)
            .await?;
        let registry = setting_registry::Entity::find()
            .order_by_desc(setting_registry::Column::Id)
            .one(&tx)
            .await?;
        let server = setting_docker_server::Entity::find()
            .order_by_desc(setting_docker_server::Column::Id)
            .one(&tx)
            .await?;
        let headers = setting_headers::Entity::find()
            .order_by_desc(setting_headers::Column::Id)
            .one(&tx)
            .await?;
        tx.commit().await?;
        let revisions = SettingsRevisions {
            host: host.as_ref().map(|row| row.id),
            registry: registry.as_ref().map(|row| row.id),
            docker_server: server.as_ref().map(|row| row.id),
            headers: headers.as_ref().map(|row| row.id),
            engine: None,
        };
        let settings = Settings {
            host: host
                .map(|row| {
                    Ok::<_, StoreError>(HostSettings {
                        host: row.host,
                        port: read_port(row.port)?,
                    })
                })
                .transpose()?,
            registry: registry.map(|row| self.open_registry(row)).transpose()?,
            docker_server: server.map(|row| self.open_server(row)).transpose()?,
            callback_headers: headers
                .map(|row| SecretHeaders::open(&self.seal, HEADERS_PURPOSE, &row.headers))
                .transpose()?
                .unwrap_or_default()
                .expose()
                .clone(),
        };
        Ok((settings, revisions))
    }

    pub(crate) fn open_registry(
        &self,
        row: setting_registry::Model,
    ) -> Result<RegistrySettings, StoreError> {
        let purpose = password_purpose(&row.registry, &row.username);
        let password = self.seal.open(&purpose, &row.password)?;
        let password = std::str::from_utf8(password.expose_secret())
            .map_err(|error| StoreError::corrupt("registry password", error))?;
        Ok(RegistrySettings {
            password: password.into(),
            username: row.username,
            registry: row.registry,
            registry_dns: row.registry_dns,
        })
    }

    pub(crate) fn open_server(
        &self,
        row: setting_docker_server::Model,
    ) -> Result<DockerServerSettings, StoreError> {
        let purpose = tls_purpose(&row.host, row.port);
        Ok(DockerServerSettings {
            tls: row
                .tls
                .map(|sealed| open_tls(&self.seal, &purpose, &sealed))
                .transpose()?,
            port: read_port(row.port)?,
            host: row.host,
        })
    }

    /// All hosts that were ever in force, newest first.
    pub async fn host_history(&self) -> Result<Vec<HostRevision>, StoreError> {
        let rows = setting_host::Entity::find()
            .order_by_desc(setting_host::Column::Id)
            .all(self.reader())
            .await?;
        let revision = |row: setting_host::Model| {
            Ok(HostRevision {
                id: row.id,
                host: row.host,
                port: read_port(row.port)?,
                created_at: timestamp(row.created_at)?,
                updated_at: timestamp(row.updated_at)?,
            })
        };
        rows.into_iter().map(revision).collect()
    }

    /// All registries that were ever in force, newest first, without passwords.
    pub async fn registry_history(&self) -> Result<Vec<RegistryRevision>, StoreError> {
        let rows = setting_registry::Entity::find()
            .order_by_desc(setting_registry::Column::Id)
            .all(self.reader())
            .await?;
        let revision = |row: setting_registry::Model| {
            Ok(RegistryRevision {
                id: row.id,
                username: row.username,
                registry: row.registry,
                registry_dns: row.registry_dns,
                created_at: timestamp(row.created_at)?,
                updated_at: timestamp(row.updated_at)?,
            })
        };
        rows.into_iter().map(revision).collect()
    }

    /// All Docker servers that were ever in force, newest first, without TLS material.
    pub async fn docker_server_history(&self) -> Result<Vec<DockerServerRevision>, StoreError> {
        let rows = setting_docker_server::Entity::find()
            .order_by_desc(setting_docker_server::Column::Id)
            .all(self.reader())
            .await?;
        let revision = |row: setting_docker_server::Model| {
            Ok(DockerServerRevision {
                id: row.id,
                host: row.host,
                port: read_port(row.port)?,
                tls: row.tls.is_some(),
                created_at: timestamp(row.created_at)?,
                updated_at: timestamp(row.updated_at)?,
            })
        };
        rows.into_iter().map(revision).collect()
    }

    /// All callback headers that were ever in force, newest first, masked.
    pub async fn headers_history(&self) -> Result<Vec<HeadersRevision>, StoreError> {
        let rows = setting_headers::Entity::find()
            .order_by_desc(setting_headers::Column::Id)
            .all(self.reader())
            .await?;
        let revision = |row: setting_headers::Model| {
            let headers = SecretHeaders::open(&self.seal, HEADERS_PURPOSE, &row.headers)?;
            Ok(HeadersRevision {
                id: row.id,
                headers: headers.masked(),
                created_at: timestamp(row.created_at)?,
                updated_at: timestamp(row.updated_at)?,
            })
        };
        rows.into_iter().map(revision).collect()
    }
}

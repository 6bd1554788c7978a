//! Settings that were in force before, with their secrets, to be put in force once more.

use fastbuild_spec::settings::HostSettings;
use sea_orm::EntityTrait as _;
use strum::{Display, EnumString};

use crate::{
    NewSettings, SecretHeaders, Store, StoreError,
    entity::{setting_docker_server, setting_headers, setting_host, setting_registry},
    settings::{HEADERS_PURPOSE, read_port},
};

/// What is configured by itself, each with a history of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString)]
#[strum(serialize_all = "kebab-case")]
pub enum SettingsKind {
    /// The service's own address.
    Host,
    /// The registry and its account.
    Registry,
    /// The default engine.
    DockerServer,
    /// The headers of callbacks.
    CallbackHeaders,
}

impl Store {
    /// What a row of a history put in force, its secrets opened, as it would be put in force again;
    /// `None` where there is no such row.
    pub async fn settings_of_revision(
        &self,
        kind: SettingsKind,
        revision: i64,
    ) -> Result<Option<NewSettings>, StoreError> {
        let connection = self.reader();
        let mut settings = NewSettings::default();
        let found = match kind {
            SettingsKind::Host => {
                let row = setting_host::Entity::find_by_id(revision)
                    .one(connection)
                    .await?;
                let host = row.map(|row| {
                    Ok::<_, StoreError>(HostSettings {
                        host: row.host,
                        port: read_port(row.port)?,
                    })
                });
                settings.host = host.transpose()?;
                settings.host.is_some()
            }
            SettingsKind::Registry => {
                let row = setting_registry::Entity::find_by_id(revision)
                    .one(connection)
                    .await?;
                settings.registry = row.map(|row| self.open_registry(row)).transpose()?;
                settings.registry.is_some()
            }
            SettingsKind::DockerServer => {
                let row = setting_docker_server::Entity::find_by_id(revision)
                    .one(connection)
                    .await?;
                settings.docker_server = row.map(|row| self.open_server(row)).transpose()?;
                settings.docker_server.is_some()
            }
            SettingsKind::CallbackHeaders => {
                let row = setting_headers::Entity::find_by_id(revision)
                    .one(connection)
                    .await?;
                let headers =
                    row.map(|row| SecretHeaders::open(&self.seal, HEADERS_PURPOSE, &row.headers));
                settings.headers = headers.transpose()?;
                settings.headers.is_some()
            }
        };
        Ok(found.then_some(settings))
    }
}

//! The engines builds run on: any number, each by name, with a history of its own.
//!
//! The one called [`DEFAULT_ENGINE`] is the Docker server of the settings: its address and the
//! address's history are their rows ([`crate::DockerServerRevision`]), and its capacity is the
//! configuration's until somebody changes it here. Every other one has its revisions here alone.

pub(crate) mod candidates;
mod change;
mod health;
pub(crate) mod orphans;
pub(crate) mod placement;

use std::collections::BTreeMap;

use fastbuild_spec::settings::DockerServerSettings;
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde::{Deserialize, Serialize};

pub use change::{EngineChange, NewEngine, RemoveOutcome};
pub use health::{CheckedHealth, EngineHealth, HealthState};
pub use orphans::OrphanedImage;

use crate::{
    Store, StoreError,
    builds::from_json,
    db::time::timestamp,
    entity::{engine, engine_revision, setting_docker_server},
    settings::{open_tls, read_port},
};

/// The engine that the settings' Docker server is.
pub const DEFAULT_ENGINE: &str = "default";

/// What an operator says about an engine beside its address.
pub type EngineLabels = BTreeMap<String, String>;

/// An engine as it is in force, without its TLS material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedEngine {
    /// Its name.
    pub name: String,
    /// IP address or host name.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether it is reached with mutual TLS.
    pub tls: bool,
    /// How many builds run on it at a time.
    pub capacity: u32,
    /// What an operator says about it.
    pub labels: EngineLabels,
    /// Whether it takes no further builds.
    pub draining: bool,
    /// The number of its row in its history.
    pub revision: i64,
    /// Builds that run on it now.
    pub running: u32,
    /// How it was found when somebody last looked.
    pub health: EngineHealth,
    /// What its disk held when somebody last looked.
    pub disk: Option<DiskUse>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed, drained or undrained.
    pub updated_at: Timestamp,
}

/// What an engine's disk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUse {
    /// Bytes of images, containers, volumes and build cache.
    pub used_bytes: u64,
    /// Bytes of build cache among them.
    pub cache_bytes: u64,
    /// When that was, in microseconds since the Unix epoch.
    pub at: i64,
}

/// An engine's address and keys, and which rows they are from.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Its name.
    pub name: String,
    /// How to reach it.
    pub server: DockerServerSettings,
    /// The row, of the settings' Docker servers for [`DEFAULT_ENGINE`], else of its own history.
    pub revision: i64,
}

/// What an engine was at a time, without its TLS material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineRevision {
    /// The row's number; of the settings' Docker servers where only the address was set.
    pub id: i64,
    /// IP address or host name.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether it is reached with mutual TLS.
    pub tls: bool,
    /// How many builds run on it at a time; `None` where only the address was set.
    pub capacity: Option<u32>,
    /// What an operator says about it; `None` where only the address was set.
    pub labels: Option<EngineLabels>,
    /// When it came into force.
    pub created_at: Timestamp,
}

/// Where TLS material belongs: with this engine at this address.
fn tls_purpose(engine: &str, host: &str, port: i32) -> String {
    format!("engine_revisions.tls/{engine}/{host}:{port}")
}

fn read_capacity(capacity: i32) -> Result<u32, StoreError> {
    u32::try_from(capacity).map_err(|_| StoreError::corrupt("capacity", capacity))
}

fn read_labels(labels: &str) -> Result<EngineLabels, StoreError> {
    from_json("engine labels", labels)
}

/// The engines that were not removed, by name.
async fn live<C: ConnectionTrait>(connection: &C) -> Result<Vec<engine::Model>, StoreError> {
    Ok(engine::Entity::find()
        .filter(engine::Column::RemovedAt.is_null())
        .order_by_asc(engine::Column::Name)
        .all(connection)
        .await?)
}

/// The row of the settings' Docker server in force.
async fn docker_server<C: ConnectionTrait>(
    connection: &C,
) -> Result<Option<setting_docker_server::Model>, StoreError> {
    Ok(setting_docker_server::Entity::find()
        .order_by_desc(setting_docker_server::Column::Id)
        .one(connection)
        .await?)
}

/// The row of the revision in force of an engine other than [`DEFAULT_ENGINE`].
async fn revision<C: ConnectionTrait>(
    connection: &C,
    row: &engine::Model,
) -> Result<engine_revision::Model, StoreError> {
    let missing = || StoreError::corrupt("engine", format!("{} has no address", row.name));
    engine_revision::Entity::find_by_id(row.revision.ok_or_else(missing)?)
        .one(connection)
        .await?
        .ok_or_else(missing)
}

/// An engine's host, port, whether it is reached with TLS, and its row's number; `None` for the
/// default one before it is configured.
async fn address<C: ConnectionTrait>(
    connection: &C,
    row: &engine::Model,
) -> Result<Option<(String, i32, bool, i64)>, StoreError> {
    if row.name == DEFAULT_ENGINE {
        let server = docker_server(connection).await?;
        return Ok(server.map(|server| (server.host, server.port, server.tls.is_some(), server.id)));
    }
    let revision = revision(connection, row).await?;
    Ok(Some((
        revision.host,
        revision.port,
        revision.tls.is_some(),
        revision.id,
    )))
}

impl Store {
    /// Every engine that can be built on, by name. [`DEFAULT_ENGINE`] is one once it is
    /// configured.
    pub async fn engines(&self) -> Result<Vec<NamedEngine>, StoreError> {
        let tx = self.begin_read().await?;
        let running = candidates::running(&tx).await?;
        let mut healths = health::merged(&tx).await?;
        let mut engines = Vec::new();
        for row in live(&tx).await? {
            let Some((host, port, tls, revision)) = address(&tx, &row).await? else {
                continue;
            };
            engines.push(NamedEngine {
                host,
                port: read_port(port)?,
                tls,
                capacity: read_capacity(row.capacity)?,
                labels: read_labels(&row.labels)?,
                draining: row.draining,
                revision,
                running: running.get(&row.name).copied().unwrap_or_default(),
                health: healths.remove(&row.name).unwrap_or_default(),
                disk: row
                    .disk
                    .map(|text| from_json("disk use", &text))
                    .transpose()?,
                created_at: timestamp(row.created_at)?,
                updated_at: timestamp(row.updated_at)?,
                name: row.name,
            });
        }
        tx.commit().await?;
        Ok(engines)
    }

    /// How to reach an engine; `None` for one that was never there, was removed, or is the default
    /// one and not configured.
    pub async fn engine_settings(&self, name: &str) -> Result<Option<EngineSettings>, StoreError> {
        if name == DEFAULT_ENGINE {
            let row = docker_server(self.reader()).await?;
            return row
                .map(|row| {
                    let revision = row.id;
                    Ok(EngineSettings {
                        name: name.to_owned(),
                        server: self.open_server(row)?,
                        revision,
                    })
                })
                .transpose();
        }
        let tx = self.begin_read().await?;
        let row = engine::Entity::find_by_id(name.to_owned())
            .filter(engine::Column::RemovedAt.is_null())
            .one(&tx)
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let revision = revision(&tx, &row).await?;
        tx.commit().await?;
        let purpose = tls_purpose(name, &revision.host, revision.port);
        Ok(Some(EngineSettings {
            name: row.name,
            server: DockerServerSettings {
                port: read_port(revision.port)?,
                tls: revision
                    .tls
                    .map(|sealed| open_tls(&self.seal, &purpose, &sealed))
                    .transpose()?,
                host: revision.host,
            },
            revision: revision.id,
        }))
    }

    /// Everything an engine ever was, newest first; of those that were removed as well.
    pub async fn engine_history(&self, name: &str) -> Result<Vec<EngineRevision>, StoreError> {
        let rows = engine_revision::Entity::find()
            .filter(engine_revision::Column::Engine.eq(name))
            .order_by_desc(engine_revision::Column::Id)
            .all(self.reader())
            .await?;
        let mut history = rows
            .into_iter()
            .map(|row| {
                Ok(EngineRevision {
                    id: row.id,
                    port: read_port(row.port)?,
                    tls: row.tls.is_some(),
                    capacity: Some(read_capacity(row.capacity)?),
                    labels: Some(read_labels(&row.labels)?),
                    created_at: timestamp(row.created_at)?,
                    host: row.host,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        if name == DEFAULT_ENGINE {
            let addresses = self.docker_server_history().await?;
            history.extend(addresses.into_iter().map(|row| EngineRevision {
                id: row.id,
                host: row.host,
                port: row.port,
                tls: row.tls,
                capacity: None,
                labels: None,
                created_at: row.created_at,
            }));
            history.sort_by_key(|row| std::cmp::Reverse(row.created_at));
        }
        Ok(history)
    }
}

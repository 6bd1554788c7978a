//! Adding, changing, draining and removing engines. The caller has proven what it stores.

use fastbuild_spec::settings::{DockerServerSettings, host_and_port};
use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DatabaseTransaction,
    EntityTrait as _, QueryFilter as _, QuerySelect as _, sea_query::Expr,
};

use super::{DEFAULT_ENGINE, DiskUse, EngineLabels, address, candidates, live, tls_purpose};
use crate::{
    Store, StoreError,
    builds::to_json,
    db::time::micros,
    entity::{engine, engine_health, engine_revision},
    settings::seal_tls,
};

/// An engine as it is to be.
#[derive(Debug, Clone)]
pub struct NewEngine {
    /// Its name; never [`DEFAULT_ENGINE`].
    pub name: String,
    /// How to reach it.
    pub server: DockerServerSettings,
    /// How many builds run on it at a time.
    pub capacity: u32,
    /// What an operator says about it.
    pub labels: EngineLabels,
}

/// What a request to add, change or drain an engine came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineChange {
    /// It is in force.
    Done,
    /// One of this name is there already.
    Exists,
    /// There is none of this name.
    NotFound,
    /// Another engine, this one, has the same address: it would take twice its capacity.
    AddressTaken(String),
}

/// What a request to remove an engine came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoveOutcome {
    /// It is removed; its history stays.
    Removed,
    /// There is none of this name.
    NotFound,
    /// So many builds run on it.
    InUse(u32),
}

/// A capacity as it is stored.
fn stored_capacity(capacity: u32) -> i32 {
    i32::try_from(capacity).unwrap_or(i32::MAX)
}

/// The row of an engine that was not removed, locked until the transaction ends.
pub(super) async fn locked(
    tx: &DatabaseTransaction,
    name: &str,
) -> Result<Option<engine::Model>, StoreError> {
    Ok(engine::Entity::find_by_id(name.to_owned())
        .filter(engine::Column::RemovedAt.is_null())
        .lock_exclusive()
        .one(tx)
        .await?)
}

/// Another engine that is reached under the same address.
async fn same_address(
    tx: &DatabaseTransaction,
    new: &NewEngine,
) -> Result<Option<String>, StoreError> {
    let wanted = host_and_port(&new.server.host, new.server.port).to_ascii_lowercase();
    for row in live(tx).await? {
        let Some((host, port, ..)) = address(tx, &row).await? else {
            continue;
        };
        if row.name != new.name && host_and_port(&host, port).to_ascii_lowercase() == wanted {
            return Ok(Some(row.name));
        }
    }
    Ok(None)
}

impl Store {
    /// Says how many builds run on [`DEFAULT_ENGINE`] at a time, until somebody changes that engine.
    pub async fn set_default_capacity(
        &self,
        capacity: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        let capacity = Set(stored_capacity(capacity));
        match locked(&tx, DEFAULT_ENGINE).await? {
            // Somebody changed it while a service ran, and that holds.
            Some(row) if row.revision.is_some() => {}
            Some(row) => {
                let mut row: engine::ActiveModel = row.into();
                row.capacity = capacity;
                row.update(&tx).await?;
            }
            None => {
                engine::Entity::insert(engine::ActiveModel {
                    name: Set(DEFAULT_ENGINE.to_owned()),
                    capacity,
                    labels: Set("{}".to_owned()),
                    draining: Set(false),
                    created_at: Set(micros(now)),
                    updated_at: Set(micros(now)),
                    ..Default::default()
                })
                // Another process may start at the same time; its number is as good as this one.
                .on_conflict_do_nothing_on([engine::Column::Name])
                .exec_without_returning(&tx)
                .await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// Adds an engine. One of the same name that was removed comes back, with its history.
    pub async fn add_engine(
        &self,
        new: NewEngine,
        now: Timestamp,
    ) -> Result<EngineChange, StoreError> {
        let tx = self.begin().await?;
        if let Some(other) = same_address(&tx, &new).await? {
            return Ok(EngineChange::AddressTaken(other));
        }
        let row = engine::Entity::find_by_id(new.name.clone())
            .lock_exclusive()
            .one(&tx)
            .await?;
        if row.as_ref().is_some_and(|row| row.removed_at.is_none()) {
            return Ok(EngineChange::Exists);
        }
        let existed = row.is_some();
        let row = engine::ActiveModel {
            revision: Set(Some(self.insert_revision(&tx, &new, now).await?)),
            capacity: Set(stored_capacity(new.capacity)),
            labels: Set(to_json("engine labels", &new.labels)?),
            draining: Set(false),
            removed_at: Set(None),
            disk: Set(None),
            created_at: Set(micros(now)),
            updated_at: Set(micros(now)),
            name: Set(new.name),
        };
        if existed {
            row.update(&tx).await?;
        } else {
            engine::Entity::insert(row)
                .exec_without_returning(&tx)
                .await?;
        }
        tx.commit().await?;
        self.notifier.notify_queue();
        Ok(EngineChange::Done)
    }

    /// Changes an engine. Builds that run there end where they are. Of [`DEFAULT_ENGINE`] the
    /// capacity and the labels change; its address is a setting and must be the one in force.
    pub async fn change_engine(
        &self,
        new: NewEngine,
        now: Timestamp,
    ) -> Result<EngineChange, StoreError> {
        let tx = self.begin().await?;
        let Some(row) = locked(&tx, &new.name).await? else {
            return Ok(EngineChange::NotFound);
        };
        if let Some(other) = same_address(&tx, &new).await? {
            return Ok(EngineChange::AddressTaken(other));
        }
        let revision = self.insert_revision(&tx, &new, now).await?;
        let mut row: engine::ActiveModel = row.into();
        row.revision = Set(Some(revision));
        row.capacity = Set(stored_capacity(new.capacity));
        row.labels = Set(to_json("engine labels", &new.labels)?);
        row.updated_at = Set(micros(now));
        row.update(&tx).await?;
        tx.commit().await?;
        self.notifier.notify_queue();
        Ok(EngineChange::Done)
    }

    async fn insert_revision(
        &self,
        tx: &DatabaseTransaction,
        new: &NewEngine,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let port: i32 = new.server.port.into();
        let purpose = tls_purpose(&new.name, &new.server.host, port);
        let tls = new.server.tls.as_ref();
        let tls = tls.map(|tls| seal_tls(&self.seal, &purpose, tls));
        let added = engine_revision::Entity::insert(engine_revision::ActiveModel {
            engine: Set(new.name.clone()),
            host: Set(new.server.host.clone()),
            port: Set(port),
            tls: Set(tls.transpose()?),
            capacity: Set(stored_capacity(new.capacity)),
            labels: Set(to_json("engine labels", &new.labels)?),
            created_at: Set(micros(now)),
            ..Default::default()
        })
        .exec(tx)
        .await?;
        Ok(added.last_insert_id)
    }

    /// Keeps an engine from taking further builds, or lets it take them again. Builds that run
    /// there end there.
    pub async fn drain_engine(
        &self,
        name: &str,
        draining: bool,
        now: Timestamp,
    ) -> Result<EngineChange, StoreError> {
        let tx = self.begin().await?;
        let Some(row) = locked(&tx, name).await? else {
            return Ok(EngineChange::NotFound);
        };
        let mut row: engine::ActiveModel = row.into();
        row.draining = Set(draining);
        row.updated_at = Set(micros(now));
        row.update(&tx).await?;
        tx.commit().await?;
        self.notifier.notify_queue();
        Ok(EngineChange::Done)
    }

    /// Removes an engine that no build runs on. Its history stays.
    pub async fn remove_engine(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<RemoveOutcome, StoreError> {
        let tx = self.begin().await?;
        let Some(row) = locked(&tx, name).await? else {
            return Ok(RemoveOutcome::NotFound);
        };
        let running = candidates::running(&tx).await?;
        if let Some(running) = running.get(name) {
            return Ok(RemoveOutcome::InUse(*running));
        }
        let mut row: engine::ActiveModel = row.into();
        row.removed_at = Set(Some(micros(now)));
        row.updated_at = Set(micros(now));
        row.update(&tx).await?;
        engine_health::Entity::delete_many()
            .filter(engine_health::Column::Engine.eq(name))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(RemoveOutcome::Removed)
    }

    /// Notes what an engine's disk holds.
    pub async fn note_disk(&self, name: &str, disk: DiskUse) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        engine::Entity::update_many()
            .col_expr(
                engine::Column::Disk,
                Expr::value(to_json("disk use", &disk)?),
            )
            .filter(engine::Column::Name.eq(name))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

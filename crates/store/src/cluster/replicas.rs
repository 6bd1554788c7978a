//! The processes that share this database: what each made on an engine is its own to remove as
//! long as it lives. Signs of life go by the database's clock, as leases do.

use std::{collections::HashSet, time::Duration};

use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, sea_query::OnConflict,
};

use crate::{Store, StoreError, entity::replica};

impl Store {
    /// A sign of life of the process of this name.
    pub async fn replica_heartbeat(&self, name: &str, now: Timestamp) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        let now = self.lease_time(&tx, now).await?;
        replica::Entity::insert(replica::ActiveModel {
            name: Set(name.to_owned()),
            started_at: Set(now),
            seen_at: Set(now),
        })
        .on_conflict(
            OnConflict::column(replica::Column::Name)
                .update_column(replica::Column::SeenAt)
                .to_owned(),
        )
        .exec_without_returning(&tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The processes that gave a sign of life within this span; the others are forgotten.
    pub async fn live_replicas(
        &self,
        within: Duration,
        now: Timestamp,
    ) -> Result<HashSet<String>, StoreError> {
        let tx = self.begin().await?;
        let span = i64::try_from(within.as_micros()).unwrap_or(i64::MAX);
        let cutoff = self.lease_time(&tx, now).await?.saturating_sub(span);
        replica::Entity::delete_many()
            .filter(replica::Column::SeenAt.lt(cutoff))
            .exec(&tx)
            .await?;
        let rows = replica::Entity::find().all(&tx).await?;
        tx.commit().await?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    }

    /// The process of this name has ended in an orderly way.
    pub async fn remove_replica(&self, name: &str) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        replica::Entity::delete_by_id(name.to_owned())
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

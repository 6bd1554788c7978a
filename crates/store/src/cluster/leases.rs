//! Work that one process does for all that share the database, such as the daily cleaning. Leases
//! go by the database's clock where it has one.

use std::time::Duration;

use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _,
    sea_query::OnConflict,
};

use crate::{
    Store, StoreError,
    db::time::micros_after,
    entity::lease::{ActiveModel, Column, Entity},
};

/// A day, in microseconds.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

impl Store {
    /// Takes the work of this name for `holder` until `span` from now on, or keeps it; whether it is
    /// the holder's now. Of any number of processes that ask, one gets it.
    pub async fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        span: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let tx = self.begin().await?;
        let now = self.lease_time(&tx, now).await?;
        let free = Condition::any()
            .add(Column::Holder.eq(holder))
            .add(Column::HeldUntil.lte(now));
        let held = Entity::insert(ActiveModel {
            name: Set(name.to_owned()),
            holder: Set(holder.to_owned()),
            held_until: Set(micros_after(now, span)),
        })
        .on_conflict(
            OnConflict::column(Column::Name)
                .update_columns([Column::Holder, Column::HeldUntil])
                .action_cond_where(free)
                .to_owned(),
        )
        .exec_without_returning(&tx)
        .await?;
        tx.commit().await?;
        Ok(held > 0)
    }

    /// Lets go of the work, so that others need not wait for the end of the time. What nobody let go
    /// of, because its process died, is forgotten with it a day after its end.
    pub async fn release_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        let now = self.lease_time(&tx, now).await?;
        let held = Condition::all()
            .add(Column::Name.eq(name))
            .add(Column::Holder.eq(holder));
        let forgotten = Column::HeldUntil.lte(now.saturating_sub(DAY));
        Entity::delete_many()
            .filter(Condition::any().add(held).add(forgotten))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

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
    entity::lease::{ActiveModel, Column, Entity},
    time::micros_after,
};

impl Store {
    /// Takes the work of this name for `holder` until `span` from now on, or keeps it; whether it is
    /// the holder's now. Of any number of processes that ask, one gets it.
    pub async fn hold_lease(
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

    /// Lets go of the work, so that others need not wait for the end of the time.
    pub async fn end_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        Entity::delete_by_id(name.to_owned())
            .filter(Column::Holder.eq(holder))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

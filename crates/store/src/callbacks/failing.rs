//! Receivers that do not take callbacks, for readiness and alerts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::{
    Store, StoreError,
    db::time::micros,
    entity::{delivery, delivery_attempt},
};

/// Deliveries looked at, newest first: enough for an hour, and a bound for a busy one.
const MAX_DELIVERIES: u64 = 2_000;

/// A receiver whose newest attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailingReceiver {
    /// Its host.
    pub receiver: String,
    /// The address of the callback that failed last.
    pub url: String,
    /// The status it answered with, where it did.
    pub status: Option<u16>,
    /// What was recorded in place of an answer.
    pub error: Option<String>,
    /// Callbacks to it that are not delivered.
    pub undelivered: u64,
}

impl Store {
    /// The receivers whose newest attempt since then failed, by name. Tests of a receiver do not count.
    pub async fn failing_receivers(
        &self,
        since: Timestamp,
    ) -> Result<Vec<FailingReceiver>, StoreError> {
        let rows = delivery::Entity::find()
            .filter(delivery::Column::Test.eq(false))
            .filter(delivery::Column::Tries.gt(0))
            .order_by_desc(delivery::Column::Id)
            .limit(MAX_DELIVERIES)
            .all(self.reader())
            .await?;
        let mut receivers: BTreeMap<String, (delivery::Model, u64)> = BTreeMap::new();
        for row in rows
            .into_iter()
            .filter(|row| row.updated_at >= micros(since))
        {
            let failed = u64::from(row.status != "delivered");
            match receivers.get_mut(&row.receiver) {
                None => {
                    receivers.insert(row.receiver.clone(), (row, failed));
                }
                Some((newest, undelivered)) => {
                    *undelivered += failed;
                    if row.updated_at > newest.updated_at {
                        *newest = row;
                    }
                }
            }
        }
        let mut failing = Vec::new();
        for (receiver, (row, undelivered)) in receivers {
            if row.status == "delivered" {
                continue;
            }
            let newest = delivery_attempt::Entity::find()
                .filter(delivery_attempt::Column::DeliveryId.eq(row.id))
                .order_by_desc(delivery_attempt::Column::Number)
                .one(self.reader())
                .await?;
            let (status, error) = newest.map_or((None, None), |tried| (tried.status, tried.error));
            failing.push(FailingReceiver {
                receiver,
                url: row.url,
                status: status.and_then(|status| u16::try_from(status).ok()),
                error,
                undelivered,
            });
        }
        Ok(failing)
    }

    /// The time by the database's own clock; `None` for SQLite, which has the service's.
    pub async fn database_time(&self) -> Result<Option<Timestamp>, StoreError> {
        let time = crate::db::dialect::database_time(self.reader()).await?;
        crate::db::time::maybe_timestamp(time)
    }
}

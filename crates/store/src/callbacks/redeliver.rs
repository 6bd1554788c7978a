//! Looking back at callbacks with every try, and sending them once more.

use std::collections::HashMap;

use fastbuild_spec::{
    callback::receiver,
    settings::CallbackHeaders,
    state::{BuildState, RetryFrom},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, Condition, DatabaseTransaction,
    EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use crate::{
    Build, BuildId, Delivery, DeliveryAttempt, DeliveryMaker, DeliveryStatus, Page, SecretHeaders,
    Store, StoreError,
    builds::read,
    callbacks::purpose,
    db::time::micros,
    entity::{delivery, delivery_attempt},
};

/// Deliveries whose tries one statement asks for: databases bound a statement's parameters.
const STATEMENT_NUMBERS: usize = 500;

/// Which deliveries a history shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// How they stand.
    pub status: Option<DeliveryStatus>,
    /// The build they tell of.
    pub build_id: Option<BuildId>,
}

impl DeliveryFilter {
    fn condition(self) -> Condition {
        let mut condition = Condition::all();
        if let Some(status) = self.status {
            condition = condition.add(delivery::Column::Status.eq(status.to_string()));
        }
        if let Some(build_id) = self.build_id {
            condition = condition.add(delivery::Column::BuildId.eq(build_id));
        }
        condition
    }
}

/// A delivery with every try of it, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryHistory {
    /// The delivery.
    pub delivery: Delivery,
    /// Its tries.
    pub tries: Vec<DeliveryAttempt>,
}

/// What a request to send a build's callback once more came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackOutcome {
    /// There is no such build.
    NotFound,
    /// It has not ended: there is nothing to tell yet.
    NotEnded(BuildState),
    /// It names no address.
    NoAddress,
    /// It is due now.
    Due,
}

/// Deliveries with their tries that one page holds at the most.
const LARGEST_PAGE: u64 = 500;

impl Store {
    /// A page of deliveries with their tries, newest first, and how many deliveries there are on
    /// all pages.
    pub async fn delivery_history(
        &self,
        page: Page,
        filter: DeliveryFilter,
    ) -> Result<(Vec<DeliveryHistory>, u64), StoreError> {
        let query = delivery::Entity::find().filter(filter.condition());
        let total = query.clone().count(self.reader()).await?;
        let (offset, limit) = page.bounds();
        // Each row carries every try with 4 KB of answer: nobody gets all of them at once.
        let limit = Some(limit.unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE));
        let rows = query
            .order_by_desc(delivery::Column::Id)
            .offset(limit.map(|_| offset))
            .limit(limit)
            .all(self.reader())
            .await?;
        let mut tries: HashMap<i64, Vec<DeliveryAttempt>> = HashMap::new();
        for some in rows.chunks(STATEMENT_NUMBERS) {
            let numbers = some.iter().map(|row| row.id);
            for row in delivery_attempt::Entity::find()
                .filter(delivery_attempt::Column::DeliveryId.is_in(numbers))
                .order_by_asc(delivery_attempt::Column::Number)
                .all(self.reader())
                .await?
            {
                tries
                    .entry(row.delivery_id)
                    .or_default()
                    .push(row.try_into()?);
            }
        }
        let history = rows
            .into_iter()
            .map(|row| {
                Ok::<_, StoreError>(DeliveryHistory {
                    tries: tries.remove(&row.id).unwrap_or_default(),
                    delivery: self.shown(row)?,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok((history, total))
    }

    /// At most `limit` deliveries, newest first, that are older than the one numbered `before`;
    /// without their tries.
    pub async fn search_deliveries(
        &self,
        filter: DeliveryFilter,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut condition = filter.condition();
        if let Some(before) = before {
            condition = condition.add(delivery::Column::Id.lt(before));
        }
        delivery::Entity::find()
            .filter(condition)
            .order_by_desc(delivery::Column::Id)
            .limit(limit)
            .all(self.reader())
            .await?
            .into_iter()
            .map(|row| self.shown(row))
            .collect()
    }

    /// A delivery with every try of it.
    pub async fn delivery(&self, delivery_id: i64) -> Result<Option<DeliveryHistory>, StoreError> {
        let row = delivery::Entity::find_by_id(delivery_id)
            .one(self.reader())
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        Ok(Some(DeliveryHistory {
            delivery: self.shown(row)?,
            tries: self.delivery_tries(delivery_id).await?,
        }))
    }

    /// Makes a delivery due now, on a new schedule, whatever became of it before, also of a try
    /// that is being made meanwhile. `headers` are
    /// laid over the recorded ones: an operator may have mended them since. Says whether there
    /// is such a delivery.
    pub async fn redeliver(
        &self,
        delivery_id: i64,
        headers: &CallbackHeaders,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let tx = self.begin().await?;
        let Some(row) = delivery::Entity::find_by_id(delivery_id)
            .lock_exclusive()
            .one(&tx)
            .await?
        else {
            return Ok(false);
        };
        self.make_due(&tx, row, headers, now).await?;
        tx.commit().await?;
        self.notifier.notify_deliveries();
        Ok(true)
    }

    /// Makes every delivery due now that was given up at `since` or later, tests of the receiver
    /// left out; returns their numbers in the order they were written.
    pub async fn redeliver_failed(
        &self,
        since: Timestamp,
        headers: &CallbackHeaders,
        now: Timestamp,
    ) -> Result<Vec<i64>, StoreError> {
        let tx = self.begin().await?;
        let rows = delivery::Entity::find()
            .filter(delivery::Column::Status.eq(DeliveryStatus::GaveUp.to_string()))
            .filter(delivery::Column::UpdatedAt.gte(micros(since)))
            .filter(delivery::Column::Test.eq(false))
            .order_by_asc(delivery::Column::Id)
            .lock_exclusive()
            .all(&tx)
            .await?;
        let numbers = rows.iter().map(|row| row.id).collect();
        for row in rows {
            self.make_due(&tx, row, headers, now).await?;
        }
        tx.commit().await?;
        self.notifier.notify_deliveries();
        Ok(numbers)
    }

    /// Makes the newest callback of a build that has ended due now, on a new schedule, with
    /// `headers` laid over the recorded ones; one that was never written is written.
    pub async fn redeliver_of_build(
        &self,
        build_id: BuildId,
        headers: &CallbackHeaders,
        make_delivery: DeliveryMaker<'_>,
        now: Timestamp,
    ) -> Result<CallbackOutcome, StoreError> {
        let tx = self.begin().await?;
        let Some(row) = read::find(&tx, build_id).await? else {
            return Ok(CallbackOutcome::NotFound);
        };
        let build: Build = row.try_into()?;
        if !build.state.may_be_retried(RetryFrom::Callback) {
            return Ok(CallbackOutcome::NotEnded(build.state));
        }
        let written = delivery::Entity::find()
            .filter(delivery::Column::BuildId.eq(build_id))
            .filter(delivery::Column::Test.eq(false))
            .order_by_desc(delivery::Column::Id)
            .lock_exclusive()
            .one(&tx)
            .await?;
        if let Some(written) = written {
            self.make_due(&tx, written, headers, now).await?;
        } else {
            let Some(delivery) = make_delivery(&build) else {
                return Ok(CallbackOutcome::NoAddress);
            };
            self.insert_delivery(&tx, Some(build_id), &delivery, now)
                .await?;
        }
        tx.commit().await?;
        self.notifier.notify_deliveries();
        Ok(CallbackOutcome::Due)
    }

    async fn make_due(
        &self,
        tx: &DatabaseTransaction,
        row: delivery::Model,
        headers: &CallbackHeaders,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let purpose = purpose(&row.url);
        let recorded = SecretHeaders::open(&self.seal, &purpose, &row.headers)?;
        // The try that is being made right now belongs to the schedule before: whatever comes of
        // it, this one begins after it.
        let tries = row.tries.max(row.claim.unwrap_or_default());
        let receiver = receiver(&row.url);
        let mut row = row.into_active_model();
        row.headers = Set(recorded.overlaid(headers).seal(&self.seal, &purpose)?);
        row.status = Set(DeliveryStatus::Pending.to_string());
        row.receiver = Set(receiver);
        row.schedule_from = Set(tries);
        row.next_at = Set(Some(micros(now)));
        row.updated_at = Set(micros(now));
        row.update(tx).await?;
        Ok(())
    }
}

//! Who makes which try of a delivery. A try is claimed with a lease, by its number, before it is
//! made, and recorded under that number: nobody else makes it meanwhile. One whose lease ran out
//! is recorded as lost, and another follows it.

use std::collections::HashMap;

use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, LockBehavior, LockType},
};

use crate::{
    DeliveryOutcome, DeliveryStatus, NewDeliveryAttempt, OutgoingDelivery, SecretHeaders, Store,
    StoreError,
    builds::to_json,
    callbacks::{count, cut, purpose},
    db::{
        dialect,
        time::{maybe_timestamp, micros, micros_after},
    },
    entity::{delivery, delivery_attempt},
};

/// What stands for the answer of a try whose process ended before it could record it.
const LOST: &str = "the service ended during this try; whether it arrived is not known";

/// How many tries may begin, and where others are under way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimRoom {
    /// Tries that may begin now.
    pub free: usize,
    /// Tries that may be under way to one receiver.
    pub per_receiver: usize,
    /// Tries under way by receiver.
    pub under_way: HashMap<String, usize>,
}

impl ClaimRoom {
    fn has_room_for(&self, receiver: &str) -> bool {
        self.under_way
            .get(receiver)
            .is_none_or(|amount| *amount < self.per_receiver)
    }

    /// The receivers that get nothing more for now.
    fn full(&self) -> impl Iterator<Item = &str> {
        self.under_way
            .iter()
            .filter(|(_, amount)| **amount >= self.per_receiver)
            .map(|(receiver, _)| receiver.as_str())
    }
}

/// A delivery whose next try is the claimer's to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedDelivery {
    /// The delivery.
    pub delivery: OutgoingDelivery,
    /// The try's number, from 1.
    pub number: u32,
    /// The host it goes to.
    pub receiver: String,
}

/// What is due at a time, to receivers with room, and claimed by nobody.
fn claimable(room: &ClaimRoom, lease_time: i64) -> Condition {
    Condition::all()
        .add(delivery::Column::Receiver.is_not_in(room.full()))
        .add(
            Condition::any()
                .add(delivery::Column::ClaimedUntil.is_null())
                .add(delivery::Column::ClaimedUntil.lte(lease_time)),
        )
}

impl Store {
    /// Claims tries of deliveries whose time has come, the longest waiting first, as many as
    /// `room` has place for. Each is the caller's until `lease` is over.
    pub async fn claim_deliveries(
        &self,
        mut room: ClaimRoom,
        lease: std::time::Duration,
        now: Timestamp,
    ) -> Result<Vec<ClaimedDelivery>, StoreError> {
        let mut claimed = Vec::new();
        let tx = self.begin().await?;
        let lease_time = self.lease_time(&tx, now).await?;
        while claimed.len() < room.free {
            let due = delivery::Entity::find()
                .filter(delivery::Column::NextAt.lte(micros(now)))
                .filter(claimable(&room, lease_time))
                .order_by_asc(delivery::Column::NextAt)
                .order_by_asc(delivery::Column::Id)
                .limit((room.free - claimed.len()) as u64)
                .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                .all(&tx)
                .await?;
            if due.is_empty() {
                break;
            }
            // The first of them has room, so that every turn claims something; receivers that
            // became full on the way are left out of the next.
            for row in due {
                if room.has_room_for(&row.receiver) {
                    *room.under_way.entry(row.receiver.clone()).or_default() += 1;
                    claimed.extend(
                        self.claim_delivery(&tx, row, micros_after(lease_time, lease), now)
                            .await?,
                    );
                }
            }
        }
        tx.commit().await?;
        Ok(claimed)
    }

    async fn claim_delivery(
        &self,
        tx: &DatabaseTransaction,
        mut row: delivery::Model,
        claimed_until: i64,
        now: Timestamp,
    ) -> Result<Option<ClaimedDelivery>, StoreError> {
        if row.claim.is_some() {
            row = write_lost_try(self, tx, row).await?;
        }
        let number = row.tries + 1;
        let mut change = row.clone().into_active_model();
        let delivery = match self.outgoing(row) {
            Ok(delivery) => delivery,
            Err(error) => {
                // One that nobody can read must not keep the others from being sent.
                tracing::error!(%error, "a callback cannot be read and is given up");
                change.status = Set(DeliveryStatus::GaveUp.to_string());
                change.result = Set(Some(error.to_string()));
                change.next_at = Set(None);
                change.updated_at = Set(micros(now));
                change.update(tx).await?;
                return Ok(None);
            }
        };
        change.claim = Set(Some(number));
        change.claimed_until = Set(Some(claimed_until));
        let row = change.update(tx).await?;
        Ok(Some(ClaimedDelivery {
            delivery,
            number: count(number),
            receiver: row.receiver,
        }))
    }

    /// When the next delivery to a receiver with room is due; `None` when none is waiting.
    pub async fn next_delivery_at(
        &self,
        room: &ClaimRoom,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let row = delivery::Entity::find()
            .filter(delivery::Column::NextAt.is_not_null())
            .filter(claimable(room, micros(now)))
            .order_by_asc(delivery::Column::NextAt)
            .one(self.reader())
            .await?;
        maybe_timestamp(row.and_then(|row| row.next_at))
    }

    /// Ends the leases of all tries, whose processes are known to have ended.
    pub async fn release_deliveries(&self, now: Timestamp) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        delivery::Entity::update_many()
            .filter(delivery::Column::ClaimedUntil.gt(micros(now)))
            .col_expr(delivery::Column::ClaimedUntil, Expr::value(micros(now)))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        self.notifier.notify_deliveries();
        Ok(())
    }

    /// Records the claimed try of this number and what follows from it. Says whether the try
    /// still was the caller's; if not, only what came of it is noted where it was held for lost.
    ///
    /// A redelivery that was asked for meanwhile stays: it began another schedule.
    pub async fn record_delivery_attempt(
        &self,
        delivery_id: i64,
        number: u32,
        tried: &NewDeliveryAttempt,
        outcome: DeliveryOutcome,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let number = i64::from(number);
        let tx = self.begin().await?;
        let row = delivery::Entity::find_by_id(delivery_id)
            .filter(delivery::Column::Claim.eq(number))
            .lock_exclusive()
            .one(&tx)
            .await?;
        let Some(row) = row else {
            mend_lost_try(&tx, delivery_id, number, tried).await?;
            tx.commit().await?;
            return Ok(false);
        };
        let row = write_try(&tx, row, tried, now).await?;
        if row.schedule_from < number {
            settle(&tx, row, outcome).await?;
        }
        tx.commit().await?;
        self.notifier.notify_deliveries();
        Ok(true)
    }
}

fn try_row(
    delivery_id: i64,
    number: i64,
    tried: &NewDeliveryAttempt,
) -> Result<delivery_attempt::ActiveModel, StoreError> {
    Ok(delivery_attempt::ActiveModel {
        delivery_id: Set(delivery_id),
        number: Set(number),
        started_at: Set(micros(tried.started_at)),
        ended_at: Set(micros(tried.ended_at)),
        request_headers: Set(to_json("request headers", &tried.request_headers.masked())?),
        status: Set(tried.status.map(i32::from)),
        body: Set(dialect::storable(cut(&tried.body))),
        error: Set(tried.error.as_deref().map(dialect::storable)),
        ..Default::default()
    })
}

/// Writes the next try of a delivery, and that it is made.
pub(crate) async fn write_try(
    tx: &DatabaseTransaction,
    row: delivery::Model,
    tried: &NewDeliveryAttempt,
    now: Timestamp,
) -> Result<delivery::Model, StoreError> {
    let number = row.tries + 1;
    delivery_attempt::Entity::insert(try_row(row.id, number, tried)?)
        .exec_without_returning(tx)
        .await?;
    let mut row = row.into_active_model();
    row.tries = Set(number);
    row.claim = Set(None);
    row.claimed_until = Set(None);
    row.result = Set(Some(dialect::storable(
        tried.error.as_deref().unwrap_or(cut(&tried.body)),
    )));
    row.updated_at = Set(micros(now));
    Ok(row.update(tx).await?)
}

/// Moves a delivery on after a try.
pub(crate) async fn settle(
    tx: &DatabaseTransaction,
    row: delivery::Model,
    outcome: DeliveryOutcome,
) -> Result<(), StoreError> {
    let (status, next_at) = match outcome {
        DeliveryOutcome::Delivered => (DeliveryStatus::Delivered, None),
        DeliveryOutcome::Retry { at } => (DeliveryStatus::Pending, Some(micros(at))),
        DeliveryOutcome::GaveUp => (DeliveryStatus::GaveUp, None),
    };
    let mut row = row.into_active_model();
    row.status = Set(status.to_string());
    row.next_at = Set(next_at);
    row.update(tx).await?;
    Ok(())
}

/// Writes the try that was claimed and never recorded.
async fn write_lost_try(
    store: &Store,
    tx: &DatabaseTransaction,
    row: delivery::Model,
) -> Result<delivery::Model, StoreError> {
    let over = maybe_timestamp(row.claimed_until)?.unwrap_or(Timestamp::UNIX_EPOCH);
    // What cannot be opened is dealt with by who wants to send it.
    let headers = SecretHeaders::open(&store.seal, &purpose(&row.url), &row.headers);
    let tried = NewDeliveryAttempt {
        started_at: over,
        ended_at: over,
        request_headers: headers.unwrap_or_default(),
        status: None,
        body: String::new(),
        error: Some(LOST.to_owned()),
    };
    write_try(tx, row, &tried, over).await
}

/// Notes what came of a try that was held for lost, and was only late.
async fn mend_lost_try(
    tx: &DatabaseTransaction,
    delivery_id: i64,
    number: i64,
    tried: &NewDeliveryAttempt,
) -> Result<(), StoreError> {
    delivery_attempt::Entity::update_many()
        .set(try_row(delivery_id, number, tried)?)
        .filter(delivery_attempt::Column::DeliveryId.eq(delivery_id))
        .filter(delivery_attempt::Column::Number.eq(number))
        .filter(delivery_attempt::Column::Error.eq(LOST))
        .exec(tx)
        .await?;
    Ok(())
}

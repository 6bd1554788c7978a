//! Callbacks on their way: written with the end of a build, tried on a schedule, every try a
//! row.

pub(crate) mod claim;
pub(crate) mod failing;
pub(crate) mod headers;
pub(crate) mod redeliver;
pub(crate) mod secret;

use fastbuild_spec::{callback::receiver, settings::CallbackHeaders};
use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DatabaseTransaction,
    EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use strum::{Display, EnumString};

use crate::{
    BuildId, Page, SecretHeaders, Store, StoreError,
    builds::from_json,
    callbacks::claim::{settle, write_try},
    db::time::{maybe_timestamp, micros, timestamp},
    entity::{delivery, delivery_attempt},
};

/// Bytes kept of what a receiver answered.
const KEPT_ANSWER: usize = 4096;

/// A callback to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Where to.
    pub url: String,
    /// The headers of the request; sealed in the database.
    pub headers: SecretHeaders,
    /// The body, as it goes over the wire (JSON).
    pub body: String,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum DeliveryStatus {
    /// It will be tried, perhaps again.
    Pending,
    /// The receiver took it.
    Delivered,
    /// It was tried as often as the schedule says.
    GaveUp,
    /// An old installation sent it, and did not record whether it arrived.
    Unknown,
}

impl DeliveryStatus {
    /// Those in which nothing more is tried.
    pub(crate) const ENDED: [Self; 3] = [Self::Delivered, Self::GaveUp, Self::Unknown];
}

/// A delivery as its worker needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingDelivery {
    /// The row's number.
    pub id: i64,
    /// The build it tells of; `None` for a test.
    pub build_id: Option<BuildId>,
    /// Where to.
    pub url: String,
    /// The headers, in the clear through [`SecretHeaders::expose`].
    pub headers: SecretHeaders,
    /// The body.
    pub body: String,
    /// How often it was tried already.
    pub tries: u32,
    /// How often it was tried on its present schedule: a redelivery begins a new one.
    pub tries_on_schedule: u32,
    /// When it was written.
    pub created_at: Timestamp,
}

/// A delivery as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The row's number.
    pub id: i64,
    /// The build it tells of; `None` for a test.
    pub build_id: Option<BuildId>,
    /// Where to.
    pub url: String,
    /// The headers, with `***` for the values of those that look like credentials.
    pub headers: CallbackHeaders,
    /// The body.
    pub body: String,
    /// How it stands.
    pub status: DeliveryStatus,
    /// What came of the newest try: the answer's first 4 KB, or why there was none.
    pub result: Option<String>,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next.
    pub next_at: Option<Timestamp>,
    /// Whether somebody only tried the receiver with it.
    pub test: bool,
    /// When it was written.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
}

/// One try, as it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeliveryAttempt {
    /// When the request was begun.
    pub started_at: Timestamp,
    /// When the answer, or the lack of one, was known.
    pub ended_at: Timestamp,
    /// The headers that were sent; stored masked.
    pub request_headers: SecretHeaders,
    /// The answer's HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The answer's body; its first 4 KB are kept.
    pub body: String,
    /// Why there was no answer.
    pub error: Option<String>,
}

/// What follows from a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// Nothing more to do.
    Delivered,
    /// Try again.
    Retry {
        /// When.
        at: Timestamp,
    },
    /// It was the last try.
    GaveUp,
}

/// One try, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryAttempt {
    /// The delivery.
    pub delivery_id: i64,
    /// Which try, from 1.
    pub number: u32,
    /// When the request was begun.
    pub started_at: Timestamp,
    /// When the answer, or the lack of one, was known.
    pub ended_at: Timestamp,
    /// The headers that were sent, masked.
    pub request_headers: CallbackHeaders,
    /// The answer's HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The first 4 KB of the answer's body.
    pub body: String,
    /// Why there was no answer.
    pub error: Option<String>,
}

/// Where the headers of a delivery belong: with this receiver.
pub(crate) fn purpose(url: &str) -> String {
    format!("deliveries.headers/{url}")
}

pub(crate) fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

/// The part of an answer that is kept.
pub(crate) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(KEPT_ANSWER))
        .unwrap_or_default()
}

impl Store {
    /// Writes a delivery that is due at once.
    pub(crate) async fn insert_delivery(
        &self,
        tx: &DatabaseTransaction,
        build_id: Option<BuildId>,
        new: &NewDelivery,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let row = delivery::ActiveModel {
            build_id: Set(build_id),
            url: Set(new.url.clone()),
            headers: Set(new.headers.seal(&self.seal, &purpose(&new.url))?),
            body: Set(new.body.clone()),
            status: Set(DeliveryStatus::Pending.to_string()),
            tries: Set(0),
            schedule_from: Set(0),
            test: Set(false),
            next_at: Set(Some(micros(now))),
            receiver: Set(receiver(&new.url)),
            created_at: Set(micros(now)),
            updated_at: Set(micros(now)),
            ..Default::default()
        };
        Ok(delivery::Entity::insert(row).exec(tx).await?.last_insert_id)
    }

    pub(crate) fn outgoing(&self, row: delivery::Model) -> Result<OutgoingDelivery, StoreError> {
        Ok(OutgoingDelivery {
            headers: SecretHeaders::open(&self.seal, &purpose(&row.url), &row.headers)?,
            created_at: timestamp(row.created_at)?,
            tries: count(row.tries),
            tries_on_schedule: count(row.tries - row.schedule_from),
            id: row.id,
            build_id: row.build_id,
            url: row.url,
            body: row.body,
        })
    }

    /// Records a delivery that was made once to try the receiver, with its only try. Returns the
    /// row's number.
    pub async fn record_single_delivery(
        &self,
        build_id: Option<BuildId>,
        new: &NewDelivery,
        tried: &NewDeliveryAttempt,
        delivered: bool,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let outcome = if delivered {
            DeliveryOutcome::Delivered
        } else {
            DeliveryOutcome::GaveUp
        };
        let tx = self.begin().await?;
        let id = self.insert_delivery(&tx, build_id, new, now).await?;
        let mut row = delivery::Entity::find_by_id(id)
            .one(&tx)
            .await?
            .ok_or_else(|| StoreError::corrupt("delivery", "it is gone as soon as it was written"))?
            .into_active_model();
        row.test = Set(true);
        let row = row.update(&tx).await?;
        let row = write_try(&tx, row, tried, now).await?;
        settle(&tx, row, outcome).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// A page of deliveries, newest first, and how many there are on all pages.
    pub async fn deliveries(&self, page: Page) -> Result<(Vec<Delivery>, u64), StoreError> {
        let query = delivery::Entity::find();
        let total = query.clone().count(self.reader()).await?;
        let (offset, limit) = page.bounds();
        let deliveries = query
            .order_by_desc(delivery::Column::Id)
            .offset(limit.map(|_| offset))
            .limit(limit)
            .all(self.reader())
            .await?
            .into_iter()
            .map(|row| self.shown(row))
            .collect::<Result<_, _>>()?;
        Ok((deliveries, total))
    }

    pub(crate) fn shown(&self, row: delivery::Model) -> Result<Delivery, StoreError> {
        let headers = SecretHeaders::open(&self.seal, &purpose(&row.url), &row.headers)?;
        Ok(Delivery {
            headers: headers.masked(),
            status: row
                .status
                .parse()
                .map_err(|_| StoreError::corrupt("delivery status", &row.status))?,
            tries: count(row.tries),
            next_at: maybe_timestamp(row.next_at)?,
            test: row.test,
            created_at: timestamp(row.created_at)?,
            updated_at: timestamp(row.updated_at)?,
            id: row.id,
            build_id: row.build_id,
            url: row.url,
            body: row.body,
            result: row.result,
        })
    }

    /// The newest delivery, to make it once more.
    pub async fn last_delivery(&self) -> Result<Option<OutgoingDelivery>, StoreError> {
        delivery::Entity::find()
            .order_by_desc(delivery::Column::Id)
            .one(self.reader())
            .await?
            .map(|row| self.outgoing(row))
            .transpose()
    }

    /// Every try of a delivery, in order.
    pub async fn delivery_tries(
        &self,
        delivery_id: i64,
    ) -> Result<Vec<DeliveryAttempt>, StoreError> {
        delivery_attempt::Entity::find()
            .filter(delivery_attempt::Column::DeliveryId.eq(delivery_id))
            .order_by_asc(delivery_attempt::Column::Number)
            .all(self.reader())
            .await?
            .into_iter()
            .map(DeliveryAttempt::try_from)
            .collect()
    }
}

impl TryFrom<delivery_attempt::Model> for DeliveryAttempt {
    type Error = StoreError;

    fn try_from(row: delivery_attempt::Model) -> Result<Self, StoreError> {
        Ok(Self {
            delivery_id: row.delivery_id,
            number: count(row.number),
            started_at: timestamp(row.started_at)?,
            ended_at: timestamp(row.ended_at)?,
            request_headers: from_json("request headers", &row.request_headers)?,
            status: row.status.and_then(|status| u16::try_from(status).ok()),
            body: row.body,
            error: row.error,
        })
    }
}

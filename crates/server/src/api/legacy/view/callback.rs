//! Callback deliveries as rows of the old protocol.

use std::collections::BTreeMap;

use fastbuild_builder::{SigningOrigin, clock::local_time};
use fastbuild_store::{Delivery, DeliveryAttempt, DeliveryHistory};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::PageInfo;
use crate::api::view::of_signing;

/// A callback that was or will be delivered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallbackRow {
    /// The row's number.
    primary_id: i64,
    /// The build it reports; null for a repeated one of no build.
    task_id: Option<i64>,
    /// Where to.
    url: String,
    /// The request's headers; `***` stands for the values of those that look like credentials.
    headers: BTreeMap<String, String>,
    /// The request's body: `{"imageName", "taskId", "state", ...}`.
    state: Value,
    /// The start of what the receiver answered last, or why there was no answer; empty before
    /// the first try.
    result: String,
    /// `pending`, `delivered`, `gave_up`, or `unknown` for one of an old installation that did not
    /// record whether it arrived.
    #[schema(example = "delivered")]
    status: String,
    /// Number of delivery attempts.
    tries: u32,
    /// When it is tried next; null when it is not.
    next_time: Option<String>,
    /// Whether it was a test of the receiver.
    test: bool,
    /// When it was written: local time, ISO 8601 with microseconds and without a zone.
    create_time: String,
    /// When the row last changed.
    update_time: String,
}

impl From<Delivery> for CallbackRow {
    fn from(row: Delivery) -> Self {
        Self {
            primary_id: row.id,
            task_id: row.build_id,
            url: row.url,
            headers: row.headers,
            state: serde_json::from_str(&row.body).unwrap_or(Value::String(row.body)),
            result: row.result.unwrap_or_default(),
            status: row.status.to_string(),
            tries: row.tries,
            next_time: row.next_at.map(local_time),
            test: row.test,
            create_time: local_time(row.created_at),
            update_time: local_time(row.updated_at),
        }
    }
}

/// A callback with its delivery attempts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallbackHistory {
    /// The callback.
    #[serde(flatten)]
    callback: CallbackRow,
    /// Its delivery attempts, in order.
    attempts: Vec<CallbackAttempt>,
}

impl From<DeliveryHistory> for CallbackHistory {
    fn from(history: DeliveryHistory) -> Self {
        Self {
            callback: history.delivery.into(),
            attempts: history
                .tries
                .into_iter()
                .map(CallbackAttempt::from)
                .collect(),
        }
    }
}

/// A page of callbacks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallbackList {
    /// Which part of the list it is.
    pub(crate) page: PageInfo,
    /// The callbacks, newest first.
    pub(crate) callback_list: Vec<CallbackHistory>,
}

/// A delivery attempt.
#[derive(Debug, Serialize, ToSchema)]
struct CallbackAttempt {
    /// Its number, from 1.
    number: u32,
    /// When the request was begun: local time, ISO 8601 with microseconds and without a zone.
    start_time: String,
    /// When the answer, or the lack of one, was known.
    end_time: String,
    /// Milliseconds in between.
    duration_ms: u64,
    /// The headers that were sent; `***` stands for the values of those that look like credentials.
    request_headers: BTreeMap<String, String>,
    /// The answer's HTTP status; null when there was no answer.
    status: Option<u16>,
    /// The first 4 KB of the answer's body.
    body: String,
    /// Why there was no answer; null when there was one.
    error: Option<String>,
}

impl From<DeliveryAttempt> for CallbackAttempt {
    fn from(tried: DeliveryAttempt) -> Self {
        let took = tried.ended_at.duration_since(tried.started_at).as_millis();
        Self {
            number: tried.number,
            start_time: local_time(tried.started_at),
            end_time: local_time(tried.ended_at),
            // Clocks can go back; a duration cannot.
            duration_ms: u64::try_from(took).unwrap_or_default(),
            request_headers: tried.request_headers,
            status: tried.status,
            body: tried.body,
            error: tried.error,
        }
    }
}

/// The callbacks that are sent again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Redelivered {
    /// Their rows' numbers.
    pub(crate) delivery_ids: Vec<i64>,
}

/// Whether callbacks are signed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallbackSigning {
    /// Whether they are.
    signing: bool,
    /// `api` when set by config/update-callback-secret, `configuration` when it stands in the
    /// configuration file, `none` when there never was a secret.
    #[schema(example = "api")]
    origin: &'static str,
    /// When it was set by config/update-callback-secret; null when it was not.
    update_time: Option<String>,
}

impl From<SigningOrigin> for CallbackSigning {
    fn from(origin: SigningOrigin) -> Self {
        let (signing, origin, at) = of_signing(origin);
        Self {
            signing,
            origin,
            update_time: at.map(local_time),
        }
    }
}

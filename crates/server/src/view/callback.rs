//! Deliveries of callbacks as the old protocol's callback rows, and what came of a repeated one.

use std::collections::BTreeMap;

use fastbuild_builder::{CallbackTry, clock::local_time};
use fastbuild_store::Delivery;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A callback that was or will be delivered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallbackRow {
    /// The row's number.
    primary_id: i64,
    /// The build it tells of; null for a repeated one of no build.
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
    /// `pending`, `delivered` or `gave_up`.
    #[schema(example = "delivered")]
    status: String,
    /// How often it was tried.
    tries: u32,
    /// When it is tried next; null when it is not.
    next_time: Option<String>,
    /// When it was written: local time, ISO 8601 with microseconds and without a zone.
    create_time: String,
    /// When the row last changed.
    update_time: String,
}

impl From<Delivery> for CallbackRow {
    fn from(row: Delivery) -> Self {
        Self {
            primary_id: row.primary_id,
            task_id: row.task_id,
            url: row.url,
            headers: row.headers,
            state: serde_json::from_str(&row.body).unwrap_or(Value::String(row.body)),
            result: row.result.unwrap_or_default(),
            status: row.status.to_string(),
            tries: row.tries,
            next_time: row.next_time.map(local_time),
            create_time: local_time(row.create_time),
            update_time: local_time(row.update_time),
        }
    }
}

/// What came of a callback that was just sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TriedCallback {
    /// Where to.
    url: String,
    /// The body that was sent.
    request_body: String,
    /// The answer's HTTP status; null when there was no answer.
    status: Option<u16>,
    /// The first 4 KB of the answer's body.
    body: String,
    /// Milliseconds until the answer, or until it was given up.
    duration_ms: u64,
    /// Why there was no answer; null when there was one.
    error: Option<String>,
}

impl From<CallbackTry> for TriedCallback {
    fn from(tried: CallbackTry) -> Self {
        Self {
            url: tried.url,
            request_body: tried.request_body,
            status: tried.status,
            body: tried.body,
            duration_ms: tried.duration_ms,
            error: tried.error,
        }
    }
}

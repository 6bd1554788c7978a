//! Callbacks.

use std::collections::BTreeMap;

use fastbuild_builder::CallbackTry;
use fastbuild_spec::{callback::delivery_failure, failure::Language};
use fastbuild_store::{Delivery, DeliveryAttempt, DeliveryHistory};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::build::FailureDetail;
use crate::api::view::TriedCallback;

/// A callback that was or will be delivered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Callback {
    /// Its number.
    #[schema(example = 7)]
    id: i64,
    /// The build it reports; null for a test of a receiver before the first build.
    build: Option<i64>,
    /// Where to.
    url: String,
    /// The request's headers; `***` stands for the values of those that look like credentials.
    headers: BTreeMap<String, String>,
    /// The request's body.
    body: Value,
    /// `pending`, `delivered`, `gave_up`, or `unknown` for one of an old installation.
    #[schema(example = "delivered")]
    status: String,
    /// Number of delivery attempts.
    tries: u32,
    /// When the next attempt is due (RFC 3339); null if there is none.
    next_try_at: Option<String>,
    /// Result of the newest attempt: the first 4 KB of the answer, or why there was none.
    result: Option<String>,
    /// Whether it was a test of the receiver.
    test: bool,
    /// When it was written.
    created_at: String,
    /// When it last changed.
    updated_at: String,
}

impl From<Delivery> for Callback {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            build: delivery.build_id,
            url: delivery.url,
            headers: delivery.headers,
            body: serde_json::from_str(&delivery.body).unwrap_or(Value::String(delivery.body)),
            status: delivery.status.to_string(),
            tries: delivery.tries,
            next_try_at: delivery.next_at.map(|time| time.to_string()),
            result: delivery.result,
            test: delivery.test,
            created_at: delivery.created_at.to_string(),
            updated_at: delivery.updated_at.to_string(),
        }
    }
}

/// A page of callbacks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallbackPage {
    /// The callbacks, newest first.
    pub(crate) callbacks: Vec<Callback>,
    /// `cursor` for the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// A callback with its delivery attempts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallbackDetail {
    /// The callback.
    #[serde(flatten)]
    callback: Callback,
    /// Its delivery attempts, in order.
    attempts: Vec<CallbackAttempt>,
}

impl CallbackDetail {
    /// A callback, the failures of its tries in a language.
    pub(crate) fn new(history: DeliveryHistory, language: Language) -> Self {
        let url = history.delivery.url.clone();
        Self {
            callback: history.delivery.into(),
            attempts: history
                .tries
                .into_iter()
                .map(|tried| CallbackAttempt::new(tried, &url, language))
                .collect(),
        }
    }
}

/// A delivery attempt.
#[derive(Debug, Serialize, ToSchema)]
struct CallbackAttempt {
    /// Its number, from 1.
    number: u32,
    /// When the request was begun (RFC 3339).
    started_at: String,
    /// When the answer, or the lack of one, was known.
    ended_at: String,
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
    /// Why the receiver did not take it, and what to do; null when it did.
    failure: Option<FailureDetail>,
}

impl CallbackAttempt {
    fn new(tried: DeliveryAttempt, url: &str, language: Language) -> Self {
        let failure = delivery_failure(url, tried.status, tried.error.as_deref());
        let took = tried.ended_at.duration_since(tried.started_at).as_millis();
        Self {
            number: tried.number,
            started_at: tried.started_at.to_string(),
            ended_at: tried.ended_at.to_string(),
            // Clocks can go back; a duration cannot.
            duration_ms: u64::try_from(took).unwrap_or_default(),
            request_headers: tried.request_headers,
            status: tried.status,
            body: tried.body,
            error: tried.error,
            failure: failure.map(|failure| FailureDetail::new(&failure, language)),
        }
    }
}

/// What came of a test callback.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestedCallback {
    /// What was sent and what came back.
    #[serde(flatten)]
    tried: TriedCallback,
    /// Why the receiver did not take it, and what to do; null when it did.
    failure: Option<FailureDetail>,
}

impl TestedCallback {
    /// A test callback, its failure in a language.
    pub(crate) fn new(mut tried: CallbackTry, language: Language) -> Self {
        let failure = tried.failure.take();
        Self {
            tried: tried.into(),
            failure: failure.map(|failure| FailureDetail::new(&failure, language)),
        }
    }
}

/// The callbacks that are sent again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RedeliveredCallbacks {
    /// Their numbers.
    pub(crate) callbacks: Vec<i64>,
}

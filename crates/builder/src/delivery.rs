//! The delivery of callbacks: what is due is sent, every try is recorded, a failed one is tried
//! again on the schedule.

use std::time::Duration;

use fastbuild_spec::failure::{Failure, ReasonCode};
use fastbuild_store::{NewDelivery, OutgoingDelivery, SecretHeaders, Try, TryOutcome};
use jiff::{SignedDuration, Timestamp};
use reqwest::{
    Response,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::service::{Builder, stored};

/// Deliveries under way at a time.
const AT_A_TIME: u64 = 16;
/// How often deliveries are looked for without having been woken; only a fallback.
const LOOK: Duration = Duration::from_secs(30);
/// How long to wait after a fault of the database.
const AFTER_FAULT: Duration = Duration::from_secs(1);
/// Bytes read of an answer.
const ANSWER_BYTES: usize = 4096;
/// The longest wait a receiver may ask for with `Retry-After`.
const LONGEST_ASKED: Duration = Duration::from_hours(1);

/// One try of a callback, as it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackTry {
    /// Where it went.
    pub url: String,
    /// The body that was sent.
    pub request_body: String,
    /// The answer's HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The first 4 KB of the answer's body.
    pub body: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Why there was no answer.
    pub error: Option<String>,
}

impl Builder {
    /// Makes the last recorded callback once more, outside the schedule, and records it.
    ///
    /// # Errors
    /// `NotFound` when there was none yet.
    pub async fn repeat_last_callback(&self) -> Result<CallbackTry, Failure> {
        let last = self
            .store()
            .last_delivery()
            .await
            .map_err(|error| stored(&error))?
            .ok_or_else(no_callback_yet)?;
        let (tried, _) = self.try_once(&last.url, &last.headers, &last.body).await;
        let delivery = NewDelivery {
            url: last.url.clone(),
            headers: last.headers,
            body: last.body.clone(),
        };
        self.store()
            .record_single_delivery(
                last.task_id,
                &delivery,
                &tried,
                is_success(&tried),
                self.clock().now(),
            )
            .await
            .map_err(|error| stored(&error))?;
        let took = tried.ended.duration_since(tried.started);
        Ok(CallbackTry {
            url: last.url,
            request_body: last.body,
            status: tried.status,
            body: tried.body,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or_default(),
            error: tried.error,
        })
    }

    /// Delivers what is due until `shutdown`.
    pub(crate) async fn deliver(self, shutdown: CancellationToken) {
        // Subscribed before the first look, so that nothing written in between is missed.
        let mut written = self.store().subscribe_deliveries();
        while !shutdown.is_cancelled() {
            written.mark_unchanged();
            let wait = match self.deliver_due().await {
                Ok(0) => self.until_next().await,
                Ok(_) => continue,
                Err(failure) => {
                    tracing::error!(%failure, "callbacks cannot be read");
                    AFTER_FAULT
                }
            };
            tokio::select! {
                _ = written.changed() => {}
                () = tokio::time::sleep(wait) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Tries everything that is due; how many that were.
    async fn deliver_due(&self) -> Result<usize, Failure> {
        let due = self
            .store()
            .due_deliveries(AT_A_TIME, self.clock().now())
            .await
            .map_err(|error| stored(&error))?;
        let count = due.len();
        let tries = due.into_iter().map(|delivery| {
            let span = tracing::info_span!("callback", build = delivery.task_id);
            self.deliver_one(delivery).instrument(span)
        });
        // A try that cannot be recorded must not be made again at once: the caller waits.
        futures_util::future::try_join_all(tries).await?;
        Ok(count)
    }

    async fn deliver_one(&self, delivery: OutgoingDelivery) -> Result<(), Failure> {
        let (tried, asked) = self
            .try_once(&delivery.url, &delivery.headers, &delivery.body)
            .await;
        let now = self.clock().now();
        let outcome = if is_success(&tried) {
            TryOutcome::Delivered
        } else {
            self.after_failure(delivery.tries, asked, now)
        };
        tracing::info!(
            url = without_query(&delivery.url),
            status = tried.status,
            error = tried.error.as_deref(),
            tries = delivery.tries + 1,
            ?outcome,
            "callback tried"
        );
        self.store()
            .record_try(delivery.id, &tried, outcome, now)
            .await
            .map_err(|error| stored(&error))?;
        Ok(())
    }

    /// When a delivery that failed `tries` times before and now once more is tried again.
    fn after_failure(&self, tries: u32, asked: Option<Duration>, now: Timestamp) -> TryOutcome {
        let schedule = &self.options().callbacks.retry_after;
        let Some(wait) = usize::try_from(tries)
            .ok()
            .and_then(|tries| schedule.get(tries))
        else {
            return TryOutcome::GaveUp;
        };
        // Up to a tenth more, so that many callbacks that failed together do not return together.
        let wait = wait.mul_f64(1.0 + rand::random::<f64>() / 10.0);
        let wait = asked.map_or(wait, |asked| wait.max(asked.min(LONGEST_ASKED)));
        SignedDuration::try_from(wait)
            .ok()
            .and_then(|wait| now.checked_add(wait).ok())
            .map_or(TryOutcome::GaveUp, |at| TryOutcome::Retry { at })
    }

    async fn until_next(&self) -> Duration {
        match self.store().next_delivery_at().await {
            Ok(Some(at)) => {
                let wait = at.duration_since(self.clock().now());
                Duration::try_from(wait).unwrap_or_default().min(LOOK)
            }
            _ => LOOK,
        }
    }

    /// Sends a callback once; the answer's wish for the next try comes along.
    async fn try_once(
        &self,
        url: &str,
        headers: &SecretHeaders,
        body: &str,
    ) -> (Try, Option<Duration>) {
        let started = self.clock().now();
        let sent = self
            .callback_client()
            .post(url)
            .headers(header_map(headers))
            .body(body.to_owned())
            .send()
            .await;
        let mut asked = None;
        let (status, answer, error) = match sent {
            Ok(response) => {
                asked = retry_after(&response);
                let status = response.status().as_u16();
                (Some(status), beginning(response).await, None)
            }
            Err(error) => (None, String::new(), Some(reason(error))),
        };
        let tried = Try {
            started,
            ended: self.clock().now(),
            request_headers: headers.clone(),
            status,
            body: answer,
            error,
        };
        (tried, asked)
    }
}

/// An address as it may stand in a log: a query may hold a token.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

fn is_success(tried: &Try) -> bool {
    tried
        .status
        .is_some_and(|status| (200..300).contains(&status))
}

fn header_map(headers: &SecretHeaders) -> HeaderMap {
    headers
        .expose()
        .iter()
        .filter_map(|(name, value)| {
            Some((
                HeaderName::from_bytes(name.as_bytes()).ok()?,
                HeaderValue::from_str(value).ok()?,
            ))
        })
        .collect()
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3); its date form is left to the schedule.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// The first bytes of an answer; a receiver that sends without end is not listened to.
async fn beginning(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(ANSWER_BYTES);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The innermost cause says what a person needs: "connection refused", "timed out".
fn reason(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "the receiver did not answer in time".to_owned();
    }
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn no_callback_yet() -> Failure {
    Failure::new(
        ReasonCode::NotFound,
        "还没有任何回调记录。",
        "No callback was recorded yet.",
    )
    .hinting(
        "请先提交一个带有 callback_url 的构建任务。",
        "Submit a build with a callback_url first.",
    )
}

//! The delivery of callbacks: what is due is sent, every try is recorded, a failed one is tried
//! again on the schedule.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fastbuild_engine::crash::{self, CrashPoint};
use fastbuild_spec::{
    callback::{
        ID_HEADER, SIGNATURE_HEADER, SigningSecret, TIMESTAMP_HEADER, Unanswered, delivery_failure,
    },
    failure::{Failure, Language},
    settings::CallbackHeaders,
};
use fastbuild_store::{
    ClaimRoom, ClaimedDelivery, DeliveryOutcome, NewDeliveryAttempt, SecretHeaders,
};
use jiff::{SignedDuration, Timestamp};
use reqwest::{
    Response,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::{
    background::{Nudge, rounds},
    callbacks::Callbacks,
};

/// Tries under way at a time in this process.
const MAX_CONCURRENT: usize = 64;
/// Tries under way at a time to one host: one that hangs must not take the room of all.
const MAX_PER_RECEIVER: usize = 8;
/// How long a try's claim holds beyond the time the try itself may take.
const LEASE_BEYOND_TIMEOUT: Duration = Duration::from_mins(1);
/// How often deliveries are looked for without having been woken; only a fallback.
const POLL_INTERVAL: Duration = Duration::from_secs(30);
/// How long to wait after a fault of the database.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Bytes read of an answer.
const MAX_ANSWER_BYTES: usize = 4096;
/// The longest wait a receiver may ask for with `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The attempts that are running: each is a task of its own and goes at its receiver's pace, not at
/// that of the slowest.
#[derive(Debug, Clone, Default)]
struct Running {
    tasks: TaskTracker,
    receivers: Arc<Mutex<HashMap<String, usize>>>,
    /// One of them ended.
    ended: Arc<Notify>,
}

/// A running attempt's place; it is free when this is dropped, also by a panic.
struct Place {
    running: Running,
    receiver: String,
}

impl Running {
    fn receivers(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.receivers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self) -> ClaimRoom {
        let under_way = self.receivers().clone();
        ClaimRoom {
            free: MAX_CONCURRENT.saturating_sub(under_way.values().sum()),
            per_receiver: MAX_PER_RECEIVER,
            under_way,
        }
    }

    fn begin(&self, receiver: String, work: impl Future<Output = ()> + Send + 'static) {
        *self.receivers().entry(receiver.clone()).or_default() += 1;
        let place = Place {
            running: self.clone(),
            receiver,
        };
        self.tasks.spawn(async move {
            let _place = place;
            work.await;
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                receiver = self.receiver,
                "a callback attempt panicked; it is repeated once its lease is over"
            );
        }
        let mut receivers = self.running.receivers();
        if let Some(count) = receivers.get_mut(&self.receiver) {
            *count -= 1;
        }
        receivers.retain(|_, count| *count > 0);
        drop(receivers);
        self.running.ended.notify_one();
    }
}

impl Callbacks {
    /// Delivers what is due until `shutdown`; attempts that are running then are waited for, so that
    /// they need not be repeated.
    pub(crate) async fn deliver(self, shutdown: CancellationToken) {
        // Subscribed before the first look, so that nothing written in between is missed.
        let written = self.common.store.subscribe_deliveries();
        let running = Running::default();
        let nudge = Nudge::on_change(written).or_by(&running.ended);
        rounds(nudge, &shutdown, || async {
            self.begin_due(&running).await.unwrap_or_else(|failure| {
                tracing::error!(%failure, "failed to read due callbacks");
                RETRY_DELAY
            })
        })
        .await;
        running.tasks.close();
        running.tasks.wait().await;
    }

    /// Begins the attempts that are due, as many as there is room for; how long until more can be
    /// due.
    async fn begin_due(&self, running: &Running) -> Result<Duration, Failure> {
        let lease = self.common.options.callbacks.timeout + LEASE_BEYOND_TIMEOUT;
        let now = self.common.now();
        let claimed = self
            .common
            .store
            .claim_deliveries(running.room(), lease, now)
            .await?;
        for claimed in claimed {
            let span = tracing::info_span!("callback", build_id = claimed.delivery.build_id);
            let receiver = claimed.receiver.clone();
            let one = self.clone().deliver_one(claimed, lease);
            running.begin(receiver, one.instrument(span));
        }
        let room = running.room();
        if room.free == 0 {
            // The end of any of them wakes us.
            return Ok(POLL_INTERVAL);
        }
        let next = self.common.store.next_delivery_at(&room, now).await?;
        Ok(next.map_or(POLL_INTERVAL, |at| {
            let wait = at.duration_since(self.common.now());
            Duration::try_from(wait)
                .unwrap_or_default()
                .min(POLL_INTERVAL)
        }))
    }

    /// Makes a claimed try and records it.
    async fn deliver_one(self, claimed: ClaimedDelivery, lease: Duration) {
        let over = tokio::time::Instant::now() + lease;
        let ClaimedDelivery {
            delivery, number, ..
        } = claimed;
        // The same in every try, so that a receiver can tell a repetition from a new message.
        let id = format!("msg_{}_{}", self.common.store.installation(), delivery.id);
        crash::pass(CrashPoint::BeforeTry);
        let (tried, asked) = self
            .try_once(&id, &delivery.url, &delivery.headers, &delivery.body)
            .await;
        crash::pass(CrashPoint::AfterTry);
        let now = self.common.now();
        let outcome = if is_success(&tried) {
            DeliveryOutcome::Delivered
        } else {
            self.after_failure(delivery.tries_on_schedule, asked, now)
        };
        let failure = delivery_failure(&delivery.url, tried.status, tried.error.as_deref());
        let url = without_query(&delivery.url);
        match failure {
            None => tracing::info!(
                url,
                status = tried.status,
                attempt = number,
                "callback delivered"
            ),
            Some(failure) => tracing::warn!(
                url,
                attempt = number,
                code = %failure.code,
                failure = failure.sentence(Language::English),
                ?outcome,
                "callback failed"
            ),
        }
        // A try that was made is recorded, else it would be made again.
        loop {
            let recorded = self
                .common
                .store
                .record_delivery_attempt(delivery.id, number, &tried, outcome, now)
                .await;
            match recorded {
                Ok(true) => {
                    crash::pass(CrashPoint::Recorded);
                    self.common.metrics.tried(outcome);
                    return;
                }
                Ok(false) => {
                    tracing::warn!("the callback's try came to its end after its lease");
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "the callback's try cannot be recorded");
                }
            }
            if tokio::time::Instant::now() >= over {
                return;
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Tries of processes that ended in their midst need not be waited for.
    pub(crate) async fn release_deliveries(&self) {
        let released = self
            .common
            .store
            .release_deliveries(self.common.now())
            .await;
        if let Err(error) = released {
            tracing::error!(%error, "callbacks that were under way at the last end wait for the end of their lease");
        }
    }

    /// When a delivery that failed `tries` times before and now once more is tried again.
    fn after_failure(
        &self,
        tries: u32,
        asked: Option<Duration>,
        now: Timestamp,
    ) -> DeliveryOutcome {
        let schedule = &self.common.options.callbacks.retry_after;
        let Some(wait) = usize::try_from(tries)
            .ok()
            .and_then(|tries| schedule.get(tries))
        else {
            return DeliveryOutcome::GaveUp;
        };
        // Up to a tenth more, so that many callbacks that failed together do not return together.
        let wait = wait.mul_f64(1.0 + rand::random::<f64>() / 10.0);
        let wait = asked.map_or(wait, |asked| wait.max(asked.min(MAX_RETRY_AFTER)));
        SignedDuration::try_from(wait)
            .ok()
            .and_then(|wait| now.checked_add(wait).ok())
            .map_or(DeliveryOutcome::GaveUp, |at| DeliveryOutcome::Retry { at })
    }

    /// Sends a callback once under the message id `id`, signed where there is a secret; the
    /// answer's wish for the next try comes along.
    pub(crate) async fn try_once(
        &self,
        id: &str,
        url: &str,
        headers: &SecretHeaders,
        body: &str,
    ) -> (NewDeliveryAttempt, Option<Duration>) {
        let started = self.common.now();
        let mut asked = None;
        let mut request_headers = headers.clone();
        let (status, answer, error) = match self.signing_secret().await {
            // Unsigned it would be refused by the receiver, or worse, be taken.
            Err(failure) => (None, String::new(), Some(failure.message.en)),
            Ok(secret) => {
                if let Some(secret) = secret {
                    let signature = signature(&secret, id, started, body);
                    request_headers = request_headers.overlaid(&signature);
                }
                let sent = self
                    .client
                    .post(url)
                    .headers(header_map(&request_headers))
                    .body(body.to_owned())
                    .send()
                    .await;
                match sent {
                    Ok(response) => {
                        asked = retry_after(&response, self.common.now());
                        let status = response.status().as_u16();
                        (Some(status), beginning(response).await, None)
                    }
                    Err(error) => (None, String::new(), Some(unanswered(error))),
                }
            }
        };
        let tried = NewDeliveryAttempt {
            started_at: started,
            ended_at: self.common.now(),
            request_headers,
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

/// The headers of the Standard Webhooks specification for one try.
fn signature(secret: &SigningSecret, id: &str, started: Timestamp, body: &str) -> CallbackHeaders {
    let second = started.as_second();
    [
        (ID_HEADER, id.to_owned()),
        (TIMESTAMP_HEADER, second.to_string()),
        (SIGNATURE_HEADER, secret.sign(id, second, body.as_bytes())),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// Only a 2xx answer means that the receiver has it.
pub(crate) fn is_success(tried: &NewDeliveryAttempt) -> bool {
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

/// What `Retry-After` asks for.
fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    wait_asked(response.headers().get(RETRY_AFTER)?.to_str().ok()?, now)
}

/// The wait a `Retry-After` names, as seconds or as a date (RFC 9110, section 10.2.3); a date in
/// the past is no wait.
fn wait_asked(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = Timestamp::try_from(httpdate::parse_http_date(value).ok()?).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

/// The first bytes of an answer; a receiver that sends without end is not listened to.
async fn beginning(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_ANSWER_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(MAX_ANSWER_BYTES);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The line that is recorded in place of an answer.
fn unanswered(error: reqwest::Error) -> String {
    let kind = kind_of(&error);
    if kind == Unanswered::TimedOut {
        return kind.line("");
    }
    // The innermost cause says what a person needs.
    let error = error.without_url();
    let detail = causes(&error).last().map(ToString::to_string);
    kind.line(&detail.unwrap_or_default())
}

/// Whether a TLS error is inside, which connectors wrap once or twice.
fn holds_tls_error(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| {
        inner.is::<rustls::Error>()
            || inner
                .downcast_ref::<io::Error>()
                .is_some_and(holds_tls_error)
    })
}

fn kind_of(error: &reqwest::Error) -> Unanswered {
    if error.is_timeout() {
        return Unanswered::TimedOut;
    }
    causes(error)
        .find_map(|cause| {
            let io = cause.downcast_ref::<io::Error>();
            if io.is_some_and(holds_tls_error) || cause.is::<rustls::Error>() {
                Some(Unanswered::Tls)
            } else if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
                Some(Unanswered::Refused)
            } else if cause.to_string() == "dns error" {
                // The connector's own type for it is private.
                Some(Unanswered::NotResolved)
            } else {
                None
            }
        })
        .unwrap_or(Unanswered::Broken)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| {
        error.source()
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn a_receiver_may_ask_for_a_wait_in_seconds_or_until_a_date() {
        let now: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        let seconds = |value| wait_asked(value, now).map(|wait| wait.as_secs());
        assert_eq!(seconds(" 120 "), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        assert_eq!(seconds("Sunday, 06-Nov-94 08:50:07 GMT"), Some(30));
        assert_eq!(seconds("Sun Nov  6 08:50:07 1994"), Some(30));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds("-1"), None);
    }

    async fn line(client: reqwest::Client, url: &str) -> String {
        unanswered(client.post(url).send().await.unwrap_err())
    }

    fn client() -> reqwest::ClientBuilder {
        reqwest::Client::builder().no_proxy()
    }

    struct NoNames;

    impl reqwest::dns::Resolve for NoNames {
        fn resolve(&self, _name: reqwest::dns::Name) -> reqwest::dns::Resolving {
            Box::pin(async { Err(io::Error::other("no such host").into()) })
        }
    }

    #[tokio::test]
    async fn what_came_instead_of_an_answer_is_told_by_its_kind() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let silent = client().timeout(Duration::from_millis(50)).build().unwrap();
        let line_of = line(silent, &format!("http://{address}")).await;
        assert_eq!(line_of, Unanswered::TimedOut.line(""));

        // What is no TLS answers a TLS hello.
        let plain = tokio::spawn(async move {
            // The first is the one that was given up above.
            let _silent = listener.accept().await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            drop(listener);
        });
        let tls = line(client().build().unwrap(), &format!("https://{address}")).await;
        assert!(tls.starts_with(&Unanswered::Tls.line("")), "{tls}");
        plain.await.unwrap();

        let refused = line(client().build().unwrap(), &format!("http://{address}")).await;
        assert!(
            refused.starts_with(&Unanswered::Refused.line("")),
            "{refused}"
        );

        let nameless = client().dns_resolver(NoNames).build().unwrap();
        let unknown = line(nameless, "http://platform.example/hook").await;
        assert_eq!(unknown, Unanswered::NotResolved.line("no such host"));
    }
}

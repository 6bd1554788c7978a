//! The callback workbench: trying a receiver, sending callbacks once more, and the secret they
//! are signed with.

use fastbuild_spec::{
    callback::{CallbackBody, SigningSecret, check_callback_url, delivery_failure},
    failure::{Failure, FieldError, ReasonCode, Sentence},
    settings::CallbackHeaders,
    state::BuildState,
};
use fastbuild_store::{NewDelivery, OutgoingDelivery, SecretHeaders};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::{callbacks::Callbacks, callbacks::deliver::is_success, clock::local_time};

/// One try of a callback, as it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackTry {
    /// Where it went.
    pub url: String,
    /// The headers that were sent, with `***` for the values of those that look like credentials.
    pub request_headers: CallbackHeaders,
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
    /// Why it was not delivered, where it was not.
    pub failure: Option<Failure>,
}

/// Where the signing secret in force comes from; the secret itself never comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningOrigin {
    /// It was set while the service ran, at this time; `signing` is off where it was emptied.
    Set {
        /// Whether callbacks are signed.
        signing: bool,
        /// When it was set.
        at: Timestamp,
    },
    /// It stands in the configuration.
    Configuration,
    /// There is none; callbacks are not signed.
    None,
}

impl Callbacks {
    /// Makes a callback once, outside the schedule, and records it: the last recorded one, to its
    /// own address or to `url`. Before the first callback a `url` gets one that says it is a test.
    ///
    /// # Errors
    /// `SpecInvalid` for a bad `url`; `NotFound` without one when there was no callback yet.
    pub async fn test(&self, url: Option<&str>) -> Result<CallbackTry, Failure> {
        let url = url.filter(|url| !url.is_empty());
        if let Some(url) = url {
            check_callback_url(url).map_err(|error| {
                // A bad address could hold a password: it is not repeated.
                Failure::invalid_fields(&[FieldError::without_value(
                    "callback_url",
                    error.allowed(),
                )])
            })?;
        }
        let last = self.common.store.last_delivery().await?;
        let in_force = self.headers().await?;
        let (build_id, delivery) = match (last, url) {
            (Some(last), url) => repeated(last, url, &in_force),
            (None, Some(url)) => (None, self.trial(url, in_force)?),
            (None, None) => return Err(no_callback_yet()),
        };
        let id = format!("msg_test_{:032x}", rand::random::<u128>());
        let (tried, _) = self
            .try_once(&id, &delivery.url, &delivery.headers, &delivery.body)
            .await;
        self.common
            .store
            .record_single_delivery(
                build_id,
                &delivery,
                &tried,
                is_success(&tried),
                self.common.now(),
            )
            .await?;
        let took = tried.ended_at.duration_since(tried.started_at);
        Ok(CallbackTry {
            failure: delivery_failure(&delivery.url, tried.status, tried.error.as_deref()),
            url: delivery.url,
            request_headers: tried.request_headers.masked(),
            request_body: delivery.body,
            status: tried.status,
            body: tried.body,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or_default(),
            error: tried.error,
        })
    }

    /// A callback of no build, for a receiver that is tried before the first build.
    fn trial(&self, url: &str, headers: CallbackHeaders) -> Result<NewDelivery, Failure> {
        let mut body = CallbackBody::new("fastbuild/callback-test:1", 0, BuildState::PushSuccess);
        body.task_name = Some("callback test".to_owned());
        body.finished_at = Some(local_time(self.common.now()));
        Ok(NewDelivery {
            url: url.to_owned(),
            headers: headers.into(),
            body: serde_json::to_string(&body).map_err(|error| crate::common::internal(&error))?,
        })
    }

    /// Sends a recorded callback once more, on a new schedule, with the headers in force now laid
    /// over the recorded ones.
    ///
    /// # Errors
    /// `NotFound` when there is no such delivery.
    pub async fn resend(&self, delivery_id: i64) -> Result<(), Failure> {
        let headers = self.headers().await?;
        let found = self
            .common
            .store
            .redeliver(delivery_id, &headers, self.common.now())
            .await?;
        if found {
            return Ok(());
        }
        Err(Failure::new(
            ReasonCode::NotFound,
            format!("没有编号为 {delivery_id} 的回调记录。"),
            format!("There is no callback {delivery_id}."),
        )
        .with_culprit(delivery_id.to_string())
        .with_hint(
            "请使用 callback/history 返回的 primary_id。",
            "Use a primary_id that callback/history returns.",
        ))
    }

    /// Sends every callback once more that was given up at `since` or later; their numbers.
    /// `since` is a time as the protocol writes it (local, ISO 8601 without zone) or with a zone
    /// (RFC 3339).
    ///
    /// # Errors
    /// `SpecInvalid` when `since` is no time.
    pub async fn resend_failed(&self, since: &str) -> Result<Vec<i64>, Failure> {
        let since = read_time(since).ok_or_else(|| {
            let allowed = Sentence::new(
                "应为时间，例如 2023-09-12T18:42:50",
                "must be a time such as 2023-09-12T18:42:50",
            );
            Failure::invalid_fields(&[FieldError::new("since", since, allowed)])
        })?;
        let headers = self.headers().await?;
        self.common
            .store
            .redeliver_failed(since, &headers, self.common.now())
            .await
            .map_err(Failure::from)
    }

    /// Sets the secret callbacks are signed with; an empty text turns signing off.
    ///
    /// # Errors
    /// `SpecInvalid` when it is not in the form of the Standard Webhooks specification.
    pub async fn set_secret(&self, secret: &str) -> Result<(), Failure> {
        let secret = match secret.trim() {
            "" => None,
            text => Some(SigningSecret::parse(text).map_err(|error| {
                Failure::invalid_fields(&[FieldError::without_value("secret", error.allowed())])
            })?),
        };
        self.common
            .store
            .add_callback_secret(secret.as_ref(), self.common.now())
            .await
            .map_err(Failure::from)
    }

    /// Whether callbacks are signed, and where the secret comes from.
    ///
    /// # Errors
    /// `Internal` when the database does not answer.
    pub async fn signing_origin(&self) -> Result<SigningOrigin, Failure> {
        let set = self.common.store.callback_secret().await?;
        Ok(match (set, &self.common.options.callbacks.signing_secret) {
            (Some(set), _) => SigningOrigin::Set {
                signing: set.secret.is_some(),
                at: set.created_at,
            },
            (None, Some(_)) => SigningOrigin::Configuration,
            (None, None) => SigningOrigin::None,
        })
    }

    /// The secret in force: the one set last while the service ran, or else the configuration's.
    pub(crate) async fn signing_secret(&self) -> Result<Option<SigningSecret>, Failure> {
        let set = self.common.store.callback_secret().await?;
        Ok(match set {
            Some(set) => set.secret,
            None => self.common.options.callbacks.signing_secret.clone(),
        })
    }
}

/// A recorded callback to its own address or another one, with the headers in force now laid over
/// the recorded ones.
fn repeated(
    last: OutgoingDelivery,
    url: Option<&str>,
    in_force: &CallbackHeaders,
) -> (Option<i64>, NewDelivery) {
    let headers: SecretHeaders = last.headers.overlaid(in_force);
    let delivery = NewDelivery {
        url: url.map_or(last.url, str::to_owned),
        headers,
        body: last.body,
    };
    (last.build_id, delivery)
}

/// A time with a zone, or a local one without.
fn read_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    // An unencoded + of a query arrives as a blank.
    let with_zone = if text.contains('T') {
        text.replace(' ', "+")
    } else {
        text.to_owned()
    };
    if let Ok(time) = with_zone.parse::<Timestamp>() {
        return Some(time);
    }
    let local: DateTime = text.parse().ok()?;
    TimeZone::system().to_timestamp(local).ok()
}

fn no_callback_yet() -> Failure {
    Failure::new(
        ReasonCode::NotFound,
        "还没有任何回调记录。",
        "No callback was recorded yet.",
    )
    .with_hint(
        "请先提交一个带有 callback_url 的构建任务，或在此请求中给出 callback_url。",
        "Submit a build with a callback_url first, or name a callback_url in this request.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_a_zone_or_as_a_local_one() {
        let time: Timestamp = "2023-09-12T18:42:50Z".parse().unwrap();
        assert_eq!(read_time("2023-09-12T18:42:50Z"), Some(time));
        assert_eq!(read_time("2023-09-12T20:42:50+02:00"), Some(time));
        assert_eq!(read_time("2023-09-12T20:42:50 02:00"), Some(time));
        let local = time
            .to_zoned_datetime(TimeZone::system())
            .strftime("%Y-%m-%dT%H:%M:%S.%6f")
            .to_string();
        assert_eq!(read_time(&local), Some(time));
        assert_eq!(read_time(&local.replace('T', " ")), Some(time));
        assert_eq!(read_time("yesterday"), None);
    }
}

//! Callbacks of the running service: signed, tried again, kept with every try, sent once more.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use fastbuild_testkit::{
    callback_receiver::{CallbackReceiver, Mode},
    client::{set_callback_mode, wait_for_callbacks},
    request::Request,
    wait::{eventually, when},
};
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::support::installation::{EngineKind, Installation, TIMEOUT};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDzRvJ5Q==";
const SIGNATURE_HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

/// Asks for an image that fails at its first step, which makes a callback without a long build;
/// its number.
async fn fail(installation: &Installation, tag: &str, callback_url: &str) -> i64 {
    let request = Request::new(
        &installation.base("base/no-such-image:9"),
        &installation.target(tag),
    )
    .named("told")
    .callback(callback_url);
    let task = installation.run(&request).await;
    assert_eq!(task["detail_state"], "PULL_FAILED", "{task:#}");
    task["task_id"].as_i64().unwrap()
}

/// The newest callbacks with every try of them.
async fn history(installation: &Installation, query: &str) -> Vec<Value> {
    let path = format!("callback/history?page=1&page_size=10{query}");
    let answer = installation.client().get(&path).await.unwrap();
    answer.data().unwrap()["callback_list"]
        .as_array()
        .unwrap()
        .clone()
}

/// Waits until the callback of a build, tests left out, stands so.
async fn wait_for_status(installation: &Installation, task_id: i64, status: &str) -> Value {
    eventually(format!("a callback is {status}"), TIMEOUT, || async {
        let rows = history(installation, &format!("&task_id={task_id}")).await;
        let row = rows.into_iter().find(|row| row["test"] == false);
        let row = row.unwrap_or_default();
        Ok(when(row["status"] == status, row))
    })
    .await
    .unwrap()
}

fn statuses(row: &Value) -> Vec<Value> {
    let attempts = row["attempts"].as_array().unwrap();
    attempts.iter().map(|try_| try_["status"].clone()).collect()
}

/// Whether the public package takes a received request for signed with a secret.
fn verify(secret: &str, received: &Value) -> Result<(), String> {
    let headers: HeaderMap = received["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                value.as_str().unwrap().parse::<HeaderValue>().unwrap(),
            )
        })
        .collect();
    Webhook::new(secret)
        .unwrap()
        .verify(received["body"].as_str().unwrap().as_bytes(), &headers)
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn every_try_is_signed_under_one_id_and_kept() {
    let installation = Installation::configured_with(
        EngineKind::PlainEngine,
        &[("CALLBACK__SIGNING_SECRET", SECRET)],
    )
    .await;
    let mode = json!({"status": 503, "times": 2, "retry_after": "1"});
    set_callback_mode(&installation.env, &installation.token, &mode)
        .await
        .unwrap();
    let task_id = fail(&installation, "1", &installation.callback_url()).await;
    let received = wait_for_callbacks(&installation.env, &installation.token, 3, TIMEOUT)
        .await
        .unwrap();
    let mut ids = Vec::new();
    for one in &received {
        verify(SECRET, one).unwrap();
        verify(OTHER_SECRET, one).unwrap_err();
        ids.push(one["headers"]["webhook-id"].as_str().unwrap());
        assert_eq!(one["body"], received[0]["body"]);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let second = |one: &Value| -> i64 {
        let text = one["headers"]["webhook-timestamp"].as_str().unwrap();
        text.parse().unwrap()
    };
    // Each try has its own time: a second at the least lay between them.
    assert!(second(&received[0]) < second(&received[1]));
    assert!(second(&received[1]) < second(&received[2]));

    let body: Value = serde_json::from_str(received[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["taskId"], task_id);
    assert_eq!(body["state"], "PULL_FAILED");
    assert_eq!(body["taskName"], "told");
    assert_eq!(body["reason"], "BaseImageNotFound");
    assert!(body["message"].as_str().unwrap().contains("no-such-image"));
    let finished = body["finishedAt"].as_str().unwrap();
    // Local, without zone, with microseconds: as every time of the protocol.
    assert_eq!(
        finished.len(),
        "2023-09-12T18:42:50.645600".len(),
        "{finished}"
    );
    assert!(
        finished.parse::<jiff::civil::DateTime>().is_ok(),
        "{finished}"
    );

    let row = wait_for_status(&installation, task_id, "delivered").await;
    assert_eq!(statuses(&row), [503, 503, 200]);
    for (number, attempt) in (1..).zip(row["attempts"].as_array().unwrap()) {
        assert_eq!(attempt["number"], number);
        let headers = &attempt["request_headers"];
        assert_eq!(headers["webhook-signature"], "***");
        assert_eq!(headers["webhook-id"], ids[0]);
        assert_eq!(headers["X-BizType"], "DROS");
        assert!(attempt["body"].as_str().unwrap().contains("received"));
        assert!(attempt["duration_ms"].is_u64(), "{attempt}");
    }
}

#[tokio::test]
async fn the_secret_is_changed_while_the_service_runs_and_never_shown() {
    let installation = Installation::unconfigured(&[]).await;
    let test = format!(
        "config/test-callback?callback_url={}",
        installation.callback_url()
    );
    let update = async |secret: &str| {
        let body = json!({ "secret": secret });
        let path = "config/update-callback-secret";
        installation.client().post_json(path, &body).await.unwrap()
    };
    let mut count = 0;
    let mut last = async || {
        installation
            .client()
            .post(&test)
            .await
            .unwrap()
            .data()
            .unwrap();
        count += 1;
        let received =
            wait_for_callbacks(&installation.env, &installation.token, count, TIMEOUT).await;
        received.unwrap().pop().unwrap()
    };
    let unsigned = last().await;
    for name in SIGNATURE_HEADERS {
        assert!(unsigned["headers"][name].is_null(), "{unsigned}");
    }
    for (secret, other) in [(SECRET, OTHER_SECRET), (OTHER_SECRET, SECRET)] {
        let answer = update(secret).await;
        answer.data().unwrap();
        let signed = last().await;
        verify(secret, &signed).unwrap();
        verify(other, &signed).unwrap_err();
    }
    let refused = update("whsec_hunter2").await;
    assert_eq!(refused.body["code"], -1, "{}", refused.body);
    assert!(
        refused.message().contains("secret"),
        "{}",
        refused.message()
    );
    assert!(!refused.body.to_string().contains("hunter2"));

    let shown = installation
        .client()
        .get("config/query-callback-secret")
        .await
        .unwrap();
    let shown = shown.data().unwrap();
    assert_eq!(
        (&shown["signing"], &shown["origin"]),
        (&json!(true), &json!("api"))
    );
    let everything = format!(
        "{shown}{:?}{}",
        history(&installation, "").await,
        installation.service.log()
    );
    for secret in [SECRET, OTHER_SECRET] {
        let key = secret.strip_prefix("whsec_").unwrap();
        assert!(!everything.contains(key), "{everything}");
        for file in ["fastbuild.db", "fastbuild.db-wal"] {
            let bytes = std::fs::read(installation.directory.path().join(file)).unwrap();
            let found = bytes.windows(key.len()).any(|part| part == key.as_bytes());
            assert!(!found, "the secret stands in {file}");
        }
    }
    update("").await.data().unwrap();
    assert!(last().await["headers"]["webhook-signature"].is_null());
}

/// A receiver that takes a request and never answers it.
fn hang() -> Mode {
    Mode {
        hang: true,
        ..Mode::status(200)
    }
}

#[tokio::test]
async fn only_a_2xx_in_time_counts_and_no_redirect_is_followed() {
    let variables = [
        ("CALLBACK__TIMEOUT_SECONDS", "1"),
        ("CALLBACK__RETRY_SECONDS", "[1]"),
    ];
    let installation = Installation::configured_with(EngineKind::PlainEngine, &variables).await;
    let receiver = CallbackReceiver::start().await.unwrap();
    let redirect = Mode {
        location: Some(receiver.url("elsewhere")),
        ..Mode::status(302)
    };
    receiver.set_mode("away", redirect);
    receiver.set_mode("hang", hang());

    let task_id = fail(&installation, "away", &receiver.url("away")).await;
    let row = wait_for_status(&installation, task_id, "gave_up").await;
    assert_eq!(statuses(&row), [302, 302]);
    let requests = receiver.received(None);
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(requests.iter().all(|one| one.path == "/cb/away/done"));

    let task_id = fail(&installation, "hang", &receiver.url("hang")).await;
    let row = wait_for_status(&installation, task_id, "gave_up").await;
    assert_eq!(statuses(&row), [Value::Null, Value::Null]);
    for attempt in row["attempts"].as_array().unwrap() {
        assert!(
            attempt["error"].as_str().unwrap().contains("in time"),
            "{attempt}"
        );
        let took = attempt["duration_ms"].as_u64().unwrap();
        assert!((900..5000).contains(&took), "{took} ms");
    }
    assert_eq!(row["next_time"], Value::Null);
}

#[tokio::test]
async fn callbacks_are_sent_once_more_one_or_all_that_failed() {
    let installation = Installation::configured_with(
        EngineKind::PlainEngine,
        &[
            ("CALLBACK__RETRY_SECONDS", "[]"),
            ("CALLBACK__SIGNING_SECRET", SECRET),
        ],
    )
    .await;
    let mode = json!({"status": 500});
    set_callback_mode(&installation.env, &installation.token, &mode)
        .await
        .unwrap();
    let first = fail(&installation, "1", &installation.callback_url()).await;
    let first_row = wait_for_status(&installation, first, "gave_up").await;
    let second = fail(&installation, "2", &installation.callback_url()).await;
    let second_row = wait_for_status(&installation, second, "gave_up").await;
    // A test that fails is history, and is not sent once more with the others.
    let test = installation
        .client()
        .post("config/test-callback")
        .await
        .unwrap();
    assert_eq!(test.body["code"], -1, "{}", test.body);
    assert_eq!(test.body["reason"], "CallbackRejected");
    assert_eq!(test.body["data"]["status"], 500);

    set_callback_mode(
        &installation.env,
        &installation.token,
        &json!({"status": 200}),
    )
    .await
    .unwrap();
    // What an operator mended since goes along.
    let headers = json!({"X-BizType": "MENDED", "Content-Type": "application/json"});
    installation
        .client()
        .post_json("config/update-headers", &headers)
        .await
        .unwrap()
        .data()
        .unwrap();
    let path = format!("callback/redeliver?delivery_id={}", first_row["primary_id"]);
    installation
        .client()
        .post(&path)
        .await
        .unwrap()
        .data()
        .unwrap();
    let again = wait_for_status(&installation, first, "delivered").await;
    assert_eq!(statuses(&again), [500, 200]);
    let of = |row: &Value, number: usize, name: &str| {
        row["attempts"][number]["request_headers"][name].clone()
    };
    assert_eq!(of(&again, 0, "webhook-id"), of(&again, 1, "webhook-id"));
    assert_eq!(of(&again, 0, "X-BizType"), "DROS");
    assert_eq!(of(&again, 1, "X-BizType"), "MENDED");

    let since = second_row["update_time"].as_str().unwrap();
    let answer = installation
        .client()
        .post(&format!("callback/redeliver-failed?since={since}"))
        .await
        .unwrap();
    assert_eq!(
        answer.data().unwrap()["delivery_ids"],
        json!([second_row["primary_id"]])
    );
    let again = wait_for_status(&installation, second, "delivered").await;
    assert_eq!(statuses(&again), [500, 200]);
    let none = installation
        .client()
        .post(&format!("callback/redeliver-failed?since={since}"))
        .await
        .unwrap();
    assert_eq!(none.data().unwrap()["delivery_ids"], json!([]));

    let failed = history(&installation, "&status=gave_up").await;
    assert_eq!(failed.len(), 1, "{failed:#?}");
    assert_eq!(failed[0]["test"], true);
    for path in [
        "callback/redeliver?delivery_id=9999",
        "callback/redeliver?delivery_id=x",
        "callback/redeliver-failed?since=yesterday",
        "config/test-callback?callback_url=ftp://nowhere/",
    ] {
        let refused = installation.client().post(path).await.unwrap();
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (200, &json!(-1)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_does_not_keep_the_others_waiting() {
    let variables = [
        ("CALLBACK__TIMEOUT_SECONDS", "600"),
        ("CALLBACK__RETRY_SECONDS", "[]"),
    ];
    let installation = Installation::configured_with(EngineKind::PlainEngine, &variables).await;
    let receiver = CallbackReceiver::start().await.unwrap();
    receiver.set_mode("hang", hang());
    // The same machine under another name is another receiver.
    let hanging = receiver.url("hang").replace("127.0.0.1", "localhost");
    for number in 0..10 {
        fail(&installation, &format!("hang-{number}"), &hanging).await;
    }
    let task_id = fail(&installation, "quick", &receiver.url("taken")).await;
    let row = wait_for_status(&installation, task_id, "delivered").await;
    assert_eq!(statuses(&row), [200]);
    // Eight to one receiver at a time, of ten.
    assert_eq!(receiver.received(Some("hang")).len(), 8);
}

//! A receiver of callbacks for demo and tests. It records every request, answers 200, and can be told to fail.
//!
//! - `GET /_received[/TOKEN][?at_least=N&wait_seconds=S]`: what came, as a JSON array; with `at_least` the answer
//!   waits until so many came or the time is up.
//! - `DELETE /_received[/TOKEN]`: forget it.
//! - `PUT /_mode[/TOKEN]` with `{"status": 500, "times": 3, "retry_after": "2"}`: the next three requests (other than
//!   GET) fail; `times` null or left out means for ever, `{"status": 200}` ends it.
//!
//! TOKEN scopes these to requests whose path is `/cb/TOKEN` or below it, so that tests run side by side.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Where to listen and where to write.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// TCP port on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// File that gets one JSON object per request.
    #[arg(long)]
    log: PathBuf,
}

/// One received request.
#[derive(Clone, Serialize)]
struct Received {
    method: String,
    path: String,
    query: Option<String>,
    token: Option<String>,
    headers: HashMap<String, String>,
    body: String,
    /// The body once more when it is JSON, else null.
    json: Option<serde_json::Value>,
    /// When it came; RFC 3339, UTC.
    time: String,
    answered_status: u16,
}

/// How requests are answered.
#[derive(Clone, Deserialize)]
struct Mode {
    status: u16,
    times: Option<u32>,
    retry_after: Option<String>,
}

#[derive(Default)]
struct Memory {
    received: Vec<Received>,
    /// By token; the empty token stands for every request without a mode of its own.
    modes: HashMap<String, Mode>,
}

struct Receiver {
    memory: Mutex<Memory>,
    log: Mutex<std::fs::File>,
    count: watch::Sender<usize>,
}

/// What the caller of `/_received` waits for.
#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    at_least: usize,
    #[serde(default = "ten_seconds")]
    wait_seconds: f64,
}

fn ten_seconds() -> f64 {
    10.0
}

/// Serves until the process is ended.
pub(crate) fn serve(options: &Options) -> Result<()> {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&options.log)
        .with_context(|| {
            format!(
                "the record of callbacks {} cannot be written",
                options.log.display()
            )
        })?;
    let receiver = Arc::new(Receiver {
        memory: Mutex::default(),
        log: Mutex::new(log),
        count: watch::Sender::new(0),
    });
    let routes = Router::new()
        .route("/_received", get(list_all).delete(forget_all))
        .route("/_received/{token}", get(list).delete(forget))
        .route("/_mode", put(set_mode_for_all))
        .route("/_mode/{token}", put(set_mode))
        .fallback(receive)
        .with_state(receiver);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", options.port))
                .await
                .with_context(|| format!("port {} of 127.0.0.1 is taken", options.port))?;
            axum::serve(listener, routes).await?;
            Ok(())
        })
}

impl Receiver {
    fn of(&self, token: Option<&str>) -> Vec<Received> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory
            .received
            .iter()
            .filter(|request| token.is_none() || request.token.as_deref() == token)
            .cloned()
            .collect()
    }

    async fn wait_for(&self, token: Option<&str>, wanted: &Wanted) -> Vec<Received> {
        let mut changes = self.count.subscribe();
        let enough = changes.wait_for(|_| self.of(token).len() >= wanted.at_least);
        let limit = Duration::from_secs_f64(wanted.wait_seconds.clamp(0.0, 600.0));
        // Out of time is no error: the caller sees what came until then.
        let _ = tokio::time::timeout(limit, enough).await;
        self.of(token)
    }

    fn forget(&self, token: Option<&str>) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory
            .received
            .retain(|request| token.is_some() && request.token.as_deref() != token);
    }

    fn set_mode(&self, token: String, mode: Mode) -> StatusCode {
        if StatusCode::from_u16(mode.status).is_err() {
            return StatusCode::UNPROCESSABLE_ENTITY;
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if mode.status == 200 || mode.times == Some(0) {
            memory.modes.remove(&token);
        } else {
            memory.modes.insert(token, mode);
        }
        StatusCode::NO_CONTENT
    }
}

impl Memory {
    /// The mode that holds for one more request; used-up modes are dropped.
    fn take_mode(&mut self, token: Option<&str>) -> Option<Mode> {
        let key = token
            .filter(|token| self.modes.contains_key(*token))
            .unwrap_or("");
        let mode = self.modes.get_mut(key)?;
        let holds = mode.clone();
        let used_up = mode.times.as_mut().is_some_and(|times| {
            *times = times.saturating_sub(1);
            *times == 0
        });
        if used_up {
            self.modes.remove(key);
        }
        Some(holds)
    }
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let token = token_of(uri.path());
    let mut memory = receiver
        .memory
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let mode = if method == Method::GET {
        None
    } else {
        memory.take_mode(token.as_deref())
    };
    let status = mode
        .as_ref()
        .and_then(|mode| StatusCode::from_u16(mode.status).ok())
        .unwrap_or(StatusCode::OK);
    let request = Received {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: uri.query().map(str::to_owned),
        token,
        headers: headers
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        json: serde_json::from_slice(&body).ok(),
        time: now(),
        answered_status: status.as_u16(),
    };
    if let Ok(line) = serde_json::to_string(&request) {
        let mut log = receiver.log.lock().unwrap_or_else(PoisonError::into_inner);
        // The list in memory is what tests ask for; a full disk must not change the answer.
        let _ = writeln!(log, "{line}");
    }
    memory.received.push(request);
    drop(memory);
    receiver.count.send_modify(|count| *count += 1);
    let mut response = (status, Json(serde_json::json!({ "received": true }))).into_response();
    if let Some(retry_after) = mode
        .and_then(|mode| mode.retry_after)
        .and_then(|text| HeaderValue::from_str(&text).ok())
    {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, retry_after);
    }
    response
}

fn token_of(path: &str) -> Option<String> {
    let mut segments = path.split('/').skip(1);
    (segments.next() == Some("cb"))
        .then(|| segments.next())
        .flatten()
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the receiver stands outside the service; its clock is the real one"
)]
fn now() -> String {
    jiff::Timestamp::now().to_string()
}

async fn list_all(
    State(receiver): State<Arc<Receiver>>,
    Query(wanted): Query<Wanted>,
) -> Json<Vec<Received>> {
    Json(receiver.wait_for(None, &wanted).await)
}

async fn list(
    State(receiver): State<Arc<Receiver>>,
    Path(token): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Json<Vec<Received>> {
    Json(receiver.wait_for(Some(&token), &wanted).await)
}

async fn forget_all(State(receiver): State<Arc<Receiver>>) -> StatusCode {
    receiver.forget(None);
    StatusCode::NO_CONTENT
}

async fn forget(State(receiver): State<Arc<Receiver>>, Path(token): Path<String>) -> StatusCode {
    receiver.forget(Some(&token));
    StatusCode::NO_CONTENT
}

async fn set_mode_for_all(
    State(receiver): State<Arc<Receiver>>,
    Json(mode): Json<Mode>,
) -> StatusCode {
    receiver.set_mode(String::new(), mode)
}

async fn set_mode(
    State(receiver): State<Arc<Receiver>>,
    Path(token): Path<String>,
    Json(mode): Json<Mode>,
) -> StatusCode {
    receiver.set_mode(token, mode)
}

//! A receiver of callbacks. It records every request, answers 200, and can be told to fail. Tests
//! either start one of their own or share the one that `cargo xtask env up` runs as a process, which
//! they ask over HTTP:
//!
//! - `GET /_received[/TOKEN][?at_least=N&wait_seconds=S]`: what came, as a JSON array; with `at_least`
//!   the answer waits until so many came or the time is up.
//! - `DELETE /_received[/TOKEN]`: forget it.
//! - `PUT /_mode[/TOKEN]` with a [`Mode`], for example `{"status": 500, "times": 3, "retry_after": "2"}`;
//!   `{"status": 200}` ends it.
//!
//! TOKEN scopes these to requests whose path is `/cb/TOKEN` or below it, so that tests run side by side.

use std::{
    collections::HashMap,
    fs::File,
    io::Write as _,
    net::SocketAddr,
    path::Path as FilePath,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    routing::{get, put},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::now;

/// The longest wait of one question, in seconds.
const LONGEST_WAIT: f64 = 600.0;

/// A running receiver; ends when dropped.
#[derive(Debug)]
pub struct CallbackReceiver {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// One received request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Received {
    /// HTTP method.
    pub method: String,
    /// Path.
    pub path: String,
    /// Query, without its `?`.
    pub query: Option<String>,
    /// TOKEN, where the path has one.
    pub token: Option<String>,
    /// Headers by their lower-case names.
    pub headers: HashMap<String, String>,
    /// The body as text.
    pub body: String,
    /// The body once more when it is JSON, else null.
    pub json: Option<Value>,
    /// When it came; RFC 3339, UTC.
    pub time: String,
    /// What it was answered; null for one that gets no answer.
    pub answered_status: Option<u16>,
}

impl Received {
    /// Whether it was answered with success.
    pub fn was_taken(&self) -> bool {
        self.answered_status
            .is_some_and(|status| (200..300).contains(&status))
    }
}

/// How requests other than GET are answered from now on.
#[derive(Debug, Clone, Deserialize)]
pub struct Mode {
    /// HTTP status.
    pub status: u16,
    /// For so many requests; left out, for ever.
    #[serde(default)]
    pub times: Option<u32>,
    /// The header `Retry-After`.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// The header `Location`.
    #[serde(default)]
    pub location: Option<String>,
    /// Never answers; the status is not sent.
    #[serde(default)]
    pub hang: bool,
}

impl Mode {
    /// Every request gets this status.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            times: None,
            retry_after: None,
            location: None,
            hang: false,
        }
    }
}

#[derive(Debug, Default)]
struct Memory {
    received: Vec<Received>,
    /// By token; the empty token stands for every request without a mode of its own.
    modes: HashMap<String, Mode>,
    log: Option<File>,
}

#[derive(Debug)]
struct Shared {
    memory: Mutex<Memory>,
    count: watch::Sender<usize>,
}

impl CallbackReceiver {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self> {
        let (listener, shared) = listen(0, None).await?;
        let address = listener.local_addr()?;
        let routes = routes(shared.clone());
        let serving = tokio::spawn(async move {
            // Ends with the task alone.
            let _: std::io::Result<()> = axum::serve(listener, routes).await;
        });
        Ok(Self {
            address,
            shared,
            serving,
        })
    }

    /// The address for callbacks of a token.
    pub fn url(&self, token: &str) -> String {
        format!("http://{}/cb/{token}/done", self.address)
    }

    /// Changes how requests of a token are answered.
    pub fn set_mode(&self, token: &str, mode: Mode) {
        self.shared.memory().set_mode(token.to_owned(), mode);
    }

    /// What came for a token, or in all, oldest first.
    pub fn received(&self, token: Option<&str>) -> Vec<Received> {
        self.shared.memory().received_for(token)
    }
}

impl Drop for CallbackReceiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Serves on a port of 127.0.0.1 until the process is ended; `log` gets one JSON object a request.
///
/// # Errors
/// When the port is taken or the log cannot be written.
pub async fn serve(port: u16, log: &FilePath) -> Result<()> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("the log of callbacks {} cannot be written", log.display()))?;
    let (listener, shared) = listen(port, Some(file)).await?;
    axum::serve(listener, routes(shared)).await?;
    Ok(())
}

async fn listen(port: u16, log: Option<File>) -> Result<(TcpListener, Arc<Shared>)> {
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .with_context(|| format!("port {port} of 127.0.0.1 is taken"))?;
    let memory = Memory {
        log,
        ..Memory::default()
    };
    let shared = Shared {
        memory: Mutex::new(memory),
        count: watch::Sender::new(0),
    };
    Ok((listener, Arc::new(shared)))
}

fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/_received", get(list_all).delete(forget_all))
        .route("/_received/{token}", get(list).delete(forget))
        .route("/_mode", put(set_mode_for_all))
        .route("/_mode/{token}", put(set_mode))
        .fallback(receive)
        .with_state(shared)
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait_for(&self, token: Option<&str>, wanted: &Wanted) -> Vec<Received> {
        let mut changes = self.count.subscribe();
        let enough =
            changes.wait_for(|_| self.memory().received_for(token).len() >= wanted.at_least);
        let limit = Duration::from_secs_f64(wanted.wait_seconds.clamp(0.0, LONGEST_WAIT));
        // Out of time is no error: the caller sees what came until then.
        let _ = tokio::time::timeout(limit, enough).await;
        self.memory().received_for(token)
    }
}

impl Memory {
    fn received_for(&self, token: Option<&str>) -> Vec<Received> {
        self.received
            .iter()
            .filter(|request| token.is_none() || request.token.as_deref() == token)
            .cloned()
            .collect()
    }

    fn forget(&mut self, token: Option<&str>) {
        self.received
            .retain(|request| token.is_some() && request.token.as_deref() != token);
    }

    fn set_mode(&mut self, token: String, mode: Mode) -> StatusCode {
        if StatusCode::from_u16(mode.status).is_err() {
            return StatusCode::UNPROCESSABLE_ENTITY;
        }
        if (mode.status == 200 && !mode.hang) || mode.times == Some(0) {
            self.modes.remove(&token);
        } else {
            self.modes.insert(token, mode);
        }
        StatusCode::NO_CONTENT
    }

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

    fn record(&mut self, request: Received) {
        if let (Some(log), Ok(line)) = (&mut self.log, serde_json::to_string(&request)) {
            // The list in memory is what tests ask for; a full disk must not change the answer.
            let _ = writeln!(log, "{line}");
        }
        self.received.push(request);
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let token = token_of(uri.path());
    let mode = if method == Method::GET {
        None
    } else {
        shared.memory().take_mode(token.as_deref())
    };
    let mode = mode.unwrap_or_else(|| Mode::status(200));
    let status = StatusCode::from_u16(mode.status).unwrap_or(StatusCode::OK);
    shared.memory().record(Received {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: uri.query().map(str::to_owned),
        token,
        headers: headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes());
                (name.to_string(), value.into_owned())
            })
            .collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        json: serde_json::from_slice(&body).ok(),
        time: now().to_string(),
        answered_status: (!mode.hang).then_some(status.as_u16()),
    });
    shared.count.send_modify(|count| *count += 1);
    if mode.hang {
        std::future::pending::<()>().await;
    }
    let mut response = (status, Json(json!({ "received": true }))).into_response();
    set_header(&mut response, header::RETRY_AFTER, mode.retry_after);
    set_header(&mut response, header::LOCATION, mode.location);
    response
}

fn set_header(response: &mut Response, name: HeaderName, value: Option<String>) {
    if let Some(value) = value.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(name, value);
    }
}

fn token_of(path: &str) -> Option<String> {
    let mut segments = path.split('/').skip(1);
    (segments.next() == Some("cb"))
        .then(|| segments.next())
        .flatten()
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
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

async fn list_all(
    State(shared): State<Arc<Shared>>,
    Query(wanted): Query<Wanted>,
) -> Json<Vec<Received>> {
    Json(shared.wait_for(None, &wanted).await)
}

async fn list(
    State(shared): State<Arc<Shared>>,
    Path(token): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Json<Vec<Received>> {
    Json(shared.wait_for(Some(&token), &wanted).await)
}

async fn forget_all(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.memory().forget(None);
    StatusCode::NO_CONTENT
}

async fn forget(State(shared): State<Arc<Shared>>, Path(token): Path<String>) -> StatusCode {
    shared.memory().forget(Some(&token));
    StatusCode::NO_CONTENT
}

async fn set_mode_for_all(State(shared): State<Arc<Shared>>, Json(mode): Json<Mode>) -> StatusCode {
    shared.memory().set_mode(String::new(), mode)
}

async fn set_mode(
    State(shared): State<Arc<Shared>>,
    Path(token): Path<String>,
    Json(mode): Json<Mode>,
) -> StatusCode {
    shared.memory().set_mode(token, mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn send(url: &str) -> Result<StatusCode, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(1))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let answer = http.post(url).json(&json!({"taskId": 7})).send().await?;
        Ok(answer.status())
    }

    #[tokio::test]
    async fn a_mode_holds_for_its_token_and_as_often_as_it_says() {
        let receiver = CallbackReceiver::start().await.unwrap();
        let once = Mode {
            times: Some(1),
            ..Mode::status(503)
        };
        receiver.set_mode("b", once);
        for (token, status) in [("a", 200), ("b", 503), ("b", 200)] {
            let answered = send(&receiver.url(token)).await.unwrap();
            assert_eq!(answered.as_u16(), status);
        }
        let of_b = receiver.received(Some("b"));
        let taken: Vec<bool> = of_b.iter().map(Received::was_taken).collect();
        assert_eq!(taken, [false, true]);
        assert_eq!(of_b[0].json, Some(json!({"taskId": 7})));
        assert_eq!(receiver.received(None).len(), 3);
    }

    #[tokio::test]
    async fn a_receiver_that_hangs_records_and_never_answers() {
        let receiver = CallbackReceiver::start().await.unwrap();
        let hang = Mode {
            hang: true,
            ..Mode::status(200)
        };
        receiver.set_mode("a", hang);
        assert!(send(&receiver.url("a")).await.unwrap_err().is_timeout());
        assert_eq!(receiver.received(None)[0].answered_status, None);
    }
}

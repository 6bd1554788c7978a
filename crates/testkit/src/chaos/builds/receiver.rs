//! The receiver of a run's callbacks: it notes every one, and refuses the first try of some.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::post,
};
use fastbuild_spec::callback::CallbackBody;
use tokio::{net::TcpListener, task::JoinHandle};

/// A running receiver; ends when dropped.
#[derive(Debug)]
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    memory: Arc<Mutex<Memory>>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Memory {
    received: Vec<Callback>,
    refused: HashSet<usize>,
}

/// A callback that came.
#[derive(Debug, Clone)]
pub struct Callback {
    /// What it said.
    pub body: CallbackBody,
    /// Whether it was answered with success.
    pub taken: bool,
}

/// How the first try of a callback is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstAttempt {
    /// As every other.
    Taken,
    /// With 503.
    Refused,
}

impl Receiver {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self> {
        let memory = Arc::<Mutex<Memory>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let routes = Router::new()
            .route("/taken/{order}", post(take))
            .route("/refused/{order}", post(refuse_once))
            .with_state(memory.clone());
        let serving = tokio::spawn(async move {
            // Ends with the task alone.
            let _: std::io::Result<()> = axum::serve(listener, routes).await;
        });
        Ok(Self {
            address,
            memory,
            serving,
        })
    }

    /// Everything that came, oldest first.
    pub fn received(&self) -> Vec<Callback> {
        locked(&self.memory).received.clone()
    }
}

/// The address for the callback of an order, at the receiver that listens there.
pub fn url(receiver: SocketAddr, submission: usize, first: FirstAttempt) -> String {
    let way = match first {
        FirstAttempt::Taken => "taken",
        FirstAttempt::Refused => "refused",
    };
    format!("http://{receiver}/{way}/{submission}")
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn take(State(memory): State<Arc<Mutex<Memory>>>, Json(body): Json<CallbackBody>) {
    locked(&memory)
        .received
        .push(Callback { body, taken: true });
}

async fn refuse_once(
    State(memory): State<Arc<Mutex<Memory>>>,
    Path(submission): Path<usize>,
    Json(body): Json<CallbackBody>,
) -> StatusCode {
    let mut memory = locked(&memory);
    let taken = !memory.refused.insert(submission);
    memory.received.push(Callback { body, taken });
    if taken {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

#[cfg(test)]
mod tests {
    use fastbuild_spec::state::BuildState;

    use super::*;

    #[tokio::test]
    async fn everything_is_noted_and_a_first_try_can_be_refused() {
        let receiver = Receiver::start().await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let send = async |url: String| {
            let body = CallbackBody::new("a:1", 7, BuildState::PushSuccess);
            let answer = http.post(url).json(&body).send().await.unwrap();
            answer.status().is_success()
        };
        assert!(send(url(receiver.address, 1, FirstAttempt::Taken)).await);
        assert!(!send(url(receiver.address, 2, FirstAttempt::Refused)).await);
        assert!(send(url(receiver.address, 2, FirstAttempt::Refused)).await);
        let taken: Vec<bool> = receiver.received().iter().map(|one| one.taken).collect();
        assert_eq!(taken, [true, false, true]);
    }
}

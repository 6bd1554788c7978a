//! Reads bodies into memory, within a bound for all of them together, and runs work on big ones off the async
//! threads.

use std::{ops::Deref, time::Duration};

use axum::{body::Body, extract::Request};
use bytes::Bytes;
use fastbuild_spec::failure::{Failure, ReasonCode};
use futures_util::StreamExt as _;
use http::StatusCode;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
    task::JoinError,
};
use tracing::Instrument as _;

use super::{MEGABYTE, reject_announced, too_large, unreadable};
use crate::error::Error;

/// Bytes of bodies that the process holds at a time, however many clients send some.
static HELD: Semaphore = Semaphore::const_new(16 * MEGABYTE);
/// Big bodies that are worked on at a time: each takes many times its length while it is.
static BIG_WORK: Semaphore = Semaphore::const_new(2);
/// Bodies up to this length are worked on at once.
const SMALL: usize = 64 << 10;
/// How long the next part of a body may take to come.
const TIMEOUT: Duration = Duration::from_secs(30);
/// When a client that finds no room may come back, in seconds.
const RETRY_AFTER_SECONDS: u32 = 5;

/// A whole body. Its bytes count as held until it is dropped.
#[derive(Debug)]
pub(super) struct HeldBody {
    bytes: Bytes,
    _held: Option<SemaphorePermit<'static>>,
}

impl Deref for HeldBody {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// 413 beyond the limit; 408 where it stops coming; 503 where all bodies together are too many bytes.
pub(super) async fn read(request: Request, limit: usize) -> Result<HeldBody, Error> {
    reject_announced(request.headers(), limit)?;
    collect(request.into_body(), limit, &HELD).await
}

async fn collect(body: Body, limit: usize, room: &'static Semaphore) -> Result<HeldBody, Error> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut held: Option<SemaphorePermit> = None;
    loop {
        let Ok(next) = tokio::time::timeout(TIMEOUT, chunks.next()).await else {
            return Err(incomplete().with_status(StatusCode::REQUEST_TIMEOUT));
        };
        let Some(chunk) = next else {
            return Ok(HeldBody {
                bytes: bytes.into(),
                _held: held,
            });
        };
        let chunk = chunk.map_err(|_broken| incomplete())?;
        if bytes.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        let more = room.try_acquire_many(length).map_err(|_no_room| busy())?;
        match &mut held {
            Some(held) => held.merge(more),
            None => held = Some(more),
        }
        bytes.extend_from_slice(&chunk);
    }
}

/// Works on a body: a big one on a thread of its own, with few others.
pub(super) async fn work_on<T: Send + 'static>(
    body: HeldBody,
    work: impl FnOnce(&[u8]) -> T + Send + 'static,
) -> Result<T, Error> {
    if body.len() <= SMALL {
        return Ok(work(&body));
    }
    let _turn = BIG_WORK.acquire().await;
    tokio::task::spawn_blocking(move || work(&body))
        .await
        .map_err(|error| panicked(&error))
}

/// Runs what a handler does with a big request on a thread of its own.
///
/// # Errors
/// When it panicked.
pub(crate) async fn off_async_threads<F>(work: F) -> Result<F::Output, Error>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let runtime = Handle::current();
    let work = work.in_current_span();
    tokio::task::spawn_blocking(move || runtime.block_on(work))
        .await
        .map_err(|error| panicked(&error))
}

fn panicked(error: &JoinError) -> Error {
    Error::internal(format!("work on a request's body failed: {error}"))
}

fn incomplete() -> Error {
    unreadable(
        "请求体没有完整到达。",
        "The request's body did not arrive whole.",
    )
}

fn busy() -> Error {
    let failure = Failure::new(
        ReasonCode::TooManyStreams,
        "服务正在接收的请求内容过多。",
        "The service is receiving too many large requests at this moment.",
    )
    .with_hint("请在几秒后重试。", "Try again in a few seconds.");
    Error::from(failure)
        .with_status(StatusCode::SERVICE_UNAVAILABLE)
        .retry_after(RETRY_AFTER_SECONDS)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    static ROOM: Semaphore = Semaphore::const_new(10);

    fn body(chunks: &[&'static str]) -> Body {
        let chunks: Vec<_> = chunks
            .iter()
            .copied()
            .map(Ok::<_, std::io::Error>)
            .collect();
        Body::from_stream(stream::iter(chunks))
    }

    fn status(result: &Result<HeldBody, Error>) -> Option<StatusCode> {
        result.as_ref().err().and_then(|error| error.status)
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_together_are_bounded_and_let_go() {
        let first = collect(body(&["abc", "def"]), 8, &ROOM).await.unwrap();
        assert_eq!(&first[..], b"abcdef");
        let no_room = collect(body(&["abc", "def"]), 8, &ROOM).await;
        assert_eq!(status(&no_room), Some(StatusCode::SERVICE_UNAVAILABLE));
        drop(first);
        assert_eq!(ROOM.available_permits(), 10);
        let too_large = collect(body(&["abcde", "fghi"]), 8, &ROOM).await;
        assert_eq!(status(&too_large), Some(StatusCode::PAYLOAD_TOO_LARGE));
        let stalled = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let stalled = collect(stalled, 8, &ROOM).await;
        assert_eq!(status(&stalled), Some(StatusCode::REQUEST_TIMEOUT));
        assert_eq!(ROOM.available_permits(), 10);
    }
}

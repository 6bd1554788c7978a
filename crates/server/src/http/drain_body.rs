//! Drains the body of a request that was answered before its body was read.
//!
//! Such an answer ends the connection, and a client that is still sending would see a reset instead of the answer. So
//! the rest of the body is read and dropped for some seconds, a chunk at a time.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Error,
    body::{Body, BodyDataStream, HttpBody as _},
    extract::Request,
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::header;
use tokio::runtime::Handle;

/// How long a refused body is taken in.
const LIMIT: Duration = Duration::from_secs(10);

/// The layer that sees every body to its end.
pub(crate) async fn drain_body(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // A client that asked whether to send at all (RFC 9110, section 10.1.1) learns from the answer
    // that it need not.
    let asks = request.headers().contains_key(header::EXPECT);
    let request = request.map(|body| {
        Body::from_stream(DrainedBody {
            rest: Some(body.into_data_stream()),
            sending: !asks,
        })
    });
    next.run(request).await
}

/// A body that is taken in to its end even if nobody reads it.
struct DrainedBody {
    /// None once it has ended.
    rest: Option<BodyDataStream>,
    /// Whether the client is, or may be, sending.
    sending: bool,
}

impl Stream for DrainedBody {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.sending = true;
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let polled = rest.poll_next_unpin(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.rest = None;
        }
        polled
    }
}

impl Drop for DrainedBody {
    fn drop(&mut self) {
        let (Some(mut rest), true) = (self.rest.take(), self.sending) else {
            return;
        };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let taken_in = async { while let Some(Ok(_chunk)) = rest.next().await {} };
                // After that the connection ends as it would have without this.
                tokio::time::timeout(LIMIT, taken_in).await.ok();
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::{Router, middleware::from_fn, routing::post};
    use futures_util::stream;
    use tower::ServiceExt as _;

    use super::*;

    /// Sends a body of this many chunks to a handler that does not read it; how many were taken in
    /// once the body is let go.
    async fn taken_in(chunks: usize, expects: bool) -> usize {
        let count = Arc::new(AtomicUsize::new(0));
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        let body = {
            let count = Arc::clone(&count);
            stream::unfold((0, ended), move |(number, ended)| {
                let count = Arc::clone(&count);
                async move {
                    (number < chunks).then(|| {
                        count.fetch_add(1, Ordering::SeqCst);
                        (
                            Ok::<_, Error>(Bytes::from_static(b"x")),
                            (number + 1, ended),
                        )
                    })
                }
            })
        };
        let router: Router = Router::new()
            .route("/", post(async || "refused"))
            .layer(from_fn(drain_body));
        let mut request = Request::post("/");
        if expects {
            request = request.header("expect", "100-continue");
        }
        let request = request.body(Body::from_stream(body)).unwrap();
        assert_eq!(router.oneshot(request).await.unwrap().status(), 200);
        // The channel closes when the body is dropped.
        assert!(end.await.is_err());
        count.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn what_nobody_read_is_taken_in() {
        assert_eq!(taken_in(1000, false).await, 1000);
    }

    #[tokio::test]
    async fn what_was_not_sent_yet_is_not_asked_for() {
        assert_eq!(taken_in(1000, true).await, 0);
    }
}

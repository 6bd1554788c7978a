//! Accepts connections and serves them within bounds, until told to end.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Body as HttpBody, Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use super::connections::{Connection, Connections};
use crate::options::ConnectionLimits;

/// How long to wait after a connection could not be accepted: the process is out of descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);
/// Requests that a client may have under way on one HTTP/2 connection.
const MAX_CONCURRENT_STREAMS: u32 = 128;
/// Bytes of a connection that are read ahead, which is also the longest head of a request.
const MAX_READ_BUFFER: usize = 16 << 10;
/// What a client reads where every place is taken by a connection at work.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Serves a router until `shutdown`, then lets requests under way come to their end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    shutdown: CancellationToken,
) {
    // Once, not for each connection: it lays out every route and layer.
    let router: Router = router.with_state(());
    let connections = Connections::new(limits);
    let tasks = TaskTracker::new();
    let mut out_of_descriptors = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let (stream, address): (TcpStream, SocketAddr) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_client(&error) => continue,
            Err(error) => {
                if !out_of_descriptors {
                    tracing::warn!(%error, "failed to accept a connection; closing idle ones");
                    out_of_descriptors = true;
                }
                connections.evict();
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                continue;
            }
        };
        out_of_descriptors = false;
        let Some(connection) = connections.accept(address.ip()) else {
            tracing::debug!(%address, "refused a connection: every place is taken by one at work");
            // Whatever fits the socket's buffer; the client need not wait for a timeout.
            stream.try_write(NO_ROOM).ok();
            continue;
        };
        tasks.spawn(serve_connection(
            stream,
            router.clone(),
            Arc::new(connection),
            limits,
            shutdown.clone(),
        ));
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// Whether accepting failed for a reason that lies with one client.
fn is_of_the_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as E;
    matches!(
        error.kind(),
        E::ConnectionRefused | E::ConnectionAborted | E::ConnectionReset
    )
}

/// Serves one connection until its client is done, or it must go.
async fn serve_connection(
    stream: TcpStream,
    router: Router,
    connection: Arc<Connection>,
    limits: ConnectionLimits,
    shutdown: CancellationToken,
) {
    // Events of a build are small and must not wait for the next one. Without it they are only later.
    stream.set_nodelay(true).ok();
    let service = service_fn(|request: Request<Incoming>| {
        let under_way = connection.begin_request();
        let request = request.map(|body| {
            let receiving = (!body.is_end_stream()).then(|| connection.begin_body());
            Body::new(Held {
                body: Body::new(body),
                guard: receiving,
            })
        });
        let router = router.clone();
        async move {
            let response: Response<Body> = match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            Ok::<_, Infallible>(response.map(|body| Held {
                body,
                guard: Some(under_way),
            }))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_buf_size(MAX_READ_BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .keep_alive_interval(limits.idle);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut ending = false;
    loop {
        tokio::select! {
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    tracing::trace!(error, "a connection broke");
                }
                return;
            }
            () = connection.close.cancelled() => return,
            () = connection.idle_for_too_long() => return,
            () = shutdown.cancelled(), if !ending => {
                ending = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

/// A body with what is let go when it has ended or is given up.
struct Held<G> {
    body: Body,
    guard: Option<G>,
}

impl<G: Unpin> HttpBody for Held<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.guard = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        extract::{FromRequest as _, State},
        routing::{get, post},
    };
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::Notify,
        task::JoinHandle,
    };

    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        total: 8,
        per_address: 8,
        first_request: Duration::from_mins(1),
        idle: Duration::from_mins(1),
    };

    /// A server that answers, reads a body, and holds an answer back, until the token is cancelled.
    async fn server(
        limits: ConnectionLimits,
    ) -> (SocketAddr, Arc<Notify>, CancellationToken, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let held = Arc::new(Notify::new());
        let router = Router::new()
            .route("/", get(async || "here"))
            .route("/body", post(echo))
            .route("/held", get(hold))
            .with_state(Arc::clone(&held));
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
        (address, held, shutdown, serving)
    }

    /// Says that it has the request, and never answers.
    async fn hold(State(held): State<Arc<Notify>>) {
        held.notify_one();
        std::future::pending::<()>().await;
    }

    /// Says that it has the request, and answers its body.
    async fn echo(State(held): State<Arc<Notify>>, request: axum::extract::Request) -> Bytes {
        held.notify_one();
        Bytes::from_request(request, &()).await.unwrap_or_default()
    }

    async fn send(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// The status line of the answer; empty where the connection was closed without one.
    async fn status(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let mut chunk = [0; 1024];
        while !text.contains(&b'\r') {
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(length) => text.extend_from_slice(&chunk[..length]),
            }
        }
        let text = String::from_utf8(text).unwrap();
        text.lines().next().unwrap_or_default().to_owned()
    }

    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const HALF_A_HEAD: &str = "GET / HTTP/1.1\r\nhost: x\r\n";
    const HALF_A_BODY: &str = "POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf";

    #[tokio::test]
    async fn clients_that_hold_connections_do_not_keep_others_out() {
        let (address, ..) = server(LIMITS).await;
        for held in ["", HALF_A_HEAD, HALF_A_BODY] {
            let mut all = Vec::new();
            for _ in 0..3 * LIMITS.total {
                all.push(send(address, held).await);
            }
            let mut client = send(address, GET).await;
            assert_eq!(status(&mut client).await, "HTTP/1.1 200 OK", "{held:?}");
            // Those that made room were closed.
            assert_eq!(status(&mut all[0]).await, "", "{held:?}");
        }
    }

    #[tokio::test]
    async fn who_waits_for_an_answer_stays_and_the_next_one_is_refused() {
        let (address, held, ..) = server(LIMITS).await;
        let mut clients = Vec::new();
        for _ in 0..LIMITS.total {
            clients.push(send(address, "GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await);
            held.notified().await;
        }
        let mut refused = TcpStream::connect(address).await.unwrap();
        assert_eq!(
            status(&mut refused).await,
            "HTTP/1.1 503 Service Unavailable"
        );
        drop(clients);
    }

    #[tokio::test]
    async fn a_connection_without_a_request_is_closed_in_time() {
        let limits = ConnectionLimits {
            first_request: Duration::from_millis(50),
            idle: Duration::from_millis(50),
            ..LIMITS
        };
        let (address, ..) = server(limits).await;
        for sent in ["", HALF_A_HEAD] {
            let mut client = send(address, sent).await;
            assert_eq!(status(&mut client).await, "", "{sent:?}");
        }
        let mut client = send(address, GET).await;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("here"), "{answer}");
    }

    #[tokio::test]
    async fn it_ends_when_the_last_request_has_its_answer() {
        let (address, held, shutdown, serving) = server(LIMITS).await;
        let mut idle = send(address, "").await;
        let mut client = send(address, HALF_A_BODY).await;
        held.notified().await;
        shutdown.cancel();
        assert_eq!(status(&mut idle).await, "");
        assert!(!serving.is_finished());
        client.write_all(&[b'x'; 96]).await.unwrap();
        assert_eq!(status(&mut client).await, "HTTP/1.1 200 OK");
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}

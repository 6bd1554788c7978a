//! HTTP to an engine over plain TCP, mutual TLS or a unix socket: one connection per request.
//!
//! A connection per request costs a millisecond and buys two things: dropping a request's future
//! closes its connection, which makes the engine stop the work, and no request meets a pooled connection
//! that has died.

use std::{error::Error as StdError, io, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    connect::{
        endpoint::{Endpoint, EngineLimits},
        tls,
    },
    error::{
        EngineError, NoAnswer, TlsProblem,
        classify::wants_tls,
        source::{cause, chain},
    },
};

/// How long a broken connection's own task may take to say what broke it, and a refused TLS
/// handshake to be told apart from a lost connection.
const DIAGNOSIS_TIMEOUT: Duration = Duration::from_millis(500);

/// A byte stream to an engine.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The way to one engine.
#[derive(Clone)]
pub(crate) struct Transport {
    way: Way,
    pub(crate) address: String,
    limits: EngineLimits,
}

#[derive(Clone)]
enum Way {
    Tcp {
        host: String,
        port: u16,
    },
    Tls {
        host: String,
        port: u16,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    },
    Unix(PathBuf),
}

impl Transport {
    /// Prepares the way to `endpoint`; touches nothing but the PEM text.
    pub(crate) fn new(endpoint: &Endpoint, limits: EngineLimits) -> Result<Self, EngineError> {
        let address = endpoint.to_string();
        let way = match endpoint {
            Endpoint::Tcp { host, port } => Way::Tcp {
                host: host.clone(),
                port: *port,
            },
            Endpoint::Unix(path) => Way::Unix(path.clone()),
            Endpoint::Tls {
                host,
                port,
                material,
            } => {
                let config = tls::client_config(material).map_err(|problem| EngineError::Tls {
                    address: address.clone(),
                    problem,
                })?;
                let name =
                    ServerName::try_from(host.clone()).map_err(|_| EngineError::Unreachable {
                        address: address.clone(),
                        reason: NoAnswer::UnknownHost,
                    })?;
                Way::Tls {
                    host: host.clone(),
                    port: *port,
                    config: Arc::new(config),
                    name,
                }
            }
        };
        Ok(Self {
            way,
            address,
            limits,
        })
    }

    fn unreachable(&self, reason: NoAnswer) -> EngineError {
        EngineError::Unreachable {
            address: self.address.clone(),
            reason,
        }
    }

    fn tls(&self, problem: TlsProblem) -> EngineError {
        EngineError::Tls {
            address: self.address.clone(),
            problem,
        }
    }

    fn host(&self) -> &str {
        match &self.way {
            Way::Tcp { host, .. } | Way::Tls { host, .. } => host,
            Way::Unix(_) => "localhost",
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, EngineError> {
        match timeout(self.limits.connect, self.connect_unbounded()).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.connect_error(&error)),
            Err(_) => Err(self.unreachable(NoAnswer::Timeout(self.limits.connect))),
        }
    }

    async fn connect_unbounded(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match &self.way {
            Way::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Way::Tcp { host, port } => Box::new(tcp(host, *port).await?),
            Way::Tls {
                host,
                port,
                config,
                name,
            } => {
                let stream = tcp(host, *port).await?;
                Box::new(
                    TlsConnector::from(Arc::clone(config))
                        .connect(name.clone(), stream)
                        .await?,
                )
            }
        })
    }

    fn connect_error(&self, error: &io::Error) -> EngineError {
        if let Some(error) = cause::<rustls::Error>(error) {
            return self.tls(tls::problem(error, self.host()));
        }
        // EMFILE and ENFILE (errno 24 and 23): the engine has no part in it.
        if matches!(error.raw_os_error(), Some(23 | 24)) {
            return EngineError::OpenFiles {
                detail: error.to_string(),
            };
        }
        self.unreachable(match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => NoAnswer::Refused,
            io::ErrorKind::TimedOut => NoAnswer::Timeout(self.limits.connect),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                if matches!(self.way, Way::Tls { .. }) =>
            {
                NoAnswer::NotAnEngine("it closes the connection during the TLS handshake".into())
            }
            _ if error.to_string().contains("lookup") => NoAnswer::UnknownHost,
            _ => NoAnswer::Network(error.to_string()),
        })
    }

    /// Sends a request on a connection of its own and returns the head of the answer; not bounded in time.
    ///
    /// # Errors
    /// `Unreachable` and `Tls` when there is no connection, `Lost` when it breaks before the answer.
    pub(crate) async fn send<B>(
        &self,
        mut request: Request<B>,
    ) -> Result<Response<Incoming>, EngineError>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let stream = self.connect().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.lost(&error))?;
        let task = tokio::spawn(connection.with_upgrades());
        if let Some(path) = request.uri().path_and_query().map(ToString::to_string)
            && let Ok(uri) = path.parse()
        {
            *request.uri_mut() = uri;
        }
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_static("docker"));
        // The library writes plain base64 here; engines read the URL-safe alphabet (Docker Engine API,
        // "Authentication").
        for name in ["x-registry-auth", "x-registry-config"] {
            if let Some(value) = headers.get(name).and_then(url_safe) {
                headers.insert(name, value);
            }
        }
        match sender.send_request(request).await {
            Ok(response) => Ok(response),
            Err(error) => Err(self.diagnose(error, task).await),
        }
    }

    /// Why a request got no answer. With TLS 1.3 an engine judges our certificate after our side of
    /// the handshake is over, so its alert is read by the connection's task, or by nobody when
    /// writing the request failed first; then a second handshake shows it.
    async fn diagnose(
        &self,
        error: hyper::Error,
        task: JoinHandle<hyper::Result<()>>,
    ) -> EngineError {
        let ended = timeout(DIAGNOSIS_TIMEOUT, task).await;
        let connection_error = ended.ok().and_then(Result::ok).and_then(Result::err);
        for error in [connection_error.as_ref(), Some(&error)]
            .into_iter()
            .flatten()
        {
            if let Some(error) = cause::<rustls::Error>(error) {
                return self.tls(tls::problem(error, self.host()));
            }
        }
        if matches!(self.way, Way::Tls { .. })
            && let Ok(mut stream) = self.connect().await
            && let Ok(Err(read)) = timeout(DIAGNOSIS_TIMEOUT, stream.read_u8()).await
            && let Some(error) = cause::<rustls::Error>(&read)
        {
            return self.tls(tls::problem(error, self.host()));
        }
        self.lost(connection_error.as_ref().unwrap_or(&error))
    }

    pub(crate) fn lost(&self, error: &hyper::Error) -> EngineError {
        if error.is_parse() {
            return self.unreachable(NoAnswer::NotAnEngine("it does not speak HTTP".into()));
        }
        EngineError::Lost {
            address: self.address.clone(),
            detail: chain(error),
        }
    }

    /// Sends a short request and reads the whole answer, within the request limit.
    pub(crate) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, EngineError> {
        let exchange = async {
            let (parts, body) = self.send(request).await?.into_parts();
            let body = body
                .collect()
                .await
                .map_err(|error| self.lost(&error))?
                .to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        let response = timeout(self.limits.request, exchange)
            .await
            .map_err(|_| self.unreachable(NoAnswer::Timeout(self.limits.request)))??;
        if wants_tls(response.status(), response.body()) {
            return Err(self.tls(TlsProblem::PortWantsTls));
        }
        Ok(response)
    }

    /// Turns a connection into a stream of another protocol (`Upgrade: h2c`).
    pub(crate) async fn upgrade(
        &self,
        path: &str,
        headers: &[(&'static str, String)],
    ) -> Result<hyper::upgrade::Upgraded, EngineError> {
        let mut request = Request::post(path)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "h2c");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request
            .body(Full::<Bytes>::default())
            .map_err(|error| self.internal(error.to_string()))?;
        let response = timeout(self.limits.request, self.send(request))
            .await
            .map_err(|_| self.unreachable(NoAnswer::Timeout(self.limits.request)))??;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(EngineError::Unsupported {
                address: self.address.clone(),
                detail: format!(
                    "POST {path} was answered with {}, so it has no BuildKit",
                    response.status()
                ),
            });
        }
        hyper::upgrade::on(response)
            .await
            .map_err(|error| self.lost(&error))
    }

    pub(crate) fn internal(&self, detail: impl Into<String>) -> EngineError {
        EngineError::Internal {
            address: self.address.clone(),
            detail: detail.into(),
        }
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    // A machine that vanished sends nothing; without keepalive a silent build would wait for hours.
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

fn url_safe(value: &HeaderValue) -> Option<HeaderValue> {
    let text = value.to_str().ok()?.replace('+', "-").replace('/', "_");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

//! A registry that answers as a test tells it to: a proxy in front of the environment's registry that replaces
//! chosen responses, so that real engines meet what Harbor, docker-registry or a gateway before them would say.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode},
    response::{IntoResponse as _, Response},
    serve::Listener,
};
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{env::TestEnv, reverse_proxy::ReverseProxy};

/// The requests of the OCI distribution specification that a rule can replace the response to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `GET /v2/`: the version check, which is also a login.
    VersionCheck,
    /// `GET` or `HEAD` of a manifest.
    PullManifest,
    /// `GET` of a blob.
    PullBlob,
    /// `POST`, `PATCH` or `PUT` of a blob upload.
    UploadBlob,
    /// `PUT` of a manifest.
    PushManifest,
}

impl Operation {
    fn of(method: &Method, path: &str) -> Option<Self> {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        if path.trim_end_matches('/') == "/v2" {
            Some(Self::VersionCheck)
        } else if path.contains("/manifests/") {
            Some(if reads {
                Self::PullManifest
            } else {
                Self::PushManifest
            })
        } else if path.contains("/blobs/uploads/") {
            Some(Self::UploadBlob)
        } else {
            (*method == Method::GET && path.contains("/blobs/")).then_some(Self::PullBlob)
        }
    }
}

/// A response of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// Headers, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body, as it is sent.
    #[serde(default)]
    pub body: String,
}

/// A response in place of the registry's own.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The requests it is for.
    pub operation: Operation,
    /// The end of the path, such as a digest; empty for all.
    pub path_end: String,
    /// The response.
    pub answer: Answer,
}

/// How the registry is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listen {
    /// Plain HTTP on the loopback address, which engines use without TLS by default.
    PlainLoopback,
    /// Plain HTTP on an address where engines insist on TLS.
    Plain,
    /// TLS with a certificate of an authority nobody trusts.
    UntrustedTls,
    /// TLS with a certificate that has expired.
    ExpiredTls,
}

/// A running scripted registry; it ends when dropped.
#[derive(Debug)]
pub struct ScriptedRegistry {
    /// `HOST:PORT`, as image names have it.
    pub address: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: ReverseProxy,
    rules: Mutex<Vec<Rule>>,
    answered: Mutex<usize>,
}

impl ScriptedRegistry {
    /// Starts one in front of the environment's registry. `host` is the address for the listeners that are not on
    /// loopback; one of this machine's bridges will do, no packet leaves the machine.
    ///
    /// # Errors
    /// When no port can be bound or the CA certificate of the environment cannot be read.
    pub async fn start(env: &TestEnv, host: Ipv4Addr, listen: Listen) -> Result<Self> {
        let ca = std::fs::read(&env.certificates.ca)?;
        let shared = Arc::new(Shared {
            upstream: ReverseProxy::new(format!("https://{}", env.registry.registry), Some(&ca))?,
            rules: Mutex::default(),
            answered: Mutex::default(),
        });
        let host = match listen {
            Listen::PlainLoopback => Ipv4Addr::LOCALHOST,
            _ => host,
        };
        let listener = TcpListener::bind((host, 0)).await?;
        let address = listener.local_addr()?.to_string();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let task = match listen {
            Listen::PlainLoopback | Listen::Plain => tokio::spawn(async move {
                let _: io::Result<()> = axum::serve(listener, router).await;
            }),
            Listen::UntrustedTls | Listen::ExpiredTls => {
                let tls = tls(IpAddr::V4(host), listen == Listen::ExpiredTls)?;
                let listener = TlsListener { listener, tls };
                tokio::spawn(async move {
                    let _: io::Result<()> = axum::serve(listener, router).await;
                })
            }
        };
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// Replaces all rules; with none every request is forwarded.
    pub fn script(&self, rules: Vec<Rule>) {
        *lock(&self.shared.rules) = rules;
    }

    /// How many responses were replaced since the start.
    pub fn answered(&self) -> usize {
        *lock(&self.shared.answered)
    }
}

impl Drop for ScriptedRegistry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let operation = Operation::of(request.method(), &path);
    let rule = lock(&shared.rules)
        .iter()
        .find(|rule| Some(rule.operation) == operation && path.ends_with(&rule.path_end))
        .cloned();
    let Some(rule) = rule else {
        return shared.upstream.forward(request).await;
    };
    *lock(&shared.answered) += 1;
    let status = StatusCode::from_u16(rule.answer.status).unwrap_or_default();
    let mut response = (status, rule.answer.body).into_response();
    response.headers_mut().remove("content-type");
    for (name, value) in rule.answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A server's TLS with a certificate for `host`, signed by an authority of its own.
fn tls(host: IpAddr, expired: bool) -> Result<TlsAcceptor> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![])?;
    params.subject_alt_names = vec![SanType::IpAddress(host)];
    if expired {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    }
    let certificate = params.self_signed(&key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

struct TlsListener {
    listener: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, peer)) = self.listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            // A client that distrusts the certificate ends the handshake: that is what the tests are for.
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

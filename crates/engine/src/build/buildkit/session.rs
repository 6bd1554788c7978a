//! The gRPC server a build session offers to the engine: files, secrets and registry credentials. The engine
//! is the client on this connection (BuildKit, `session` package).

use std::{pin::Pin, sync::Arc};

use async_stream::try_stream;
use bollard_buildkit_proto::{
    fsutil::types::{Packet, packet::PacketType},
    health::{
        HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
        health_check_response::ServingStatus,
        health_server::{Health, HealthServer},
    },
    moby::{
        buildkit::secrets::v1::{
            GetSecretRequest, GetSecretResponse,
            secrets_server::{Secrets, SecretsServer},
        },
        filesync::{
            packet::file_sync_server::{FileSync, FileSyncServer},
            v1::{
                CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
                GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
                VerifyTokenAuthorityResponse,
                auth_server::{Auth, AuthServer},
            },
        },
    },
};
use fastbuild_spec::settings::RegistrySettings;
use futures_util::Stream;
use hyper_util::{rt::TokioExecutor, service::TowerToHyperService};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, Streaming, service::Routes};

use super::context::{Entry, Tree, chunks};
use crate::{EngineError, connect::transport::Transport, registry};

/// What the session serves to the engine.
#[derive(Debug)]
pub(super) struct SessionResources {
    /// The files of the context.
    pub(super) context: Tree,
    /// The directory with the Dockerfile.
    pub(super) dockerfile: Tree,
    /// Secrets by id.
    pub(super) secrets: Vec<(String, SecretString)>,
    /// The registry account.
    pub(super) registry: Option<RegistrySettings>,
}

/// A running session; it ends when this is dropped.
pub(super) struct Session {
    _task: AbortOnDropHandle<()>,
}

impl Session {
    /// Opens the session `id`. Sessions with the same `key` share the files they sent before.
    pub(super) async fn open(
        transport: &Transport,
        id: &str,
        key: String,
        resources: SessionResources,
    ) -> Result<Self, EngineError> {
        const METHOD: &str = "x-docker-expose-session-grpc-method";
        let mut headers = vec![
            ("x-docker-expose-session-uuid", id.to_owned()),
            ("x-docker-expose-session-name", "fastbuild".to_owned()),
            ("x-docker-expose-session-sharedkey", key),
        ];
        for method in [
            "/grpc.health.v1.Health/Check",
            "/moby.filesync.v1.Auth/Credentials",
            "/moby.filesync.v1.Auth/FetchToken",
            "/moby.buildkit.secrets.v1.Secrets/GetSecret",
            "/moby.filesync.v1.FileSync/DiffCopy",
        ] {
            headers.push((METHOD, method.to_owned()));
        }
        let connection = transport.upgrade("/session", &headers).await?;
        let services = SessionServer(Arc::new(resources));
        let routes = Routes::new(HealthServer::new(services.clone()))
            .add_service(AuthServer::new(services.clone()))
            .add_service(SecretsServer::new(services.clone()))
            .add_service(FileSyncServer::new(services));
        let task = tokio::spawn(async move {
            let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(connection, TowerToHyperService::new(routes));
            if let Err(error) = served.await {
                // The build itself fails then, and says so.
                tracing::debug!(error = %error, "build session closed with an error");
            }
        });
        Ok(Self {
            _task: AbortOnDropHandle::new(task),
        })
    }
}

/// The gRPC services of a session.
#[derive(Clone)]
struct SessionServer(Arc<SessionResources>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Auth for SessionServer {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let host = request.into_inner().host;
        let account = self
            .0
            .registry
            .as_ref()
            .filter(|settings| registry::is_for_host(settings, &host));
        // An empty answer means: go on without an account.
        Ok(Response::new(account.map_or_else(
            CredentialsResponse::default,
            |settings| CredentialsResponse {
                username: settings.username.clone(),
                secret: settings.password.expose_secret().to_owned(),
            },
        )))
    }

    async fn fetch_token(
        &self,
        _: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens itself"))
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(Status::unavailable("the engine fetches tokens itself"))
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unavailable("the engine fetches tokens itself"))
    }
}

#[tonic::async_trait]
impl Secrets for SessionServer {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        let found = self.0.secrets.iter().find(|(name, _)| *name == id);
        let (_, value) =
            found.ok_or_else(|| Status::not_found(format!("secret {id} not found")))?;
        Ok(Response::new(GetSecretResponse {
            data: value.expose_secret().as_bytes().to_vec(),
        }))
    }
}

#[tonic::async_trait]
impl FileSync for SessionServer {
    type DiffCopyStream = Answers<Packet>;
    type TarStreamStream = Answers<Packet>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let metadata = request.metadata();
        let texts = |name: &str| -> Vec<String> {
            metadata
                .get_all(name)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .map(str::to_owned)
                .collect()
        };
        let name = texts("dir-name").pop().unwrap_or_default();
        let tree = match name.as_str() {
            "context" => &self.0.context,
            "dockerfile" => &self.0.dockerfile,
            _ => return Err(Status::not_found(format!("there is no directory {name}"))),
        };
        let entries = tree.entries_for(&texts("followpaths"));
        Ok(Response::new(Box::pin(send_files(
            entries,
            request.into_inner(),
        ))))
    }

    async fn tar_stream(
        &self,
        _: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("files are sent by DiffCopy"))
    }
}

/// The sending side of a synchronisation: the whole walk, an empty entry, then the content of what the
/// engine asks for by its number in the walk, until it says that it has all.
fn send_files(
    entries: Vec<Entry>,
    mut requests: Streaming<Packet>,
) -> impl Stream<Item = Result<Packet, Status>> + Send + 'static {
    try_stream! {
        for entry in &entries {
            yield Packet { stat: Some(entry.stat.clone()), ..packet(PacketType::PacketStat, 0, Vec::new()) };
        }
        yield packet(PacketType::PacketStat, 0, Vec::new());
        while let Some(request) = requests.message().await? {
            match request.r#type() {
                PacketType::PacketReq => {
                    let entry = usize::try_from(request.id).ok().and_then(|index| entries.get(index));
                    let entry = entry.ok_or_else(|| Status::invalid_argument("there is no such file"))?;
                    if let Some(source) = entry.source.clone() {
                        for await chunk in chunks(source) {
                            yield packet(PacketType::PacketData, request.id, chunk?);
                        }
                    }
                    yield packet(PacketType::PacketData, request.id, Vec::new());
                }
                PacketType::PacketFin => {
                    yield packet(PacketType::PacketFin, 0, Vec::new());
                    break;
                }
                PacketType::PacketErr => {
                    Err(Status::aborted(String::from_utf8_lossy(&request.data).into_owned()))?;
                }
                PacketType::PacketStat | PacketType::PacketData => {}
            }
        }
    }
}

fn packet(kind: PacketType, id: u32, data: Vec<u8>) -> Packet {
    Packet {
        r#type: kind.into(),
        stat: None,
        id,
        data,
    }
}

#[tonic::async_trait]
impl Health for SessionServer {
    type WatchStream = Answers<HealthCheckResponse>;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse {
            status: ServingStatus::Serving.into(),
        }))
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("there is one service"))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("ask again instead"))
    }
}

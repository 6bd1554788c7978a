//! The handle to one engine.

use std::{fmt, sync::Arc, time::Duration};

use bollard::Docker;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use tokio::sync::OnceCell;

use crate::{
    connect::{
        endpoint::{Endpoint, EngineLimits},
        transport::Transport,
    },
    error::{EngineError, classify},
};

/// One engine. Cheap to clone; holds no open connection.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Transport,
    limits: EngineLimits,
    docker: OnceCell<Docker>,
    platform: OnceCell<Platform>,
}

/// The platform an engine runs on, in Go's words (`GET /version`).
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Platform {
    pub(crate) os: String,
    pub(crate) arch: String,
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// A handle to the engine at `endpoint`. Does no I/O.
    ///
    /// # Errors
    /// `Tls` when one of the PEM files does not parse or the key is not the certificate's.
    pub fn new(endpoint: &Endpoint, limits: EngineLimits) -> Result<Self, EngineError> {
        let transport = Transport::new(endpoint, limits)?;
        Ok(Self {
            inner: Arc::new(Inner {
                transport,
                limits,
                docker: OnceCell::new(),
                platform: OnceCell::new(),
            }),
        })
    }

    /// The engine's address as errors name it.
    pub fn address(&self) -> &str {
        &self.inner.transport.address
    }

    pub(crate) fn limits(&self) -> EngineLimits {
        self.inner.limits
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.inner.transport
    }

    pub(crate) fn internal(&self, detail: impl Into<String>) -> EngineError {
        self.inner.transport.internal(detail)
    }

    /// The typed client, speaking the newest API version both sides know. Its own time limit is off:
    /// callers bound what must be short.
    pub(crate) async fn docker(&self) -> Result<&Docker, EngineError> {
        self.inner
            .docker
            .get_or_try_init(|| async {
                let transport = self.inner.transport.clone();
                let send = move |request: bollard::BollardRequest| {
                    let transport = transport.clone();
                    async move {
                        transport.send(request).await.map_err(|error| {
                            bollard::errors::Error::IOError {
                                err: std::io::Error::other(error),
                            }
                        })
                    }
                };
                let forever = Duration::from_hours(7 * 24).as_secs();
                let docker = Docker::connect_with_custom_transport(
                    send,
                    Some("http://docker"),
                    forever,
                    bollard::API_DEFAULT_VERSION,
                )
                .map_err(|error| self.internal(error.to_string()))?;
                let docker = self.short(docker.negotiate_version()).await?;
                let newest = docker.client_version();
                self.require_api(&format!(
                    "{}.{}",
                    newest.major_version, newest.minor_version
                ))?;
                Ok(docker)
            })
            .await
    }

    /// Runs a short call of the typed client within the request limit.
    pub(crate) async fn short<T>(
        &self,
        call: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, EngineError> {
        match tokio::time::timeout(self.inner.limits.request, call).await {
            Ok(result) => result.map_err(|error| classify::client_error(self.address(), &error)),
            Err(_) => Err(EngineError::Unreachable {
                address: self.address().to_owned(),
                reason: crate::NoAnswer::Timeout(self.inner.limits.request),
            }),
        }
    }

    /// A request for the engine's API in the version agreed on.
    pub(crate) async fn request(
        &self,
        method: Method,
        path_and_query: &str,
    ) -> Result<http::request::Builder, EngineError> {
        let version = self.docker().await?.client_version();
        Ok(Request::builder().method(method).uri(format!(
            "/v{}.{}{path_and_query}",
            version.major_version, version.minor_version
        )))
    }

    /// The engine's platform; asked for once.
    pub(crate) async fn platform(&self) -> Result<&Platform, EngineError> {
        self.inner
            .platform
            .get_or_try_init(|| async { self.read(&self.get("/version").await?) })
            .await
    }

    /// A short GET in the API version agreed on.
    pub(crate) async fn get_versioned(
        &self,
        path: &str,
    ) -> Result<http::Response<Bytes>, EngineError> {
        let request = self.request(Method::GET, path).await?;
        let request = request
            .body(Full::default())
            .map_err(|error| self.internal(error.to_string()))?;
        self.inner.transport.exchange(request).await
    }

    /// An unversioned GET.
    pub(crate) async fn get(&self, path: &str) -> Result<http::Response<Bytes>, EngineError> {
        let request = Request::get(path)
            .body(Full::default())
            .map_err(|error| self.internal(error.to_string()))?;
        self.inner.transport.exchange(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProgressSender;

    #[test]
    fn all_engine_futures_are_send() {
        fn sendable<T: Send>(_: &T) {}
        let engine =
            Engine::new(&Endpoint::Unix("/nowhere".into()), EngineLimits::default()).unwrap();
        let (image, progress) = ("debian:12".parse().unwrap(), ProgressSender::discarding());
        sendable(&engine.ping());
        sendable(&engine.pull(&image, None, &progress));
        sendable(&engine.push(&image, None, &progress));
        sendable(&engine.run_probe("id", "true", "label"));
        sendable(&engine.remove_orphans(|_| true));
        sendable(&engine.discard_image(&image));
        sendable(&engine.images_in_containers());
        sendable(&engine.prune_build_cache(0));
        sendable(&engine.disk_usage());
        let request = crate::ImageBuild {
            dockerfile: String::new(),
            files: vec![],
            secrets: vec![],
            base: image.clone(),
            tag: image.clone(),
            registry: None,
            dialect: fastbuild_spec::plan::Dialect::BuildKit,
            packing: None,
            no_cache: false,
            build_id: String::new(),
        };
        sendable(&engine.build(request, &progress));
        assert_eq!(engine.address(), "/nowhere");
    }
}

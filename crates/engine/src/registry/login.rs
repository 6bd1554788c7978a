//! Registry login through an engine, and the credential headers of its API.

use base64::{Engine as _, prelude::BASE64_URL_SAFE};
use fastbuild_spec::{reference::ImageReference, settings::RegistrySettings};
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::Full;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::{Engine, EngineError, error::classify};

/// Docker Hub's key in credentials (Docker Engine API, "Authentication").
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Whether `host` is one of Docker Hub's names.
fn is_docker_hub(host: &str) -> bool {
    matches!(
        host,
        "docker.io" | "index.docker.io" | "registry-1.docker.io" | "https://index.docker.io/v1/"
    )
}

/// The registry host of an image; Docker Hub when none is written.
pub(crate) fn registry_of(image: &ImageReference) -> &str {
    image.registry().unwrap_or("docker.io")
}

/// Whether these credentials are meant for `host`. They are given to no other.
pub(crate) fn is_for_host(settings: &RegistrySettings, host: &str) -> bool {
    settings.is_ours(host)
        || (is_docker_hub(host)
            && (is_docker_hub(&settings.registry)
                || settings.registry_dns.as_deref().is_some_and(is_docker_hub)))
}

/// The value of `X-Registry-Auth` for a pull or push of `image`, if the credentials are for its registry.
pub(crate) fn auth_header(
    image: &ImageReference,
    settings: Option<&RegistrySettings>,
) -> Option<HeaderValue> {
    let host = registry_of(image);
    let settings = settings.filter(|settings| is_for_host(settings, host))?;
    sensitive(&auth_config(settings, host).to_string())
}

/// The value of `X-Registry-Config` for a classic build: the credentials under every name they serve.
pub(crate) fn config_header(settings: Option<&RegistrySettings>) -> Option<HeaderValue> {
    let settings = settings?;
    let hosts = [
        Some(settings.registry.as_str()),
        settings.registry_dns.as_deref(),
    ];
    let by_host: serde_json::Map<_, _> = hosts
        .into_iter()
        .flatten()
        .map(|host| {
            (
                if is_docker_hub(host) {
                    DOCKER_HUB
                } else {
                    host
                }
                .to_owned(),
                auth_config(settings, host),
            )
        })
        .collect();
    sensitive(&serde_json::Value::Object(by_host).to_string())
}

fn auth_config(settings: &RegistrySettings, host: &str) -> serde_json::Value {
    json!({
        "username": settings.username,
        "password": settings.password.expose_secret(),
        "serveraddress": if is_docker_hub(host) { DOCKER_HUB } else { host },
    })
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&BASE64_URL_SAFE.encode(text)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Engine {
    /// Has the engine log in to the registry: what works from here may not work from there.
    ///
    /// # Errors
    /// `RegistryLogin` when the registry refuses the account, `RegistryUnavailable` when the engine
    /// gets no sensible answer from it.
    pub async fn login(&self, registry: &RegistrySettings) -> Result<(), EngineError> {
        self.login_at(registry, &registry.registry).await
    }

    async fn login_at(&self, settings: &RegistrySettings, host: &str) -> Result<(), EngineError> {
        // The typed client would write the body, password included, into its trace log.
        let request = self
            .request(Method::POST, "/auth")
            .await?
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(auth_config(settings, host).to_string()))
            .map_err(|error| self.internal(error.to_string()))?;
        let response = self.transport().exchange(request).await?;
        if response.status() == StatusCode::OK {
            return Ok(());
        }
        let message = crate::json_stream::error_text(response.body());
        Err(classify::login_error(
            self.address(),
            host,
            &settings.username,
            &message,
        ))
    }

    /// Logs in after a denied pull or push: registries use the same words for a wrong password and for missing
    /// rights, only a login tells them apart.
    pub(crate) async fn check_login(
        &self,
        error: EngineError,
        host: &str,
        credentials: Option<&RegistrySettings>,
    ) -> EngineError {
        let denied = matches!(
            error,
            EngineError::PullDenied { .. } | EngineError::PushDenied { .. }
        );
        match credentials.filter(|settings| denied && is_for_host(settings, host)) {
            None => error,
            Some(settings) => match self.login_at(settings, host).await {
                Err(
                    exact @ (EngineError::RegistryLogin { .. }
                    | EngineError::RegistryUnavailable { .. }),
                ) => exact,
                Ok(()) => classify::denied_with_login(error, host),
                Err(_) => error,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(registry: &str, registry_dns: Option<&str>) -> RegistrySettings {
        RegistrySettings {
            username: "robot$team".into(),
            password: "~~~???>>>".to_owned().into(),
            registry: registry.into(),
            registry_dns: registry_dns.map(str::to_owned),
        }
    }

    fn header_of(image: &str, settings: &RegistrySettings) -> Option<serde_json::Value> {
        let value = auth_header(&image.parse().unwrap(), Some(settings))?;
        assert!(value.is_sensitive());
        Some(serde_json::from_slice(&BASE64_URL_SAFE.decode(value.as_bytes()).unwrap()).unwrap())
    }

    #[test]
    fn account_is_sent_only_to_its_registry_under_either_name() {
        let ours = settings("10.0.0.9:30003", Some("harbor.example"));
        for (image, host) in [
            ("10.0.0.9:30003/a/b:1", "10.0.0.9:30003"),
            ("harbor.example/a/b", "harbor.example"),
        ] {
            let sent = header_of(image, &ours).unwrap();
            assert_eq!(
                sent,
                json!({"username": "robot$team", "password": "~~~???>>>", "serveraddress": host})
            );
        }
        for image in [
            "debian:12",
            "10.0.0.9/a/b:1",
            "harbor.example:8443/a/b",
            "evil.example/harbor.example/b",
        ] {
            assert_eq!(header_of(image, &ours), None, "{image}");
        }
    }

    #[test]
    fn docker_hub_aliases_share_the_account() {
        let hub = settings("docker.io", None);
        assert!(is_for_host(&hub, "registry-1.docker.io") && is_for_host(&hub, "index.docker.io"));
        assert!(!is_for_host(&settings("harbor.example", None), "docker.io"));
        assert_eq!(
            header_of("debian:12", &hub).unwrap()["serveraddress"],
            DOCKER_HUB
        );
    }

    #[test]
    fn classic_build_config_holds_the_account_under_both_names() {
        let value =
            config_header(Some(&settings("10.0.0.9:30003", Some("harbor.example")))).unwrap();
        let sent: serde_json::Value =
            serde_json::from_slice(&BASE64_URL_SAFE.decode(value.as_bytes()).unwrap()).unwrap();
        assert_eq!(sent["harbor.example"]["username"], "robot$team");
        assert_eq!(sent["10.0.0.9:30003"]["serveraddress"], "10.0.0.9:30003");
        assert_eq!(config_header(None), None);
    }
}

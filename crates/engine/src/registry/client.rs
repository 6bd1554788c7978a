//! A registry client that needs no engine: resolves a tag to a digest and gives an image a second tag
//! (OCI distribution specification 1.1).

use std::time::Duration;

use bytes::Bytes;
use fastbuild_spec::{reference::ImageReference, settings::RegistrySettings};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{Method, StatusCode, header};
use reqwest::{Client, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{InsecureRegistries, registry::is_for_host};

/// Media types a tag may resolve to.
const MANIFEST_OR_INDEX: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// Media types of single-image manifests. An index cannot be retagged: its manifests would have to be copied too.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// Upper bound for a manifest body; real ones list a few hundred digests.
const MAX_MANIFEST_BYTES: u64 = 4 << 20;
/// Layers mounted in parallel.
const MAX_CONCURRENT: usize = 8;

/// A client of registries. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RegistryClient {
    pub(super) http: Client,
}

/// Why a registry request failed. Not fatal for a build: the engine can still build and push.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry has no such image any more.
    #[error("{0} is not in the registry any more")]
    Gone(String),
    /// The registry did not mount a layer from the other repository.
    #[error("the registry does not take {0} over from the other repository")]
    NotMounted(String),
    /// No response, or one that the specification does not allow.
    #[error("{what}: {detail}")]
    Refused {
        /// The request.
        what: &'static str,
        /// The response or error.
        detail: String,
    },
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: String,
    #[serde(default)]
    media_type: String,
}

/// How requests to this registry are authenticated.
enum Credentials {
    Anonymous,
    Basic,
    Bearer(SecretString),
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl RegistryClient {
    /// A client that trusts this machine's authorities and those in `more_authorities` (PEM).
    ///
    /// # Errors
    /// A sentence when the PEM text does not parse or no client can be made.
    pub fn new(more_authorities: Option<&[u8]>) -> Result<Self, String> {
        let mut builder = Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(pem) = more_authorities {
            let authorities =
                reqwest::Certificate::from_pem_bundle(pem).map_err(|error| error.to_string())?;
            builder = builder.tls_certs_merge(authorities);
        }
        let http = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { http })
    }

    /// The digest `image` resolves to in its registry (`sha256:...`), that of the index for a multi-platform image. The
    /// registry is contacted over TLS only.
    ///
    /// # Errors
    /// [`RegistryError`]; `Gone` when the registry has no such image.
    pub async fn digest_of(
        &self,
        account: &RegistrySettings,
        image: &ImageReference,
    ) -> Result<String, RegistryError> {
        let registry = image.registry().unwrap_or("docker.io");
        let scopes = [pull_scope(image)];
        let with_tls_only = InsecureRegistries::default();
        let conversation =
            Conversation::begin(&self.http, account, registry, &scopes, &with_tls_only).await?;
        let tag = image.digest().unwrap_or(image.tag());
        let path = format!("{}/manifests/{tag}", image.path());
        let answer = conversation
            .ask(Method::HEAD, &path, |request| {
                request.header(header::ACCEPT, MANIFEST_OR_INDEX)
            })
            .await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Err(RegistryError::Gone(image.to_string()));
        }
        let answer = expect("the manifest", answer, StatusCode::OK)?;
        digest_header(&answer)
            .map(str::to_owned)
            .ok_or_else(|| refused("the manifest", "its digest is not told"))
    }

    /// Tags the image `digest` of `from`'s repository as `to` in the same registry. Layers are mounted, not
    /// copied. A registry without TLS is used if `plain` lists it; the account is then sent in the clear, as
    /// the engine itself does.
    ///
    /// # Errors
    /// [`RegistryError`]; nothing has the name then.
    pub async fn retag(
        &self,
        account: &RegistrySettings,
        from: &ImageReference,
        digest: &str,
        to: &ImageReference,
        plain: &InsecureRegistries,
    ) -> Result<(), RegistryError> {
        let registry = to.registry().unwrap_or("docker.io");
        // One token for both: to read the one repository, and to write the other.
        let mut scopes = vec![format!("repository:{}:pull,push", to.path())];
        if from.path() != to.path() {
            scopes.push(pull_scope(from));
        }
        let conversation =
            Conversation::begin(&self.http, account, registry, &scopes, plain).await?;
        let path = format!("{}/manifests/{digest}", from.path());
        let answer = conversation
            .ask(Method::GET, &path, |request| {
                request.header(header::ACCEPT, MANIFESTS)
            })
            .await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Err(RegistryError::Gone(format!("{}@{digest}", from.name())));
        }
        let answer = expect("the manifest", answer, StatusCode::OK)?;
        let media_type = answer
            .headers()
            .get(header::CONTENT_TYPE)
            .cloned()
            .ok_or_else(|| refused("the manifest", "it has no type"))?;
        if answer
            .content_length()
            .is_none_or(|length| length > MAX_MANIFEST_BYTES)
        {
            return Err(refused("the manifest", "its length is none of a manifest"));
        }
        let body = answer
            .bytes()
            .await
            .map_err(|error| refused("the manifest", error))?;
        let manifest: Manifest =
            serde_json::from_slice(&body).map_err(|error| refused("the manifest", error))?;
        if from.path() != to.path() {
            conversation
                .mount_layers(from.path(), to.path(), &manifest)
                .await?;
        }
        let path = format!("{}/manifests/{}", to.path(), to.tag());
        let answer = conversation
            .ask(Method::PUT, &path, |request| {
                request
                    .header(header::CONTENT_TYPE, media_type.clone())
                    .body(body.clone())
            })
            .await?;
        let answer = expect("the new name", answer, StatusCode::CREATED)?;
        match digest_header(&answer) {
            Some(said) if said != digest => {
                Err(refused("the new name", format!("it names {said}")))
            }
            _ => Ok(()),
        }
    }
}

/// The scope of a token to read an image (Docker registry token authentication).
pub(super) fn pull_scope(image: &ImageReference) -> String {
    format!("repository:{}:pull", image.path())
}

/// The digest of what an answer is about (OCI distribution specification 1.1, `Docker-Content-Digest`).
fn digest_header(answer: &Response) -> Option<&str> {
    let value = answer.headers().get("docker-content-digest")?;
    value.to_str().ok()
}

/// Requests to one registry that share a scheme and credentials.
pub(super) struct Conversation<'a> {
    http: &'a Client,
    account: &'a RegistrySettings,
    registry: &'a str,
    /// `http` after the fallback to plain HTTP.
    scheme: &'static str,
    credentials: Credentials,
}

impl<'a> Conversation<'a> {
    pub(super) async fn begin(
        http: &'a Client,
        account: &'a RegistrySettings,
        registry: &'a str,
        scopes: &[String],
        plain: &InsecureRegistries,
    ) -> Result<Self, RegistryError> {
        // The account is sent to its own registry only.
        if !is_for_host(account, registry) {
            return Err(refused("the registry", "it is not the configured one"));
        }
        let mut conversation = Self {
            http,
            account,
            registry,
            scheme: "https",
            credentials: Credentials::Anonymous,
        };
        let mut answer = conversation.get_v2_root().await;
        // Fall back to plain HTTP only if the TLS connection failed at once.
        let without_tls = answer.as_ref().is_err_and(reqwest::Error::is_connect);
        if without_tls && plain.has(registry) {
            conversation.scheme = "http";
            answer = conversation.get_v2_root().await;
        }
        let answer = answer.map_err(no_response)?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(conversation);
        }
        let challenge = answer
            .headers()
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(bearer);
        conversation.credentials = match challenge {
            Some((realm, service)) => Credentials::Bearer(
                conversation
                    .token(&realm, service.as_deref(), scopes)
                    .await?,
            ),
            None => Credentials::Basic,
        };
        Ok(conversation)
    }

    async fn get_v2_root(&self) -> Result<Response, reqwest::Error> {
        self.request(Method::GET, "").send().await
    }

    /// Whether the account may go to where the registry has tokens made: in the clear only to a registry that gets
    /// it in the clear anyway.
    fn may_send_account_to(&self, realm: &str) -> bool {
        let own = || {
            realm
                .strip_prefix("http://")
                .and_then(|rest| rest.split('/').next())
                .is_some_and(|host| self.scheme == "http" && host == self.registry)
        };
        realm.starts_with("https://") || own()
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scopes: &[String],
    ) -> Result<SecretString, RegistryError> {
        if !self.may_send_account_to(realm) {
            return Err(refused(
                "the login",
                "the registry names a service without TLS",
            ));
        }
        let mut query: Vec<_> = scopes
            .iter()
            .map(|scope| ("scope", scope.as_str()))
            .collect();
        query.extend(service.map(|service| ("service", service)));
        let answer = self
            .http
            .get(realm)
            .query(&query)
            .basic_auth(
                &self.account.username,
                Some(self.account.password.expose_secret()),
            )
            .send()
            .await
            .map_err(|error| refused("the login", error))?;
        let token: Token = expect("the login", answer, StatusCode::OK)?
            .json()
            .await
            .map_err(|error| refused("the login", error))?;
        token
            .token
            .or(token.access_token)
            .map(SecretString::from)
            .ok_or_else(|| refused("the login", "the answer has no token"))
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        with(self.request(method, path))
            .send()
            .await
            .map_err(no_response)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(
            method,
            format!("{}://{}/v2/{path}", self.scheme, self.registry),
        );
        match &self.credentials {
            Credentials::Anonymous => request,
            Credentials::Basic => request.basic_auth(
                &self.account.username,
                Some(self.account.password.expose_secret()),
            ),
            Credentials::Bearer(token) => request.bearer_auth(token.expose_secret()),
        }
    }

    /// Mounts every blob of a manifest from one repository into another.
    async fn mount_layers(
        &self,
        from: &str,
        to: &str,
        manifest: &Manifest,
    ) -> Result<(), RegistryError> {
        let all = manifest.layers.iter().chain([&manifest.config]);
        let mut wanted: Vec<&str> = all
            // Layers that lie elsewhere are not the registry's.
            .filter(|part| !part.media_type.contains("foreign"))
            .map(|part| part.digest.as_str())
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mounts: Vec<_> = wanted
            .into_iter()
            .map(|digest| self.mount(from, to, digest))
            .collect();
        stream::iter(mounts)
            .buffer_unordered(MAX_CONCURRENT)
            .try_collect::<()>()
            .await
    }

    async fn mount(&self, from: &str, to: &str, digest: &str) -> Result<(), RegistryError> {
        let path = format!("{to}/blobs/uploads/");
        let answer = self
            .ask(Method::POST, &path, |request| {
                request
                    .query(&[("mount", digest), ("from", from)])
                    .body(Bytes::new())
            })
            .await?;
        match answer.status() {
            StatusCode::CREATED => Ok(()),
            // The registry started an upload session instead; unfinished uploads are purged by registries.
            StatusCode::ACCEPTED => Err(RegistryError::NotMounted(digest.to_owned())),
            status => Err(refused("a layer", status)),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
fn no_response(error: reqwest::Error) -> RegistryError {
    refused("the registry", crate::error::source::chain(&error))
}

fn refused(what: &'static str, detail: impl std::fmt::Display) -> RegistryError {
    RegistryError::Refused {
        what,
        detail: detail.to_string(),
    }
}

fn expect(
    what: &'static str,
    answer: Response,
    wanted: StatusCode,
) -> Result<Response, RegistryError> {
    if answer.status() == wanted {
        Ok(answer)
    } else {
        Err(refused(what, answer.status()))
    }
}

/// Realm and service of a `Bearer realm="...",service="..."` challenge.
fn bearer(challenge: &str) -> Option<(String, Option<String>)> {
    let (scheme, parameters) = challenge.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let value = |name: &str| {
        let (_, rest) = parameters.split_once(&format!("{name}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    Some((value("realm")?, value("service")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_challenge_yields_realm_and_service() {
        let text = r#"Bearer realm="https://h.example/service/token",service="harbor-registry""#;
        assert_eq!(
            bearer(text),
            Some((
                "https://h.example/service/token".to_owned(),
                Some("harbor-registry".to_owned())
            ))
        );
        assert_eq!(bearer(r#"Basic realm="x""#), None);
    }
}

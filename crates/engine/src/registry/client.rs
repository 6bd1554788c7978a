//! Speaking to a registry without an engine between: which image a name stands for there, and giving an image that
//! lies there another name (OCI distribution specification 1.1).

use std::time::Duration;

use bytes::Bytes;
use fastbuild_spec::{reference::ImageReference, settings::RegistrySettings};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{Method, StatusCode, header};
use reqwest::{Client, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{InsecureRegistries, registry::are_for};

/// What a tag may name.
const ANY_MANIFEST: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// The manifests of single images. An index is not given a name: what it names would have to come along.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// A manifest is a list of a few hundred digests at most.
const LARGEST_MANIFEST: u64 = 4 << 20;
/// Layers asked for at a time.
const AT_A_TIME: usize = 8;

/// A client of registries. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RegistryClient {
    http: Client,
}

/// Why a registry did not do what it was asked for. No failure of a build: an engine can still pull and build.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry has no such image any more.
    #[error("{0} is not in the registry any more")]
    Gone(String),
    /// The registry did not take a layer over from the other repository.
    #[error("the registry does not take {0} over from the other repository")]
    NotMounted(String),
    /// It did not answer, or otherwise than the specification says.
    #[error("{what}: {detail}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// What came instead.
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

/// How this registry wants to know who asks.
enum Pass {
    Nobody,
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

    /// The digest that `image` has in its registry now (`sha256:...`), of an index where it has several platforms. The
    /// registry is asked with TLS only.
    ///
    /// # Errors
    /// Why it cannot be told; `Gone` when the registry has no such image.
    pub async fn digest_of(
        &self,
        account: &RegistrySettings,
        image: &ImageReference,
    ) -> Result<String, RegistryError> {
        let registry = image.registry().unwrap_or("docker.io");
        let scopes = [reading(image)];
        let with_tls_only = InsecureRegistries::default();
        let conversation =
            Conversation::begin(&self.http, account, registry, &scopes, &with_tls_only).await?;
        let tag = image.digest().unwrap_or(image.tag());
        let path = format!("{}/manifests/{tag}", image.repository());
        let answer = conversation
            .ask(Method::HEAD, &path, |request| {
                request.header(header::ACCEPT, ANY_MANIFEST)
            })
            .await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Err(RegistryError::Gone(image.to_string()));
        }
        let answer = expect("the manifest", answer, StatusCode::OK)?;
        digest_said(&answer)
            .map(str::to_owned)
            .ok_or_else(|| refused("the manifest", "its digest is not told"))
    }

    /// Gives the image `digest` in the repository of `from` the name `to` in the same registry. Its layers are
    /// taken over there; no byte of them moves. A registry that has no TLS is spoken to without it where `plain`
    /// says that this is allowed; the account goes there in the clear then, as it does from the engine.
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
        let mut scopes = vec![format!("repository:{}:pull,push", to.repository())];
        if from.repository() != to.repository() {
            scopes.push(reading(from));
        }
        let conversation =
            Conversation::begin(&self.http, account, registry, &scopes, plain).await?;
        let path = format!("{}/manifests/{digest}", from.repository());
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
            .is_none_or(|length| length > LARGEST_MANIFEST)
        {
            return Err(refused("the manifest", "its length is none of a manifest"));
        }
        let body = answer
            .bytes()
            .await
            .map_err(|error| refused("the manifest", error))?;
        let manifest: Manifest =
            serde_json::from_slice(&body).map_err(|error| refused("the manifest", error))?;
        if from.repository() != to.repository() {
            conversation
                .take_over(from.repository(), to.repository(), &manifest)
                .await?;
        }
        let path = format!("{}/manifests/{}", to.repository(), to.tag());
        let answer = conversation
            .ask(Method::PUT, &path, |request| {
                request
                    .header(header::CONTENT_TYPE, media_type.clone())
                    .body(body.clone())
            })
            .await?;
        let answer = expect("the new name", answer, StatusCode::CREATED)?;
        match digest_said(&answer) {
            Some(said) if said != digest => {
                Err(refused("the new name", format!("it names {said}")))
            }
            _ => Ok(()),
        }
    }
}

/// The scope of a token to read an image (Docker registry token authentication).
fn reading(image: &ImageReference) -> String {
    format!("repository:{}:pull", image.repository())
}

/// The digest of what an answer is about (OCI distribution specification 1.1, `Docker-Content-Digest`).
fn digest_said(answer: &Response) -> Option<&str> {
    let value = answer.headers().get("docker-content-digest")?;
    value.to_str().ok()
}

/// One task at a registry: who asks is settled at its beginning, for all its repositories.
struct Conversation<'a> {
    http: &'a Client,
    account: &'a RegistrySettings,
    registry: &'a str,
    /// `http` once it turned out to have no TLS, and needs none.
    scheme: &'static str,
    pass: Pass,
}

impl<'a> Conversation<'a> {
    async fn begin(
        http: &'a Client,
        account: &'a RegistrySettings,
        registry: &'a str,
        scopes: &[String],
        plain: &InsecureRegistries,
    ) -> Result<Self, RegistryError> {
        // The account is given to its own registry and to no other.
        if !are_for(account, registry) {
            return Err(refused("the registry", "it is not the configured one"));
        }
        let mut conversation = Self {
            http,
            account,
            registry,
            scheme: "https",
            pass: Pass::Nobody,
        };
        let mut answer = conversation.greet().await;
        // One with TLS that does not answer is not waited for once more.
        let without_tls = answer.as_ref().is_err_and(reqwest::Error::is_connect);
        if without_tls && plain.has(registry) {
            conversation.scheme = "http";
            answer = conversation.greet().await;
        }
        let answer = answer.map_err(unanswered)?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(conversation);
        }
        let challenge = answer
            .headers()
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(bearer);
        conversation.pass = match challenge {
            Some((realm, service)) => Pass::Bearer(
                conversation
                    .token(&realm, service.as_deref(), scopes)
                    .await?,
            ),
            None => Pass::Basic,
        };
        Ok(conversation)
    }

    async fn greet(&self) -> Result<Response, reqwest::Error> {
        self.request(Method::GET, "").send().await
    }

    /// Whether the account may go to where the registry has tokens made: in the clear only to a registry that gets
    /// it in the clear anyway.
    fn trusts(&self, realm: &str) -> bool {
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
        if !self.trusts(realm) {
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

    async fn ask(
        &self,
        method: Method,
        path: &str,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        with(self.request(method, path))
            .send()
            .await
            .map_err(unanswered)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(
            method,
            format!("{}://{}/v2/{path}", self.scheme, self.registry),
        );
        match &self.pass {
            Pass::Nobody => request,
            Pass::Basic => request.basic_auth(
                &self.account.username,
                Some(self.account.password.expose_secret()),
            ),
            Pass::Bearer(token) => request.bearer_auth(token.expose_secret()),
        }
    }

    /// Has the registry take everything a manifest names over from one repository into another.
    async fn take_over(
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
            .buffer_unordered(AT_A_TIME)
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
            // It began an upload instead, which nobody will end; registries clear these away.
            StatusCode::ACCEPTED => Err(RegistryError::NotMounted(digest.to_owned())),
            status => Err(refused("a layer", status)),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
fn unanswered(error: reqwest::Error) -> RegistryError {
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
    fn a_challenge_names_where_to_get_a_token() {
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

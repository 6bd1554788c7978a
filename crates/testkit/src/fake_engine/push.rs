//! Pushing: a real, small image to the real registry.

use anyhow::{Context as _, Result, ensure};
use axum::http::HeaderMap;
use base64::{Engine as _, prelude::BASE64_URL_SAFE};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{BUILD_LABEL, FakeEngineState, digest};
use crate::now;

/// A push that an engine was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The image's name with its tag.
    pub image: String,
    /// For which build the image was made, as its label says.
    pub label: String,
    /// When the engine was asked.
    pub began: Timestamp,
    /// When the registry had it; none when it came to nothing.
    pub ended: Option<Timestamp>,
}

impl FakeEngineState {
    /// Pushes an image and remembers that; what the engine says about it.
    pub(super) async fn push(&self, name: &str, headers: &HeaderMap) -> Vec<Value> {
        let image = self.state().images.get(name).cloned();
        let Some(image) = image else {
            let error = format!("An image does not exist locally with the tag: {name}");
            return refused(&error);
        };
        let number = {
            let mut state = self.state();
            state.pushes.push(Push {
                image: name.to_owned(),
                label: image.label(BUILD_LABEL),
                began: now(),
                ended: None,
            });
            state.pushes.len() - 1
        };
        match self.upload(name, image.config.to_string(), headers).await {
            Ok(messages) => {
                self.state().pushes[number].ended = Some(now());
                messages
            }
            Err(error) => refused(&as_the_engine_says(&error)),
        }
    }

    /// Uploads the image's configuration and a manifest without layers (OCI distribution
    /// specification).
    async fn upload(&self, name: &str, config: String, headers: &HeaderMap) -> Result<Vec<Value>> {
        let auth = headers.get("x-registry-auth").context("no account")?;
        let auth: Value = serde_json::from_slice(&BASE64_URL_SAFE.decode(auth)?)?;
        let account = |request: reqwest::RequestBuilder| {
            request.basic_auth(
                auth["username"].as_str().unwrap_or_default(),
                auth["password"].as_str(),
            )
        };
        let (repository, tag) = name.rsplit_once(':').context("a name with a tag")?;
        let (registry, path) = repository
            .split_once('/')
            .context("a name with a registry")?;
        let scheme = match self.behaviour.registry_ca {
            Some(_) => "https",
            None => "http",
        };
        let root = format!("{scheme}://{registry}");
        let id = digest(config.as_bytes());
        let begun = account(
            self.registry
                .post(format!("{root}/v2/{path}/blobs/uploads/")),
        )
        .send()
        .await?
        .error_for_status()?;
        let place = begun
            .headers()
            .get("location")
            .context("an upload without a place")?
            .to_str()?;
        let place = reqwest::Url::parse(&root)?.join(place)?;
        let mut place = reqwest::Url::parse(&format!(
            "{root}{}?{}",
            place.path(),
            place.query().unwrap_or_default()
        ))?;
        place.query_pairs_mut().append_pair("digest", &id);
        let size = config.len();
        account(self.registry.put(place))
            .header("content-type", "application/octet-stream")
            .body(config)
            .send()
            .await?
            .error_for_status()?;
        let media_type = "application/vnd.docker.distribution.manifest.v2+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": size,
                "digest": id,
            },
            "layers": [],
        })
        .to_string();
        let pushed = account(
            self.registry
                .put(format!("{root}/v2/{path}/manifests/{tag}")),
        )
        .header("content-type", media_type)
        .body(manifest.clone())
        .send()
        .await?;
        let status = pushed.status();
        ensure!(
            status.is_success(),
            "received unexpected HTTP status: {status}"
        );
        let digest = digest(manifest.as_bytes());
        let size = manifest.len();
        Ok(vec![
            json!({"status": format!("{tag}: digest: {digest} size: {size}")}),
            json!({"aux": {"Tag": tag, "Digest": digest, "Size": size}}),
        ])
    }
}

fn refused(error: &str) -> Vec<Value> {
    vec![json!({"errorDetail": {"message": error}, "error": error})]
}

/// A registry that cannot be reached or breaks off, in the words an engine has for it.
fn as_the_engine_says(error: &anyhow::Error) -> String {
    match error.downcast_ref::<reqwest::Error>() {
        Some(broken) if broken.status().is_none() => {
            let url = broken.url().map(reqwest::Url::as_str).unwrap_or_default();
            format!("Put \"{url}\": EOF")
        }
        _ => format!("{error:#}"),
    }
}

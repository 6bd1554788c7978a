//! Pushes an image from an engine to its registry.

use bytes::Bytes;
use fastbuild_spec::{reference::ImageReference, settings::RegistrySettings};
use http::{HeaderValue, Method};
use http_body_util::Full;
use serde::Deserialize;

use crate::{
    Engine, EngineError, ProgressSender,
    crash::{self, CrashPoint},
    error::classify::{self, Subject},
    json_stream::StreamError,
    registry::{auth_header, registry_of},
};

/// An image that lies in its registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The manifest's digest, `sha256:...`.
    pub digest: String,
    /// The manifest's bytes, where the engine says them.
    pub manifest_size: Option<u64>,
}

/// The `aux` record that ends a push; engines with containerd's image store leave it out.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PushResult {
    digest: String,
    #[serde(default)]
    size: Option<u64>,
}

impl Engine {
    /// Pushes an image under its name and tag. The credentials are used only if they are for the image's
    /// registry. Dropping the future stops the push.
    ///
    /// # Errors
    /// `PushDenied`, `RegistryLogin`, `RegistryUnavailable`, `Lost`; `Internal` when the engine has no such image.
    pub async fn push(
        &self,
        image: &ImageReference,
        credentials: Option<&RegistrySettings>,
        progress: &ProgressSender,
    ) -> Result<Pushed, EngineError> {
        let path = format!("/images/{}/push?tag={}", image.name(), image.tag());
        // The engine insists on the header even when there is nothing to say.
        let auth = auth_header(image, credentials).unwrap_or(HeaderValue::from_static("e30="));
        let request = self
            .request(Method::POST, &path)
            .await?
            .header("x-registry-auth", auth)
            .body(Full::<Bytes>::default())
            .map_err(|error| self.internal(error.to_string()))?;
        let pushed = async {
            let mut pushed = None;
            let mut messages = self.stream_json(request).await?;
            while let Some(message) = messages.next().await? {
                message.report(progress);
                crash::pass(CrashPoint::Pushing);
                let said = message.status.as_deref().and_then(parse_push_digest);
                let record = message
                    .aux
                    .and_then(|aux| serde_json::from_value::<PushResult>(aux).ok());
                let recorded = record.map(|result| Pushed {
                    digest: result.digest,
                    manifest_size: result.size,
                });
                pushed = recorded.or(said).or(pushed);
            }
            Ok::<_, StreamError>(pushed)
        };
        match pushed.await {
            Ok(Some(pushed)) => Ok(pushed),
            Ok(None) => Err(EngineError::Lost {
                address: self.address().to_owned(),
                detail: format!("the push of {image} ended without saying the digest"),
            }),
            Err(StreamError::Broken(error)) => Err(error),
            Err(StreamError::Refused(message)) => {
                let name = image.to_string();
                let subject = Subject {
                    address: self.address(),
                    image: &name,
                    registry: registry_of(image),
                };
                let error = classify::push_error(subject, &message);
                Err(self
                    .check_login(error, registry_of(image), credentials)
                    .await)
            }
        }
    }
}

/// The digest in the line every engine ends a push with: `TAG: digest: sha256:... size: N`.
fn parse_push_digest(status: &str) -> Option<Pushed> {
    let (_, result) = status.split_once(": digest: ")?;
    let (digest, size) = result.split_once(" size: ")?;
    digest.starts_with("sha256:").then(|| Pushed {
        digest: digest.to_owned(),
        manifest_size: size.trim().parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn push_digest_is_read_from_the_last_status_line() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let pushed = parse_push_digest(&format!("v1: digest: {digest} size: 529"));
        assert_eq!(
            pushed,
            Some(Pushed {
                digest,
                manifest_size: Some(529)
            })
        );
        assert_eq!(
            parse_push_digest("The push refers to repository [r.example/a]"),
            None
        );
    }
}

//! Whether an account may write to a repository, found out without writing anything.

use bytes::Bytes;
use fastbuild_spec::{reference::ImageReference, settings::RegistrySettings};
use http::{Method, StatusCode, header};

use super::client::{Conversation, RegistryClient, RegistryError};
use crate::InsecureRegistries;

/// What a registry said to an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushCheck {
    /// Whether it began one; `Err` is the status it refused with.
    pub allowed: Result<(), u16>,
    /// The time by its own clock (RFC 9110, section 6.6.1), as it wrote it.
    pub date: Option<String>,
}

impl RegistryClient {
    /// Begins an upload to the repository of `image` and cancels it (OCI distribution specification 1.1, "Pushing a
    /// blob in chunks"). Nothing is left in the registry.
    ///
    /// # Errors
    /// [`RegistryError`] when the registry does not answer or refuses the account.
    pub async fn check_push(
        &self,
        account: &RegistrySettings,
        image: &ImageReference,
        insecure: &InsecureRegistries,
    ) -> Result<PushCheck, RegistryError> {
        let registry = image.registry().unwrap_or("docker.io");
        let scopes = [format!("repository:{}:pull,push", image.path())];
        let conversation =
            Conversation::begin(&self.http, account, registry, &scopes, insecure).await?;
        let path = format!("{}/blobs/uploads/", image.path());
        let answer = conversation
            .ask(Method::POST, &path, |request| request.body(Bytes::new()))
            .await?;
        let header = |name| {
            let value = answer.headers().get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        let (date, location) = (header(header::DATE), header(header::LOCATION));
        let status = answer.status();
        if status != StatusCode::ACCEPTED {
            let allowed = Err(status.as_u16());
            return Ok(PushCheck { allowed, date });
        }
        // Registries purge what is not cancelled.
        let upload = location.as_deref().and_then(|at| at.split_once("/v2/"));
        if let Some((_, upload)) = upload {
            let cancelled = conversation
                .ask(Method::DELETE, upload, |request| request)
                .await;
            if let Err(error) = cancelled {
                tracing::debug!(%error, registry, "failed to cancel an upload");
            }
        }
        Ok(PushCheck {
            allowed: Ok(()),
            date,
        })
    }
}

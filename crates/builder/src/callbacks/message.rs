//! The callback that tells how a build ended: its address, headers and body.

use fastbuild_spec::{callback::CallbackBody, failure::Failure, settings::CallbackHeaders};
use fastbuild_store::{Build, NewDelivery};
use jiff::Timestamp;

use crate::{callbacks::Callbacks, clock::local_time, common::internal};

impl Callbacks {
    /// The headers of callbacks that are in force.
    pub(crate) async fn headers(&self) -> Result<CallbackHeaders, Failure> {
        let settings = self.common.store.settings().await?;
        Ok(settings.callback_headers)
    }
}

/// The callback of a build in its end state; `None` where nobody is to be told.
pub(crate) fn callback_of(
    build: &Build,
    headers: &CallbackHeaders,
    now: Timestamp,
) -> Option<NewDelivery> {
    if build.callback_url.is_empty() {
        return None;
    }
    let mut body = CallbackBody::new(&build.target_image, build.id, build.state);
    body.task_name = (!build.name.is_empty()).then(|| build.name.clone());
    body.digest.clone_from(&build.digest);
    body.size = build.image_size;
    body.finished_at = Some(local_time(now));
    if let Some(failure) = &build.failure {
        body = body.failed_because(failure);
    }
    match serde_json::to_string(&body) {
        Ok(body) => Some(NewDelivery {
            url: build.callback_url.clone(),
            headers: headers.clone().into(),
            body,
        }),
        Err(error) => {
            internal(&error);
            None
        }
    }
}

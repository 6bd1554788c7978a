//! Pushing what was built: by itself, and again by itself when the registry breaks off.

use fastbuild_engine::{
    ProgressSender, Pushed,
    crash::{self, CrashPoint},
};
use fastbuild_spec::failure::{Failure, ReasonCode};

use crate::{images::log, worker::attempt::Attempt};

impl Attempt<'_> {
    /// Pushes the image under its name. A registry that cannot be reached, or breaks off in the middle, is tried
    /// again; the image lies on the engine and is not built again for it.
    pub(crate) async fn push(&self, progress: &ProgressSender) -> Result<Pushed, Failure> {
        let target = &self.claimed.spec.target;
        let ours = self.context.registry.is_ours(target.host());
        let credentials = ours.then_some(&self.context.registry);
        let mut waits = self.builder.options().builds.push_retry_delays.iter();
        crash::pass(CrashPoint::BeforePush);
        loop {
            let failure = match self
                .context
                .engine
                .push(target, credentials, progress)
                .await
            {
                Ok(pushed) => return Ok(pushed),
                Err(error) => error.failure(),
            };
            let wait = waits.next();
            let (ReasonCode::RegistryUnavailable, Some(wait)) = (failure.code, wait) else {
                return Err(failure);
            };
            log(
                progress,
                &format!(
                    "{} The image is pushed again in {} seconds.\n",
                    failure.message.en,
                    wait.as_secs()
                ),
            );
            tokio::time::sleep(*wait).await;
        }
    }
}

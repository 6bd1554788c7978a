//! Watches the registry while it is down: builds wait in the queue until it answers again.
//!
//! A build that cannot pull or push has an engine log in at once. Where that fails too, the registry
//! is down: no build is started, and the login is repeated until it succeeds. In a good case nothing
//! is polled.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fastbuild_spec::failure::{Failure, ReasonCode, Sentence};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    background::{Nudge, every},
    common::Common,
    engines::{Engines, context::EngineContext},
};

/// How often the login is repeated while the registry is down.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How long one login may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// A time in which the registry is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegistryOutage {
    since: Timestamp,
    failure: Failure,
}

impl RegistryOutage {
    /// Whether it has lasted for so long that builds no longer wait.
    fn is_given_up(&self, patience: Duration, now: Timestamp) -> bool {
        SignedDuration::try_from(patience)
            .is_ok_and(|patience| now.duration_since(self.since) >= patience)
    }

    /// What a waiting build says.
    pub(crate) fn sentence(&self) -> Sentence {
        let (since, message) = (self.since, &self.failure.message);
        Sentence::new(
            format!("自 {since} 起等待镜像仓库：{}", message.zh),
            format!("Waiting for the registry since {since}: {}", message.en),
        )
    }
}

/// Whether the registry is down, as this process found out. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RegistryMonitor {
    common: Common,
    engines: Engines,
    outage: Arc<Mutex<Option<RegistryOutage>>>,
    check_wanted: Arc<Notify>,
    /// Counts the changes of `outage`.
    changes: Arc<watch::Sender<u64>>,
}

impl RegistryMonitor {
    pub(crate) fn new(common: Common, engines: Engines) -> Self {
        Self {
            common,
            engines,
            outage: Arc::default(),
            check_wanted: Arc::default(),
            changes: Arc::new(watch::channel(0).0),
        }
    }

    /// The outage that builds wait for; `None` while the registry answers, and once it has been
    /// down for too long.
    pub(crate) fn outage(&self) -> Option<RegistryOutage> {
        let outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = self.common.options.limits.engine_return;
        outage
            .clone()
            .filter(|outage| !outage.is_given_up(patience, self.common.now()))
    }

    /// A build could not use the registry: the outage it is to wait for, if an engine cannot log in
    /// either.
    pub(crate) async fn report_unavailable(
        &self,
        context: &EngineContext,
    ) -> Option<RegistryOutage> {
        self.check(context).await;
        self.outage()
    }

    /// Waits until the registry answers, or is given up. Returns at once where it answers.
    pub(crate) async fn available(&self) {
        // Subscribed before the first look, so that no change in between is missed.
        let mut changes = self.changes.subscribe();
        while self.outage().is_some() {
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
        }
    }

    /// Repeats the login while the registry is down, until `shutdown`.
    pub(crate) async fn monitor(self, shutdown: CancellationToken) {
        let nudge = Nudge::none().or_by(&self.check_wanted);
        Box::pin(every(CHECK_INTERVAL, nudge, &shutdown, || async {
            let is_down = self
                .outage
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_some();
            if !is_down {
                return;
            }
            // Without an engine nothing can be said of the registry.
            if let Ok(context) = self.engines.available_context().await {
                shutdown.run_until_cancelled(self.check(&context)).await;
            }
        }))
        .await;
    }

    /// Has an engine log in, and remembers what came of it.
    async fn check(&self, context: &EngineContext) {
        let login = context.engine.login(&context.registry);
        let failure = match tokio::time::timeout(CHECK_TIMEOUT, login).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.failure()),
            Err(_elapsed) => Some(no_answer(&context.registry.registry)),
        };
        // Anything else says nothing about whether the registry is there.
        if failure
            .as_ref()
            .is_some_and(|failure| failure.code != ReasonCode::RegistryUnavailable)
        {
            return;
        }
        self.set(failure);
    }

    fn set(&self, failure: Option<Failure>) {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*outage, failure) {
            (None, Some(failure)) => {
                tracing::warn!(%failure, "registry is down; builds wait for it");
                let since = self.common.now();
                *outage = Some(RegistryOutage { since, failure });
            }
            (Some(_), None) => {
                tracing::info!("registry answers again");
                *outage = None;
            }
            _ => return,
        }
        drop(outage);
        self.changes.send_modify(|changes| *changes += 1);
    }
}

fn no_answer(registry: &str) -> Failure {
    let seconds = CHECK_TIMEOUT.as_secs();
    Failure::new(
        ReasonCode::RegistryUnavailable,
        format!("镜像仓库 {registry} 在 {seconds} 秒内没有响应登录。"),
        format!("The registry {registry} did not answer a login within {seconds} seconds."),
    )
    .with_culprit(registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_given_up_after_its_patience_and_says_since_when_it_lasts() {
        let outage = RegistryOutage {
            since: "2026-11-30T10:00:00Z".parse().unwrap(),
            failure: Failure::new(ReasonCode::RegistryUnavailable, "连接被拒绝。", "Refused."),
        };
        let patience = Duration::from_mins(1);
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert!(!outage.is_given_up(patience, at("2026-11-30T10:00:59Z")));
        assert!(outage.is_given_up(patience, at("2026-11-30T10:01:00Z")));
        assert_eq!(
            outage.sentence(),
            Sentence::new(
                "自 2026-11-30T10:00:00Z 起等待镜像仓库：连接被拒绝。",
                "Waiting for the registry since 2026-11-30T10:00:00Z: Refused."
            )
        );
    }
}

//! Checks every few seconds whether the engines answer.
//!
//! An engine that does not answer gets no builds, and those that run there are requeued; it takes
//! builds again as soon as it answers. A build that loses its engine reports it at once: the engine
//! gets no further builds until a check that began after that is answered.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fastbuild_engine::EngineLimits;
use fastbuild_spec::failure::{Failure, ReasonCode};
use fastbuild_store::{HealthState, NamedEngine};
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::health::HealthTracker;

use crate::{
    background::{Nudge, every},
    engines::{Engines, context::engine_within},
};

/// From one round of checks to the next.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How long a check may take.
const CHECK_TIMEOUTS: EngineLimits = EngineLimits {
    connect: Duration::from_secs(3),
    request: Duration::from_secs(4),
    probe: Duration::from_secs(4),
};

/// The health of the engines as this process sees it, by name.
#[derive(Debug, Default)]
pub(crate) struct EngineMonitor {
    engines: Mutex<HashMap<String, HealthTracker>>,
    /// Notified when the next round is not to wait.
    check_wanted: Arc<Notify>,
    /// Held while health is reported, so that the last report is the newest.
    reporting: tokio::sync::Mutex<()>,
}

impl EngineMonitor {
    fn locked(&self) -> MutexGuard<'_, HashMap<String, HealthTracker>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancelled once builds on the engine are to be requeued.
    pub(crate) fn away(&self, engine: &str, now: Timestamp) -> CancellationToken {
        self.known(engine, now, |health| health.away.clone())
    }

    /// An engine that was not checked yet is added: another process may have created it.
    fn known<T>(
        &self,
        engine: &str,
        now: Timestamp,
        look: impl FnOnce(&mut HealthTracker) -> T,
    ) -> T {
        let mut engines = self.locked();
        look(
            engines
                .entry(engine.to_owned())
                .or_insert_with(|| HealthTracker::new(None, now)),
        )
    }

    /// Checks the engines without waiting: there may be another one.
    pub(crate) fn check_now(&self) {
        self.check_wanted.notify_one();
    }

    /// Whether the last checks of the engine failed.
    pub(crate) fn is_down(&self, engine: &str) -> bool {
        let engines = self.locked();
        let health = engines.get(engine);
        health.is_some_and(|health| health.state == HealthState::Down)
    }

    /// Whether the engine has been down for so long that builds no longer wait for it.
    pub(crate) fn is_given_up(&self, engine: &str, now: Timestamp) -> bool {
        let engines = self.locked();
        let given_up_at = engines.get(engine).and_then(|health| health.given_up_at);
        given_up_at.is_some_and(|at| at <= now)
    }

    /// Why the engine is down.
    pub(crate) fn why_unreachable(&self, engine: &str) -> Failure {
        let engines = self.locked();
        let known = engines
            .get(engine)
            .and_then(|health| health.failure.clone());
        known.unwrap_or_else(|| {
            Failure::new(
                ReasonCode::EngineLost,
                format!("引擎 {engine} 不再响应。"),
                format!("The engine {engine} does not answer any more."),
            )
        })
    }
}

impl Engines {
    /// Checks the engines at intervals until `shutdown`.
    pub(crate) async fn monitor_all(self, shutdown: CancellationToken) {
        let nudge = Nudge::none().or_by(&self.monitor().check_wanted);
        Box::pin(every(CHECK_INTERVAL, nudge, &shutdown, || async {
            shutdown.run_until_cancelled(self.check_all()).await;
        }))
        .await;
    }

    /// Checks every engine.
    pub(crate) async fn check_all(&self) {
        let engines = match self.common.store.engines().await {
            Ok(engines) => engines,
            Err(error) => {
                tracing::error!(%error, "failed to list the engines");
                return;
            }
        };
        let now = self.common.now();
        {
            let mut monitored = self.monitor().locked();
            monitored.retain(|name, _| engines.iter().any(|engine| engine.name == *name));
            for engine in &engines {
                let asked = Some(engine.revision);
                let health = monitored
                    .entry(engine.name.clone())
                    .or_insert_with(|| HealthTracker::new(asked, now));
                // With another address it is another engine.
                if *health.revision.get_or_insert(engine.revision) != engine.revision {
                    *health = HealthTracker::new(asked, now);
                }
            }
        }
        join_all(engines.iter().map(|engine| self.check_engine(engine))).await;
    }

    async fn check_engine(&self, engine: &NamedEngine) {
        let name = engine.name.as_str();
        let Some(losses) = self
            .monitor()
            .locked()
            .get(name)
            .map(|health| health.losses)
        else {
            return;
        };
        let Some(answer) = self.ping_engine(name).await else {
            return;
        };
        let now = self.common.now();
        let transition = {
            let mut monitored = self.monitor().locked();
            let Some(health) = monitored.get_mut(name) else {
                return;
            };
            if health.revision != Some(engine.revision) {
                return;
            }
            let given_up_after = self.common.options.limits.engine_return;
            health.apply(answer, losses, given_up_after, now)
        };
        if transition.lost {
            let failure = self.monitor().why_unreachable(name);
            tracing::warn!(engine = name, %failure, "engine does not answer; requeueing its builds");
        }
        if transition.report {
            self.report_health(name).await;
        }
        if transition.recovered {
            tracing::info!(engine = name, "engine answers again");
            self.wake_orphan_sweep();
        }
    }

    /// Pings an engine; `None` when it was removed or its address cannot be read.
    async fn ping_engine(&self, name: &str) -> Option<Result<(), Failure>> {
        let settings = match self.common.store.engine_settings(name).await {
            Ok(settings) => settings?,
            Err(error) => {
                tracing::error!(engine = name, %error, "failed to read the engine's address");
                return None;
            }
        };
        let answer = match engine_within(&settings.server, CHECK_TIMEOUTS) {
            Ok(engine) => engine.answers().await.map_err(|error| error.failure()),
            Err(failure) => Err(failure),
        };
        Some(answer)
    }

    /// Why the engine does not answer at this moment; `None` when it does.
    pub(crate) async fn unreachable(&self, name: &str) -> Option<Failure> {
        self.ping_engine(name).await?.err()
    }

    /// A build lost its engine: the engine gets no further builds before its next check.
    pub(crate) async fn report_lost(&self, name: &str, failure: &Failure) {
        let now = self.common.now();
        let given_up_after = self.common.options.limits.engine_return;
        self.monitor().known(name, now, |health| {
            health.lost(failure.clone(), given_up_after, now);
        });
        tracing::warn!(engine = name, %failure, "build lost its engine");
        self.report_health(name).await;
        self.monitor().check_now();
    }

    /// Reports the health of an engine to the other replicas.
    async fn report_health(&self, name: &str) {
        let _one_at_a_time = self.monitor().reporting.lock().await;
        let health = self
            .monitor()
            .locked()
            .get(name)
            .map(|one| one.health(name));
        let Some(health) = health else {
            return;
        };
        let reported = self
            .common
            .store
            .note_health(&self.common.options.worker, &health, self.common.now())
            .await;
        if let Err(error) = reported {
            tracing::error!(engine = name, %error, "failed to write engine health");
        }
    }
}

//! Whether the engines answer: each is asked every few seconds.
//!
//! An engine that does not answer takes no builds, and those that run there are given back to the
//! queue; it returns by itself as soon as it answers again. A build that loses its engine says so
//! at once: the engine takes no further builds until a question that was asked after that is
//! answered.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
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
use crate::engines::{Engines, context::engine_within};

/// From one round of questions to the next.
const EVERY: Duration = Duration::from_secs(2);
/// How long the answer to a question may take.
const LIMITS: EngineLimits = EngineLimits {
    connect: Duration::from_secs(3),
    request: Duration::from_secs(4),
    probe: Duration::from_secs(4),
};

/// How this process finds the engines, by name.
#[derive(Debug, Default)]
pub(crate) struct EngineMonitor {
    engines: Mutex<HashMap<String, HealthTracker>>,
    /// Rings when the next round is not to wait.
    soon: Notify,
    /// Held while others are told, so that what they were told last is what is known last.
    telling: tokio::sync::Mutex<()>,
}

impl EngineMonitor {
    fn locked(&self) -> MutexGuard<'_, HashMap<String, HealthTracker>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancelled once the engine is away; for a build that runs there.
    pub(crate) fn away(&self, engine: &str, now: Timestamp) -> CancellationToken {
        self.known(engine, now, |watch| watch.away.clone())
    }

    /// One that was not asked yet is known from now on: another process may have added it.
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

    /// Asks the engines anew without waiting: there may be another one.
    pub(crate) fn check_now(&self) {
        self.soon.notify_one();
    }

    /// Whether the engine was found not to answer.
    pub(crate) fn is_down(&self, engine: &str) -> bool {
        let engines = self.locked();
        let watch = engines.get(engine);
        watch.is_some_and(|watch| watch.state == HealthState::Down)
    }

    /// Whether the engine has not answered for so long that nobody waits for it any more.
    pub(crate) fn is_given_up(&self, engine: &str, now: Timestamp) -> bool {
        let engines = self.locked();
        let given_up_at = engines.get(engine).and_then(|watch| watch.given_up_at);
        given_up_at.is_some_and(|at| at <= now)
    }

    /// Why an engine is away.
    pub(crate) fn why_unreachable(&self, engine: &str) -> Failure {
        let engines = self.locked();
        let known = engines.get(engine).and_then(|watch| watch.failure.clone());
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
    /// Asks the engines again and again until `shutdown`.
    pub(crate) async fn watch(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = self.check_all() => {}
                () = shutdown.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = self.monitor().soon.notified() => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Asks every engine whether it is there.
    pub(crate) async fn check_all(&self) {
        let engines = match self.common.store.engines().await {
            Ok(engines) => engines,
            Err(error) => {
                tracing::error!(%error, "the engines cannot be asked, as their list cannot be read");
                return;
            }
        };
        let now = self.common.now();
        {
            let mut watched = self.monitor().locked();
            watched.retain(|name, _| engines.iter().any(|engine| engine.name == *name));
            for engine in &engines {
                let asked = Some(engine.revision);
                let watch = watched
                    .entry(engine.name.clone())
                    .or_insert_with(|| HealthTracker::new(asked, now));
                // At another address it is another engine.
                if *watch.revision.get_or_insert(engine.revision) != engine.revision {
                    *watch = HealthTracker::new(asked, now);
                }
            }
        }
        join_all(engines.iter().map(|engine| self.check_engine(engine))).await;
    }

    async fn check_engine(&self, engine: &NamedEngine) {
        let name = engine.name.as_str();
        let Some(losses) = self.monitor().locked().get(name).map(|watch| watch.losses) else {
            return;
        };
        let Some(answer) = self.ask(name).await else {
            return;
        };
        let now = self.common.now();
        let heard = {
            let mut watched = self.monitor().locked();
            let Some(watch) = watched.get_mut(name) else {
                return;
            };
            if watch.revision != Some(engine.revision) {
                return;
            }
            let patience = self.common.options.limits.engine_return;
            watch.hear(answer, losses, patience, now)
        };
        if heard.left {
            let failure = self.monitor().why_unreachable(name);
            tracing::warn!(engine = name, %failure, "the engine is away; its builds go back to the queue");
        }
        if heard.tell {
            self.tell(name).await;
        }
        if heard.returned {
            tracing::info!(engine = name, "the engine answers again");
            self.wake_orphan_sweep();
        }
    }

    /// Asks an engine whether it is there; `None` when that could not be done for another reason:
    /// it was removed, or its address cannot be read.
    async fn ask(&self, name: &str) -> Option<Result<(), Failure>> {
        let settings = match self.common.store.engine_settings(name).await {
            Ok(settings) => settings?,
            Err(error) => {
                tracing::error!(engine = name, %error, "the engine's address cannot be read");
                return None;
            }
        };
        let answer = match engine_within(&settings.server, LIMITS) {
            Ok(engine) => engine.answers().await.map_err(|error| error.failure()),
            Err(failure) => Err(failure),
        };
        Some(answer)
    }

    /// Whether the engine does not answer at this moment.
    pub(crate) async fn unreachable(&self, name: &str) -> Option<Failure> {
        self.ask(name).await?.err()
    }

    /// A build lost its engine: it gets no further one before it was asked once more.
    pub(crate) async fn report_lost(&self, name: &str, failure: &Failure) {
        let now = self.common.now();
        let patience = self.common.options.limits.engine_return;
        self.monitor().known(name, now, |watch| {
            watch.lost(failure.clone(), patience, now);
        });
        tracing::warn!(engine = name, %failure, "a build lost the engine");
        self.tell(name).await;
        self.monitor().check_now();
    }

    /// Tells others how an engine is.
    async fn tell(&self, name: &str) {
        let _one_at_a_time = self.monitor().telling.lock().await;
        let health = self
            .monitor()
            .locked()
            .get(name)
            .map(|one| one.health(name));
        let Some(health) = health else {
            return;
        };
        let told = self
            .common
            .store
            .note_health(&self.common.options.worker, &health, self.common.now())
            .await;
        if let Err(error) = told {
            tracing::error!(engine = name, %error, "how the engine is could not be written");
        }
    }
}

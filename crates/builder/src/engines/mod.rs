//! The engines as operators see them: adding, changing, draining, removing and proving them.

mod build_image;
pub(crate) mod context;
mod health;
pub(crate) mod labels;
pub(crate) mod monitor;
mod orphans;

use std::{sync::Arc, time::Duration};

use fastbuild_engine::EngineInfo;
use fastbuild_spec::{
    failure::{Failure, FieldError, ReasonCode, Sentence},
    settings::{self, DockerServerSettings, EnginePatch},
};
use fastbuild_store::{DEFAULT_ENGINE, EngineChange, NamedEngine, NewEngine, RemoveOutcome};
use serde_json::Value;
use tokio::{sync::Notify, time::Instant};

use crate::{
    common::Common,
    engines::{
        context::{engine, no_such_engine, prove},
        labels::Labels,
        monitor::EngineMonitor,
    },
};

/// What an engine answered when it was proven.
#[derive(Debug, Clone)]
pub struct ProvenEngine {
    /// What it is.
    pub info: EngineInfo,
    /// How long it took to say so, the connection included.
    pub answered_in: Duration,
    /// The registry it logged in to, and how long that took; `None` before one is configured.
    pub login: Option<(String, Duration)>,
}

/// The Docker Engines: where builds run, and what operators do with them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engines {
    common: Common,
    labels: Arc<Labels>,
    monitor: Arc<EngineMonitor>,
    orphan_sweep_wanted: Arc<Notify>,
}

impl Engines {
    pub(crate) fn new(common: Common) -> Self {
        Self {
            labels: Arc::new(Labels::new(common.store.installation())),
            monitor: Arc::default(),
            orphan_sweep_wanted: Arc::default(),
            common,
        }
    }

    /// The labels of what is made on engines.
    pub(crate) fn labels(&self) -> &Arc<Labels> {
        &self.labels
    }

    /// This process's own name.
    pub(crate) fn process(&self) -> &str {
        self.labels.process()
    }

    /// How this process finds the engines.
    pub(crate) fn monitor(&self) -> &EngineMonitor {
        &self.monitor
    }

    /// Checks and sweeps the engines without waiting: there is another one, or one has moved.
    pub(crate) fn changed(&self) {
        self.monitor.check_now();
        self.wake_orphan_sweep();
    }

    /// Wakes the orphan sweep: there is another engine, one returned, or a lost attempt may have
    /// left an image.
    pub(crate) fn wake_orphan_sweep(&self) {
        self.orphan_sweep_wanted.notify_one();
    }

    /// One engine.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, name: &str) -> Result<NamedEngine, Failure> {
        let engines = self.common.store.engines().await;
        let engines = engines?;
        let found = engines.into_iter().find(|engine| engine.name == name);
        found.ok_or_else(|| no_such_engine(name))
    }

    /// Parses, proves and adds an engine.
    ///
    /// # Errors
    /// `SpecInvalid` naming every bad field; `WrongState` when one of its name or address is there
    /// already; what the engine or the registry answered.
    pub async fn add(&self, body: &Value) -> Result<NamedEngine, Failure> {
        let asked = settings::parse_engine(body)?;
        if asked.name == DEFAULT_ENGINE {
            return Err(Failure::invalid_fields(&[set_elsewhere("/name")]));
        }
        let new = NewEngine {
            name: asked.name,
            server: DockerServerSettings {
                host: asked.host,
                port: asked.port,
                tls: asked.tls,
            },
            capacity: asked
                .capacity
                .unwrap_or(self.common.options.limits.builds_per_engine),
            labels: asked.labels,
        };
        self.prove_server(&new.server).await?;
        let (name, address) = (new.name.clone(), address(&new.server));
        let change = self.common.store.add_engine(new, self.common.now()).await;
        self.applied(&name, &address, change?)?;
        tracing::info!(engine = name, address, "engine added");
        self.get(&name).await
    }

    /// Parses and makes changes of an engine; one whose address or keys change is proven first.
    ///
    /// # Errors
    /// As [`Builder::add_engine`], and `NotFound`. Of the default engine only the capacity and the
    /// labels can change here.
    pub async fn change(&self, name: &str, body: &Value) -> Result<NamedEngine, Failure> {
        let patch = settings::parse_engine_patch(body)?;
        let present = self.get(name).await?;
        let moves = moves(&patch);
        if name == DEFAULT_ENGINE && !moves.is_empty() {
            return Err(Failure::invalid_fields(
                &moves.into_iter().map(set_elsewhere).collect::<Vec<_>>(),
            ));
        }
        let settings = self
            .common
            .store
            .engine_settings(name)
            .await?
            .ok_or_else(|| no_such_engine(name))?;
        let new = NewEngine {
            name: name.to_owned(),
            server: DockerServerSettings {
                host: patch.host.unwrap_or(settings.server.host),
                port: patch.port.unwrap_or(settings.server.port),
                tls: patch.tls.unwrap_or(settings.server.tls),
            },
            capacity: patch.capacity.unwrap_or(present.capacity),
            labels: patch.labels.unwrap_or(present.labels),
        };
        if !moves.is_empty() {
            self.prove_server(&new.server).await?;
        }
        let address = address(&new.server);
        let change = self
            .common
            .store
            .change_engine(new, self.common.now())
            .await;
        self.applied(name, &address, change?)?;
        tracing::info!(engine = name, address, "engine changed");
        self.get(name).await
    }

    /// Keeps an engine from taking further builds, or lets it take them again. Builds that run
    /// there end there.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn drain(&self, name: &str, draining: bool) -> Result<NamedEngine, Failure> {
        self.get(name).await?;
        let now = self.common.now();
        let change = self.common.store.drain_engine(name, draining, now).await;
        self.applied(name, "", change?)?;
        tracing::info!(engine = name, draining, "engine drained or undrained");
        self.get(name).await
    }

    /// Removes an engine. Its history stays.
    ///
    /// # Errors
    /// `NotFound`; `InUse` while builds run there; `WrongState` for the default engine.
    pub async fn remove(&self, name: &str) -> Result<(), Failure> {
        if name == DEFAULT_ENGINE {
            return Err(Failure::new(
                ReasonCode::WrongState,
                "引擎 default 是通过 config-fastbuild 配置的 Docker 服务器，不能删除。",
                "The engine default is the Docker server that config-fastbuild sets; it cannot be \
                 removed.",
            )
            .with_hint(
                "可以调用 POST /api/v1/engines/default/drain，使其不再接受任务。",
                "POST /api/v1/engines/default/drain keeps it from taking builds.",
            ));
        }
        let outcome = self
            .common
            .store
            .remove_engine(name, self.common.now())
            .await;
        match outcome? {
            RemoveOutcome::Removed => {
                tracing::info!(engine = name, "engine removed");
                Ok(())
            }
            RemoveOutcome::NotFound => Err(no_such_engine(name)),
            RemoveOutcome::InUse(running) => Err(Failure::new(
                ReasonCode::InUse,
                format!("引擎 {name} 上有 {running} 个任务正在执行，不能删除。"),
                format!("The engine {name} cannot be removed: builds run on it ({running})."),
            )
            .with_culprit(name)
            .with_hint(
                format!("请先调用 POST /api/v1/engines/{name}/drain，等任务结束后再删除。"),
                format!(
                    "POST /api/v1/engines/{name}/drain keeps it from taking further builds; \
                     remove it once they have ended."
                ),
            )),
        }
    }

    /// Asks an engine who it is, and has it log in to the registry.
    ///
    /// # Errors
    /// `NotFound`, or what the engine or the registry answered.
    pub async fn prove(&self, name: &str) -> Result<ProvenEngine, Failure> {
        let settings = self
            .common
            .store
            .engine_settings(name)
            .await?
            .ok_or_else(|| no_such_engine(name))?;
        let engine = engine(&settings.server)?;
        let asked = Instant::now();
        let info = engine.ping().await.map_err(|error| error.failure())?;
        let answered_in = asked.elapsed();
        let settings = self.common.store.settings().await;
        let login = match settings?.registry {
            Some(registry) => {
                let asked = Instant::now();
                let login = engine.login(&registry).await;
                login.map_err(|error| error.failure())?;
                Some((registry.registry, asked.elapsed()))
            }
            None => None,
        };
        Ok(ProvenEngine {
            info,
            answered_in,
            login,
        })
    }

    async fn prove_server(&self, server: &DockerServerSettings) -> Result<(), Failure> {
        let settings = self.common.store.settings().await;
        let settings = settings?;
        prove(server, settings.registry.as_ref()).await
    }

    /// What follows from a change, or why there was none.
    fn applied(&self, name: &str, address: &str, change: EngineChange) -> Result<(), Failure> {
        match change {
            EngineChange::Done => {
                self.changed();
                Ok(())
            }
            EngineChange::NotFound => Err(no_such_engine(name)),
            EngineChange::Exists => Err(Failure::new(
                ReasonCode::WrongState,
                format!("已经有名为 {name} 的引擎。"),
                format!("There is an engine named {name} already."),
            )
            .with_culprit(name)
            .with_hint(
                format!("请换一个名称，或用 PATCH /api/v1/engines/{name} 修改它。"),
                format!("Choose another name, or change it with PATCH /api/v1/engines/{name}."),
            )),
            EngineChange::AddressTaken(other) => Err(Failure::new(
                ReasonCode::WrongState,
                format!("地址 {address} 已经是引擎 {other} 的地址。"),
                format!("The address {address} is the engine {other}'s already."),
            )
            .with_culprit(other.clone())
            .with_hint(
                format!("如需同时执行更多任务，请提高引擎 {other} 的 capacity。"),
                format!("For more builds at a time raise the capacity of the engine {other}."),
            )),
        }
    }
}

fn address(server: &DockerServerSettings) -> String {
    fastbuild_spec::settings::host_and_port(&server.host, server.port)
}

/// The fields of a patch by which an engine is reached otherwise.
fn moves(patch: &EnginePatch) -> Vec<&'static str> {
    [
        ("/host", patch.host.is_some()),
        ("/port", patch.port.is_some()),
        ("/tls", patch.tls.is_some()),
    ]
    .into_iter()
    .filter_map(|(pointer, given)| given.then_some(pointer))
    .collect()
}

/// The refusal of a field of the default engine.
fn set_elsewhere(pointer: &str) -> FieldError {
    FieldError::without_value(
        pointer,
        Sentence::new(
            "不能在此设置：引擎 default 是通过 POST /api/fast-build/config/config-fastbuild 配置的 Docker 服务器",
            "is not set here: the engine default is the Docker server that POST \
             /api/fast-build/config/config-fastbuild sets",
        ),
    )
}

//! Where builds run: an engine and the registry in force, with the revisions of both.

use fastbuild_engine::{Endpoint, Engine, EngineLimits, verify_registry};
use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    settings::{DockerServerSettings, RegistrySettings, Settings},
};
use fastbuild_store::{DEFAULT_ENGINE, HealthState, SettingsRevisions};

use crate::engines::Engines;

/// An engine and the registry in force.
#[derive(Debug, Clone)]
pub(crate) struct EngineContext {
    /// The engine's name.
    pub(crate) name: String,
    pub(crate) engine: Engine,
    pub(crate) registry: RegistrySettings,
    /// Which settings rows these are; a build records them.
    pub(crate) revisions: SettingsRevisions,
}

impl Engines {
    /// The default engine and the registry, or a refusal that lists what is missing.
    pub(crate) async fn default_context(&self) -> Result<EngineContext, Failure> {
        self.context(DEFAULT_ENGINE).await
    }

    /// The engine of a name and the registry, or a refusal that lists what is missing.
    ///
    /// # Errors
    /// `NotConfigured`; `NotFound` for an engine that is not there any more.
    pub(crate) async fn context(&self, name: &str) -> Result<EngineContext, Failure> {
        let (settings, mut revisions) = self.common.store.settings_in_force().await?;
        let missing = missing(&settings);
        let (Some(registry), Some(server), []) = (
            settings.registry,
            settings.docker_server,
            missing.as_slice(),
        ) else {
            return Err(not_configured(&missing));
        };
        let server = if name == DEFAULT_ENGINE {
            server
        } else {
            let named = self
                .common
                .store
                .engine_settings(name)
                .await?
                .ok_or_else(|| no_such_engine(name))?;
            revisions.engine = Some(named.revision);
            named.server
        };
        Ok(EngineContext {
            name: name.to_owned(),
            engine: engine(&server)?,
            registry,
            revisions,
        })
    }

    /// Every engine, each with the registry.
    ///
    /// # Errors
    /// As [`Builder::engine_context`].
    pub(crate) async fn contexts(&self) -> Result<Vec<EngineContext>, Failure> {
        let mut contexts = vec![self.default_context().await?];
        let engines = self.common.store.engines().await?;
        for engine in engines {
            if engine.name == DEFAULT_ENGINE {
                continue;
            }
            match self.context(&engine.name).await {
                Ok(context) => contexts.push(context),
                // Removed in between.
                Err(failure) if failure.code == ReasonCode::NotFound => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(contexts)
    }

    /// The engine for a question that any of them can answer: the default one, unless it takes no
    /// builds and another one does.
    ///
    /// # Errors
    /// As [`Builder::engine_context`].
    pub(crate) async fn available_context(&self) -> Result<EngineContext, Failure> {
        let engines = self.common.store.engines().await?;
        let mut at_hand = engines
            .iter()
            .filter(|engine| !engine.draining && engine.health.state != HealthState::Down)
            .map(|engine| engine.name.as_str());
        let first = at_hand.next().unwrap_or(DEFAULT_ENGINE);
        let name = at_hand
            .find(|name| *name == DEFAULT_ENGINE)
            .unwrap_or(first);
        self.context(name).await
    }

    /// Which settings a build cannot do without are still missing, in the protocol's words.
    ///
    /// # Errors
    /// [`ReasonCode::Internal`] when the database does not answer.
    pub async fn missing_settings(&self) -> Result<Vec<&'static str>, Failure> {
        let settings = self.common.store.settings().await?;
        Ok(missing(&settings))
    }
}

/// A client for an engine; connects only when used.
pub(crate) fn engine(server: &DockerServerSettings) -> Result<Engine, Failure> {
    engine_within(server, EngineLimits::default())
}

/// A client for an engine that waits no longer than this for it.
pub(crate) fn engine_within(
    server: &DockerServerSettings,
    limits: EngineLimits,
) -> Result<Engine, Failure> {
    Engine::new(&Endpoint::from(server), limits).map_err(|error| error.failure())
}

/// The proofs: the engine answers, the *engine* can log in to the registry, and what it logged in to is a
/// registry; the same under the registry's second name.
pub(crate) async fn prove(
    server: &DockerServerSettings,
    registry: Option<&RegistrySettings>,
) -> Result<(), Failure> {
    let engine = engine(server)?;
    let info = engine.ping().await?;
    if let Some(registry) = registry {
        engine.login(registry).await?;
        verify_registry(&registry.registry, &info.insecure_registries).await?;
        if let Some(second) = by_second_name(registry) {
            engine
                .login(&second)
                .await
                .map_err(|error| no_second_name(error.failure()))?;
        }
    }
    Ok(())
}

/// The registry under its second name, where it has one.
fn by_second_name(registry: &RegistrySettings) -> Option<RegistrySettings> {
    let second = registry.registry_dns.as_ref()?;
    (*second != registry.registry).then(|| RegistrySettings {
        registry: second.clone(),
        ..registry.clone()
    })
}

fn no_second_name(failure: Failure) -> Failure {
    failure.with_hint(
        "harbor_registry_dns 应是同一镜像仓库的另一个名字，Docker 服务器须能解析并登录；没有时请留空。",
        "harbor_registry_dns is a second name of the same registry, which the Docker server must be able to \
         resolve and to log in to. Leave it empty where there is none.",
    )
}

/// The refusal of a name that no engine has.
pub fn no_such_engine(name: &str) -> Failure {
    Failure::new(
        ReasonCode::NotFound,
        format!("没有名为 {name} 的引擎。"),
        format!("There is no engine named {name}."),
    )
    .with_culprit(name)
    .with_hint(
        "全部引擎见 GET /api/v1/engines。",
        "GET /api/v1/engines lists all of them.",
    )
}

fn missing(settings: &Settings) -> Vec<&'static str> {
    [
        ("host", settings.host.is_none()),
        ("Harbor", settings.registry.is_none()),
        ("Docker server", settings.docker_server.is_none()),
    ]
    .into_iter()
    .filter_map(|(name, absent)| absent.then_some(name))
    .collect()
}

fn not_configured(missing: &[&str]) -> Failure {
    Failure::new(
        ReasonCode::NotConfigured,
        format!("服务尚未配置完成，缺少：{}。", missing.join("、")),
        format!(
            "The service is not configured yet; missing: {}.",
            missing.join(", ")
        ),
    )
}

//! What the service depends on as it is in force right now, each part looked at within a bounded time:
//! the database, its own address, the engines, the registry (as an engine reaches it), and what
//! callbacks are sent with.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use fastbuild_engine::Engine;
use fastbuild_spec::{
    failure::{Failure, ReasonCode, Sentence},
    settings::{CallbackHeaders, RegistrySettings, Settings, check_headers},
};
use fastbuild_store::DEFAULT_ENGINE;
use futures_util::future::join_all;
use strum::{Display, IntoStaticStr};

use crate::{
    callbacks::{Callbacks, admin::SigningOrigin},
    common::{Common, stored},
    engines::context::{engine, no_such_engine},
};

/// What kind of thing the service depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum DependencyKind {
    /// Where everything is remembered.
    Database,
    /// The service's own address, which stands in every log link.
    Host,
    /// A Docker Engine.
    Engine,
    /// The registry, as an engine reaches it.
    Registry,
    /// What callbacks are sent with: headers, and the secret they are signed with.
    Callbacks,
}

/// How a dependency was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It can be used; a sentence says what it is.
    Good(Sentence),
    /// It cannot, and why.
    Bad(Box<Failure>),
    /// Nobody has configured it yet.
    NotConfigured(Sentence),
    /// It could not be looked at, since something before it is bad.
    NotSeen(Sentence),
}

/// A dependency and how it was found.
#[derive(Debug, Clone)]
pub struct Dependency {
    /// What it is.
    pub kind: DependencyKind,
    /// Which one, where there can be several.
    pub name: Option<String>,
    /// How it was found.
    pub found: Found,
    /// How long the look took.
    pub took: Duration,
}

impl Dependency {
    fn is_good(&self) -> bool {
        matches!(self.found, Found::Good(_))
    }

    async fn look(
        kind: DependencyKind,
        name: Option<String>,
        look: impl Future<Output = Found>,
    ) -> Self {
        let begun = Instant::now();
        let found = look.await;
        Self {
            kind,
            name,
            found,
            took: begun.elapsed(),
        }
    }
}

/// Whether builds can be made: every kind of dependency is good, and of the engines one is enough.
pub fn is_ready(dependencies: &[Dependency]) -> bool {
    let good: HashSet<DependencyKind> = dependencies
        .iter()
        .filter(|one| one.is_good())
        .map(|one| one.kind)
        .collect();
    dependencies.iter().all(|one| good.contains(&one.kind))
}

/// Whether what builds need can be used. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Readiness {
    common: Common,
    callbacks: Callbacks,
}

impl Readiness {
    pub(crate) fn new(common: Common, callbacks: Callbacks) -> Self {
        Self { common, callbacks }
    }

    /// Looks at everything the service depends on, at each part for `limit` at the most. Nothing is
    /// written anywhere; the engine logs in to the registry as builds do.
    pub async fn check(&self, limit: Duration) -> Vec<Dependency> {
        let begun = Instant::now();
        let read = async {
            let settings = self
                .common
                .store
                .settings()
                .await
                .map_err(|error| stored(&error))?;
            let engines = self
                .common
                .store
                .engines()
                .await
                .map_err(|error| stored(&error))?;
            let signing = self.callbacks.signing_origin().await?;
            Ok((settings, engines, signing))
        };
        let read = in_time(limit, read, || {
            Failure::new(
                ReasonCode::DatabaseUnavailable,
                format!("数据库在 {} 秒内没有回答。", limit.as_secs()),
                format!(
                    "The database did not answer within {} seconds.",
                    limit.as_secs()
                ),
            )
        });
        let (found, read) = match read.await {
            Ok(read) => (
                Found::Good(Sentence::new("数据库可用。", "The database answers.")),
                Some(read),
            ),
            Err(failure) => (Found::Bad(Box::new(failure)), None),
        };
        let mut dependencies = vec![Dependency {
            kind: DependencyKind::Database,
            name: None,
            found,
            took: begun.elapsed(),
        }];
        let Some((settings, engines, signing)) = read else {
            let unseen = [
                DependencyKind::Host,
                DependencyKind::Engine,
                DependencyKind::Registry,
                DependencyKind::Callbacks,
            ];
            dependencies.extend(unseen.map(|kind| Dependency {
                kind,
                name: None,
                found: Found::NotSeen(Sentence::new(
                    "数据库不可用，无法得知。",
                    "It is not known while the database does not answer.",
                )),
                took: Duration::ZERO,
            }));
            return dependencies;
        };
        let host = Dependency::look(DependencyKind::Host, None, async { host(&settings) });
        dependencies.push(host.await);
        let mut names: Vec<String> = engines.into_iter().map(|engine| engine.name).collect();
        // The settings' own engine counts before anybody has said what it can take.
        if settings.docker_server.is_some() && !names.iter().any(|name| name == DEFAULT_ENGINE) {
            names.push(DEFAULT_ENGINE.to_owned());
        }
        let (looked, reachable) = self.engines_now(names, limit).await;
        dependencies.extend(looked);
        let registry = registry(settings.registry.as_ref(), reachable.as_ref(), limit);
        dependencies.push(Dependency::look(DependencyKind::Registry, None, registry).await);
        let callbacks = async { callbacks(&settings.callback_headers, signing) };
        dependencies.push(Dependency::look(DependencyKind::Callbacks, None, callbacks).await);
        dependencies
    }

    /// The engines, looked at side by side, and one that answers.
    async fn engines_now(
        &self,
        names: Vec<String>,
        limit: Duration,
    ) -> (Vec<Dependency>, Option<Engine>) {
        if names.is_empty() {
            let found = Found::NotConfigured(Sentence::new(
                "尚未配置 Docker 服务器。",
                "No Docker server is configured yet.",
            ));
            let name = Some(DEFAULT_ENGINE.to_owned());
            let look = Dependency::look(DependencyKind::Engine, name, async { found });
            return (vec![look.await], None);
        }
        let looks = names.into_iter().map(|name| async move {
            let mut reachable = None;
            let look = async {
                match Box::pin(self.ping_named(&name, limit)).await {
                    Ok((engine, said)) => {
                        reachable = Some(engine);
                        Found::Good(Sentence::new(said.clone(), said))
                    }
                    Err(failure) => Found::Bad(Box::new(failure)),
                }
            };
            let kind = DependencyKind::Engine;
            let looked = Dependency::look(kind, Some(name.clone()), look).await;
            (looked, reachable)
        });
        let (looked, reachable): (Vec<_>, Vec<_>) = join_all(looks).await.into_iter().unzip();
        (looked, reachable.into_iter().flatten().next())
    }

    async fn ping_named(&self, name: &str, limit: Duration) -> Result<(Engine, String), Failure> {
        let ping = async {
            let settings = self
                .common
                .store
                .engine_settings(name)
                .await
                .map_err(|error| stored(&error))?
                .ok_or_else(|| no_such_engine(name))?;
            let engine = engine(&settings.server)?;
            let info = engine.ping().await.map_err(|error| error.failure())?;
            Ok((engine, info.summary()))
        };
        in_time(limit, ping, || {
            Failure::new(
                ReasonCode::EngineUnreachable,
                format!("Docker 服务器 {name} 在 {} 秒内没有回答。", limit.as_secs()),
                format!(
                    "The Docker server {name} did not answer within {} seconds.",
                    limit.as_secs()
                ),
            )
        })
        .await
    }
}

fn host(settings: &Settings) -> Found {
    match &settings.host {
        Some(host) => {
            let address = fastbuild_spec::settings::host_and_port(&host.host, host.port);
            Found::Good(Sentence::new(
                format!("调用者通过 {address} 访问本服务。"),
                format!("Callers reach this service at {address}."),
            ))
        }
        None => Found::NotConfigured(Sentence::new(
            "尚未配置本服务的地址。",
            "The service's own address is not configured yet.",
        )),
    }
}

/// Whether an engine can log in to the registry.
async fn registry(
    registry: Option<&RegistrySettings>,
    engine: Option<&Engine>,
    limit: Duration,
) -> Found {
    let Some(registry) = registry else {
        return Found::NotConfigured(Sentence::new(
            "尚未配置镜像仓库。",
            "No registry is configured yet.",
        ));
    };
    let Some(engine) = engine else {
        return Found::NotSeen(Sentence::new(
            "没有可用的 Docker 服务器来访问镜像仓库。",
            "No Docker server answers that could ask it.",
        ));
    };
    let name = &registry.registry;
    let login = async {
        engine
            .login(registry)
            .await
            .map_err(|error| error.failure())
    };
    let login = in_time(limit, login, || {
        Failure::new(
            ReasonCode::RegistryUnavailable,
            format!("镜像仓库 {name} 在 {} 秒内没有回答。", limit.as_secs()),
            format!(
                "The registry {name} did not answer within {} seconds.",
                limit.as_secs()
            ),
        )
    });
    match Box::pin(login).await {
        Ok(()) => Found::Good(Sentence::new(
            format!(
                "Docker 服务器 {} 可以用账号 {} 登录镜像仓库 {name}。",
                engine.address(),
                registry.username
            ),
            format!(
                "The Docker server {} can log in to {name} as {}.",
                engine.address(),
                registry.username
            ),
        )),
        Err(failure) => Found::Bad(Box::new(failure)),
    }
}

/// Whether callbacks can be sent as they are configured; who receives them, each build says.
fn callbacks(headers: &CallbackHeaders, signing: SigningOrigin) -> Found {
    if let Err(errors) = check_headers(headers) {
        return Found::Bad(Box::new(errors.into()));
    }
    let (zh, en) = match signing {
        SigningOrigin::Set { signing: true, .. } | SigningOrigin::Configuration => {
            ("并带有签名", "and are signed")
        }
        SigningOrigin::Set { signing: false, .. } | SigningOrigin::None => {
            ("没有签名", "and are not signed")
        }
    };
    let count = headers.len();
    Found::Good(Sentence::new(
        format!("回调带有 {count} 个配置的请求头，{zh}。"),
        format!("Callbacks carry {count} configured header(s) {en}."),
    ))
}

async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Failure>>,
    too_late: impl FnOnce() -> Failure,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, work).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(too_late()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(kind: DependencyKind, good: bool) -> Dependency {
        let sentence = Sentence::new("。", ".");
        Dependency {
            kind,
            name: None,
            found: if good {
                Found::Good(sentence)
            } else {
                Found::NotConfigured(sentence)
            },
            took: Duration::ZERO,
        }
    }

    #[test]
    fn one_engine_is_enough_and_everything_else_must_be_good() {
        use DependencyKind as Kind;
        let with = |database, registry, engines: [bool; 2]| {
            let [one, two] = engines.map(|good| dependency(Kind::Engine, good));
            is_ready(&[
                dependency(Kind::Database, database),
                one,
                dependency(Kind::Registry, registry),
                two,
            ])
        };
        assert!(with(true, true, [true, true]));
        assert!(with(true, true, [false, true]));
        assert!(!with(true, true, [false, false]));
        assert!(!with(true, false, [true, true]));
        assert!(!with(false, true, [true, true]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_ends_in_time() {
        let slow = std::future::pending::<Result<(), Failure>>();
        let failure = in_time(Duration::from_secs(3), slow, || no_such_engine("a")).await;
        assert_eq!(failure.unwrap_err().culprit.as_deref(), Some("a"));
    }
}

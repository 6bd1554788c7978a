//! What the service depends on as it is in force right now, each part looked at within a bounded time:
//! the database, its own address, the engines, the registry (as an engine reaches it), and what
//! callbacks are sent with.

mod clock;
mod host;

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use fastbuild_engine::{Engine, EngineInfo};
use fastbuild_spec::{
    callback::delivery_failure,
    failure::{Failure, ReasonCode, Sentence},
    reference::ImageReference,
    settings::{CallbackHeaders, RegistrySettings, Settings, check_headers},
};
use fastbuild_store::{BuildSearch, DEFAULT_ENGINE, FailingReceiver};
use futures_util::future::join_all;
use jiff::SignedDuration;
use strum::{Display, IntoStaticStr};

use crate::{
    callbacks::{Callbacks, admin::SigningOrigin},
    common::{Common, internal},
    engines::context::{engine, no_such_engine},
    images::Images,
};

/// For how long a failed callback makes its receiver one that fails.
const FAILING_SINCE: SignedDuration = SignedDuration::from_hours(1);

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
    /// The disk that builds' files are written to.
    Disk,
    /// The file descriptors of this process.
    OpenFiles,
    /// A clock: the database's or an engine's.
    Clock,
    /// A receiver of callbacks that did not take the last one.
    Receiver,
}

impl DependencyKind {
    /// Whether builds cannot be made without it. A wrong clock or a receiver that is away is for
    /// people to mend; it must not take the service away from its callers.
    fn is_needed(self) -> bool {
        !matches!(self, Self::Clock | Self::Receiver)
    }
}

/// How a dependency was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It can be used; a sentence says what it is.
    Good(Sentence),
    /// It can be used, but not for long, or not well.
    Warning(Box<Failure>),
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
        matches!(self.found, Found::Good(_) | Found::Warning(_))
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
    dependencies
        .iter()
        .filter(|one| one.kind.is_needed())
        .all(|one| good.contains(&one.kind))
}

/// Whether what builds need can be used. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Readiness {
    common: Common,
    images: Images,
    callbacks: Callbacks,
}

impl Readiness {
    pub(crate) fn new(common: Common, images: Images, callbacks: Callbacks) -> Self {
        Self {
            common,
            images,
            callbacks,
        }
    }

    /// Tries everything the service depends on, each part for `limit` at the most: a write to the
    /// database, the engines, a login to the registry from an engine.
    pub async fn check(&self, limit: Duration) -> Vec<Dependency> {
        let begun = Instant::now();
        let read = async {
            let settings = self.common.store.settings().await?;
            let engines = self.common.store.engines().await?;
            let signing = self.callbacks.signing_origin().await?;
            let before = self.common.now();
            let time = self.common.store.database_time().await?;
            let clock = time.map(|time| clock::judge("database", time, before, self.common.now()));
            let since = before - FAILING_SINCE;
            let failing = self.common.store.failing_receivers(since).await?;
            // Reads alone would not show a disk that is full or a database that is read-only.
            self.common.store.write_probe(before).await?;
            Ok((settings, engines, signing, clock, failing))
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
        dependencies.push(self.disk().await);
        let open_files = async { host::open_files() };
        dependencies.push(Dependency::look(DependencyKind::OpenFiles, None, open_files).await);
        let Some((settings, engines, signing, clock, failing)) = read else {
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
        let registry = async {
            let engine = reachable.as_ref().map(|(engine, _)| engine);
            let found = registry(settings.registry.as_ref(), engine, limit).await;
            match (found, &settings.registry, &reachable) {
                (Found::Good(said), Some(account), Some((_, info))) => {
                    let denied = self.push_denied(account, info);
                    let denied = tokio::time::timeout(limit, denied).await.ok().flatten();
                    denied.map_or(Found::Good(said), |failure| Found::Bad(Box::new(failure)))
                }
                (found, ..) => found,
            }
        };
        dependencies.push(Dependency::look(DependencyKind::Registry, None, registry).await);
        let callbacks = async { callbacks(&settings.callback_headers, signing) };
        dependencies.push(Dependency::look(DependencyKind::Callbacks, None, callbacks).await);
        dependencies.extend(clock.map(|found| Dependency {
            kind: DependencyKind::Clock,
            name: Some("database".to_owned()),
            found,
            took: Duration::ZERO,
        }));
        dependencies.extend(failing.iter().map(receiver));
        dependencies
    }

    /// Why the account may not write to where the newest build's image goes. A login alone does not
    /// tell; without a build yet nobody knows where to. A registry that this machine cannot reach is
    /// for the engines to judge.
    async fn push_denied(&self, account: &RegistrySettings, info: &EngineInfo) -> Option<Failure> {
        let newest = self
            .common
            .store
            .search_builds(&BuildSearch::default(), 1)
            .await
            .ok()?;
        let target: ImageReference = newest.first()?.target_image.parse().ok()?;
        if !target.registry().is_some_and(|name| account.is_ours(name)) {
            return None;
        }
        let client = self.images.registry_client().await.ok()?;
        let checked = client
            .check_push(account, &target, &info.insecure_registries)
            .await;
        let status = checked.ok()?.allowed.err()?;
        let failure = Failure::new(
            ReasonCode::PushDenied,
            format!(
                "镜像仓库拒绝账号 {} 向 {} 上传（HTTP 状态 {status}）。",
                account.username,
                target.name()
            ),
            format!(
                "The registry does not let {} upload to {} (HTTP status {status}).",
                account.username,
                target.name()
            ),
        );
        Some(failure.with_culprit(target.name()))
    }

    async fn disk(&self) -> Dependency {
        let folder = self.common.options.folders.task_dir.clone();
        let disk = async {
            tokio::task::spawn_blocking(move || host::disk(&folder))
                .await
                .unwrap_or_else(|error| Found::Bad(Box::new(internal(&error))))
        };
        Dependency::look(DependencyKind::Disk, None, disk).await
    }

    /// The engines, looked at side by side, and one that answers.
    async fn engines_now(
        &self,
        names: Vec<String>,
        limit: Duration,
    ) -> (Vec<Dependency>, Option<(Engine, EngineInfo)>) {
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
            let mut clock = None;
            let before = self.common.now();
            let look = async {
                match Box::pin(self.ping_named(&name, limit)).await {
                    Ok((engine, info)) => {
                        let said = info.summary();
                        let time = info.system_time.parse().ok();
                        clock =
                            time.map(|time| clock::judge(&name, time, before, self.common.now()));
                        reachable = Some((engine, info));
                        Found::Good(Sentence::new(said.clone(), said))
                    }
                    Err(failure) => Found::Bad(Box::new(failure)),
                }
            };
            let kind = DependencyKind::Engine;
            let looked = Dependency::look(kind, Some(name.clone()), look).await;
            let clock = clock.map(|found| Dependency {
                kind: DependencyKind::Clock,
                name: Some(name),
                found,
                took: Duration::ZERO,
            });
            (std::iter::once(looked).chain(clock), reachable)
        });
        let (looked, reachable): (Vec<_>, Vec<_>) = join_all(looks).await.into_iter().unzip();
        let looked = looked.into_iter().flatten().collect();
        (looked, reachable.into_iter().flatten().next())
    }

    async fn ping_named(
        &self,
        name: &str,
        limit: Duration,
    ) -> Result<(Engine, EngineInfo), Failure> {
        let ping = async {
            let settings = self
                .common
                .store
                .engine_settings(name)
                .await?
                .ok_or_else(|| no_such_engine(name))?;
            let engine = engine(&settings.server)?;
            let info = engine.ping().await.map_err(|error| error.failure())?;
            Ok((engine, info))
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

/// A receiver that did not take its last callback.
fn receiver(failing: &FailingReceiver) -> Dependency {
    let failure = delivery_failure(&failing.url, failing.status, failing.error.as_deref());
    let failure = failure.unwrap_or_else(|| {
        Failure::new(
            ReasonCode::CallbackUnreachable,
            format!("回调接收方 {} 未收到最近的回调。", failing.receiver),
            format!("{} did not get its last callback.", failing.receiver),
        )
    });
    Dependency {
        kind: DependencyKind::Receiver,
        name: Some(failing.receiver.clone()),
        found: Found::Bad(Box::new(failure)),
        took: Duration::ZERO,
    }
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

//! The site that chaos comes over: two replicas on one PostgreSQL server of their own, several
//! engines, the registry and a receiver of callbacks, with a proxy on every way between them.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tempfile::TempDir;

use super::schedule::{Fault, PlannedFault};
use crate::{
    callback_receiver::CallbackReceiver,
    chaos::{
        caller::Caller,
        real_engine::{EngineObject, RealEngine},
    },
    client::ConfigFields,
    env::{PostgresPart, TestEnv},
    fake_engine::{Behaviour, FakeEngine, Push},
    postgres::server::OwnServer,
    service::{Service, ServiceOptions},
    tcp_proxy::{NetworkFault, TcpProxy},
};

/// Replicas of the service.
pub const REPLICAS: usize = 2;
/// The database's name on the server.
const DATABASE: &str = "chaos";
/// The engine that the site is configured on.
const DEFAULT_ENGINE: &str = "default";
/// Builds that run on one engine at a time.
const CAPACITY: u32 = 2;
/// After so many seconds without a sign of life a build is taken from its replica.
const LEASE_SECONDS: u64 = 8;
/// How long each step of a build takes on fake engines, one after the other.
const STEPS: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1_200)];

/// The site. What uses something is dropped before it.
#[derive(Debug)]
pub struct Cluster {
    /// The replicas.
    pub replicas: Vec<Replica>,
    /// The engines; the first is the one the site is configured on.
    pub engines: Vec<Engine>,
    /// The way to the registry, for everybody.
    pub registry: TcpProxy,
    /// Who is called back.
    pub callbacks: Arc<CallbackReceiver>,
    /// The database's server.
    pub database: OwnServer,
    /// The engines and the registry behind the proxies.
    pub env: TestEnv,
    /// Names the images of this run alone.
    pub token: String,
    _directories: Vec<TempDir>,
}

/// A replica and its way to the database.
#[derive(Debug)]
pub struct Replica {
    /// The replica.
    pub service: Service,
    /// Its way to the database.
    pub database: TcpProxy,
}

/// An engine and the way to it.
#[derive(Debug)]
pub struct Engine {
    /// Its name in the service.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The way to it.
    pub proxy: TcpProxy,
}

/// What an engine is.
#[derive(Debug)]
pub enum Kind {
    /// A Docker Engine; its pushes are followed.
    Real(Box<RealEngine>),
    /// A fake engine.
    Fake(FakeEngine),
}

impl Cluster {
    /// Starts everything. There are two real engines and `fake_engines` others.
    ///
    /// # Errors
    /// What does not start.
    pub async fn start(binary: &Path, fake_engines: usize) -> Result<Self> {
        let env = TestEnv::load()?;
        let database = OwnServer::start(env.postgres()?).await?;
        database
            .part
            .execute("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
        let registry = TcpProxy::start(format!("127.0.0.1:{}", env.registry.port)).await?;
        let engines = engines(&env, &registry, fake_engines).await?;
        let callbacks = Arc::new(CallbackReceiver::start().await?);
        let mut directories = Vec::new();
        let mut replicas = Vec::new();
        for _ in 0..REPLICAS {
            let directory = tempfile::tempdir()?;
            let proxy = TcpProxy::start(format!("127.0.0.1:{}", database.part.port)).await?;
            let url = PostgresPart {
                port: proxy.address.port(),
                ..database.part.clone()
            }
            .url(DATABASE);
            let mut options = ServiceOptions::new(binary, directory.path(), &env)
                .variable("DATABASE_URL", url)
                .variable("BUILDS__LEASE_SECONDS", LEASE_SECONDS.to_string())
                .variable("BUILDS__PER_ENGINE", CAPACITY.to_string())
                .variable("BUILDS__REUSE_SECONDS", "3600")
                .variable("BUILDS__PUSH_RETRY_SECONDS", "[1,2,4]");
            if let Some(first) = directories.first() {
                let key = TempDir::path(first).join("seal.key");
                options = options.variable("SEAL_KEY_FILE", key.display().to_string());
            }
            replicas.push(Replica {
                service: Service::start(options).await?,
                database: proxy,
            });
            directories.push(directory);
        }
        let token = directories[0].path().file_name().unwrap_or_default();
        let token = token.to_string_lossy().to_lowercase();
        let cluster = Self {
            replicas,
            engines,
            registry,
            callbacks,
            database,
            token: format!("t{}", token.trim_start_matches('.')),
            env,
            _directories: directories,
        };
        cluster.configure().await?;
        Ok(cluster)
    }

    /// The registry as the service knows it.
    pub fn registry_name(&self) -> String {
        registry_name(&self.registry)
    }

    /// A caller of all replicas.
    ///
    /// # Errors
    /// When this machine cannot make an HTTP client.
    pub fn caller(&self) -> Result<Caller> {
        let urls = self.replicas.iter();
        Caller::new(urls.map(|one| one.service.client.url.clone()).collect())
    }

    /// The rows of a question to the database, past every proxy; columns are parted by `|`.
    ///
    /// # Errors
    /// What the server says.
    pub fn ask(&self, statement: &str) -> Result<Vec<String>> {
        let rows = self.database.part.execute(DATABASE, statement)?;
        Ok(rows.lines().map(str::to_owned).collect())
    }

    /// What the replicas have logged, line by line.
    pub fn log(&self) -> Vec<String> {
        let logs = self.replicas.iter().map(|one| one.service.log());
        logs.flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    async fn configure(&self) -> Result<()> {
        let [first, others @ ..] = self.engines.as_slice() else {
            anyhow::bail!("there are no engines");
        };
        let replica = &self.replicas[0].service;
        let fields = ConfigFields::new(&self.env, &self.env.engine_plain, replica.port)?
            .with("harbor_registry", self.registry_name())
            .with("harbor_registry_dns", "")
            .with("docker_host", "127.0.0.1")
            .with("docker_port", first.proxy.address.port().to_string());
        replica.client.configure(fields).await?.data()?;
        let caller = self.caller()?;
        for engine in others {
            let body = json!({
                "name": engine.name,
                "host": "127.0.0.1",
                "port": engine.proxy.address.port(),
                "capacity": CAPACITY,
            });
            caller.post("/api/v1/engines", &body).await?;
        }
        Ok(())
    }

    /// Lets something go wrong for as long as planned, and be well again.
    ///
    /// # Errors
    /// When a part does not come back.
    pub async fn suffer(&mut self, planned: &PlannedFault) -> Result<()> {
        match planned.fault {
            Fault::Kill { replica } => {
                let service = &mut self.replicas[replica].service;
                service.kill()?;
                tokio::time::sleep(planned.lasts).await;
                service.restart_in_place().await.context("after a kill")
            }
            Fault::DatabaseRestart => {
                // In good order, or as a crash.
                if planned.lasts.as_millis().is_multiple_of(2) {
                    self.database.stop().await?;
                } else {
                    self.database.kill().await?;
                }
                tokio::time::sleep(planned.lasts).await;
                self.database.start_again().await
            }
            Fault::Engine { engine, how } => {
                disturb(&self.engines[engine].proxy, how, planned.lasts).await
            }
            Fault::Database { replica, how } => {
                disturb(&self.replicas[replica].database, how, planned.lasts).await
            }
            Fault::Registry { how } => disturb(&self.registry, how, planned.lasts).await,
        }
    }
}

async fn disturb(proxy: &TcpProxy, how: NetworkFault, lasts: Duration) -> Result<()> {
    proxy.set_fault(how);
    tokio::time::sleep(lasts).await;
    proxy.set_fault(NetworkFault::None);
    Ok(())
}

fn registry_name(registry: &TcpProxy) -> String {
    format!("127.0.0.1:{}", registry.address.port())
}

async fn engines(env: &TestEnv, registry: &TcpProxy, fake_engines: usize) -> Result<Vec<Engine>> {
    let mut engines = Vec::new();
    for (name, part) in [
        (DEFAULT_ENGINE, &env.engine_plain),
        ("store", env.engine_store()?),
    ] {
        ensure!(
            part.tls_dir.is_none(),
            "the engine {} is reached with TLS",
            part.name
        );
        engines.push(Engine {
            name: name.to_owned(),
            proxy: TcpProxy::start(format!("{}:{}", part.host, part.port)).await?,
            kind: Kind::Real(Box::new(RealEngine::follow(
                env,
                part,
                &registry_name(registry),
            )?)),
        });
    }
    for (number, step) in STEPS.into_iter().cycle().take(fake_engines).enumerate() {
        let engine = FakeEngine::start(Behaviour::new(env, step)?).await?;
        engines.push(Engine {
            name: format!("fake-{}", number + 1),
            proxy: TcpProxy::start(engine.address.to_string()).await?,
            kind: Kind::Fake(engine),
        });
    }
    Ok(engines)
}

impl Engine {
    /// Every push of this run that it made.
    pub fn pushes(&self) -> Vec<Push> {
        match &self.kind {
            Kind::Real(real) => real.pushes(),
            Kind::Fake(engine) => engine.pushes(),
        }
    }

    /// What was made there for an installation of the service.
    ///
    /// # Errors
    /// What the engine says.
    pub fn objects(&self, installation: &str) -> Result<Vec<EngineObject>> {
        match &self.kind {
            Kind::Real(real) => real.objects(installation),
            Kind::Fake(engine) => Ok(engine.objects()),
        }
    }

    /// Builds that run there, where the engine tells.
    pub fn building(&self) -> usize {
        match &self.kind {
            Kind::Real(_) => 0,
            Kind::Fake(engine) => engine.holdings().building,
        }
    }
}

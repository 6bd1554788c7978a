//! The parts that are processes, by name.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastbuild_testkit::env::{EnginePart, TestEnv};
use nix::sys::signal::Signal;

use super::home::Home;
use super::{engines, postgres, registry};
use crate::run::{self, report, step};

const RECEIVER: &str = "callback-receiver";
const RECEIVER_START_LIMIT: Duration = Duration::from_secs(10);

/// A part that is a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Service {
    /// The registry.
    Registry,
    /// The receiver of callbacks.
    CallbackReceiver,
    /// The PostgreSQL server.
    Postgres,
    /// The engine on plain TCP.
    EngineA,
    /// The engine with mutual TLS.
    EngineB,
    /// The engine of a newer version, with containerd's image store.
    EngineC,
}

impl Service {
    /// All of them, in the order in which they are started.
    pub(super) const ALL: [Self; 6] = [
        Self::Registry,
        Self::CallbackReceiver,
        Self::Postgres,
        Self::EngineA,
        Self::EngineB,
        Self::EngineC,
    ];

    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Registry => registry::NAME,
            Self::CallbackReceiver => RECEIVER,
            Self::Postgres => postgres::NAME,
            Self::EngineA => "engine-a",
            Self::EngineB => "engine-b",
            Self::EngineC => "engine-c",
        }
    }

    fn engine(self, env: &TestEnv) -> Option<&EnginePart> {
        match self {
            Self::EngineA => Some(&env.engine_plain),
            Self::EngineB => Some(&env.engine_tls),
            Self::EngineC => env.engine_store.as_ref(),
            Self::Registry | Self::CallbackReceiver | Self::Postgres => None,
        }
    }

    fn is_up(self, home: &Home, env: &TestEnv) -> bool {
        match self.engine(env) {
            Some(engine) => engines::is_up(home, env, engine),
            None if self == Self::Registry => registry::is_up(home, env),
            None if self == Self::Postgres => postgres::is_up(home, env),
            None => {
                home.daemon(RECEIVER).pid().is_some() && registry::port_answers(env.callback.port)
            }
        }
    }

    /// Starts it unless it is up.
    pub(super) fn ensure(self, home: &Home, env: &TestEnv) -> Result<()> {
        if self.is_up(home, env) {
            return Ok(());
        }
        step(&format!("{} started", self.name()), || {
            match self.engine(env) {
                Some(engine) => engines::ensure(home, env, engine).map(drop),
                None if self == Self::Registry => registry::ensure(home, env).map(drop),
                None if self == Self::Postgres => postgres::ensure(home, env),
                None => start_receiver(home, env),
            }
        })
    }

    /// Stops it if it runs.
    pub(super) fn stop(self, home: &Home, env: &TestEnv, kill: bool) -> Result<()> {
        let signal = match self {
            _ if kill => Signal::SIGKILL,
            // Its SIGTERM waits until every client has gone by itself.
            Self::Postgres => Signal::SIGINT,
            _ => Signal::SIGTERM,
        };
        let start = Instant::now();
        let stopped = match self.engine(env) {
            Some(engine) => engines::stop(home, env, engine, signal),
            None => home.daemon(self.name()).stop(signal),
        }
        .with_context(|| format!("{} could not be stopped", self.name()))?;
        if stopped {
            report(&format!("{} stopped", self.name()), start);
        }
        Ok(())
    }

    /// Where it listens, its process and version; none when it is not up.
    pub(super) fn state(self, home: &Home, env: &TestEnv) -> Option<String> {
        if !self.is_up(home, env) {
            return None;
        }
        let pid = home.daemon(self.name()).pid()?;
        let place = match self.engine(env) {
            Some(engine) => {
                let version = engines::version(env, engine).ok()?;
                let security = if engine.tls_dir.is_some() {
                    "mutual TLS"
                } else {
                    "no TLS"
                };
                format!(
                    "{}, {security}, Docker Engine {version}",
                    engine.docker_host
                )
            }
            None if self == Self::Registry => {
                format!(
                    "https://{} and https://{}",
                    env.registry.registry, env.registry.registry_dns
                )
            }
            None if self == Self::Postgres => format!(
                "127.0.0.1:{}, PostgreSQL {}",
                env.postgres().ok()?.port,
                postgres::version(env).ok()?
            ),
            None => env.callback.url.clone(),
        };
        Some(format!("{place}, process {pid}"))
    }
}

fn start_receiver(home: &Home, env: &TestEnv) -> Result<()> {
    let daemon = home.daemon(RECEIVER);
    daemon.stop(Signal::SIGTERM)?;
    let program = run::build("xtask-live", false)?;
    daemon.start(
        program
            .to_str()
            .context("the path of xtask-live is not UTF-8")?,
        RECEIVER_START_LIMIT,
        |command| {
            command
                .args([RECEIVER, "--port", &env.callback.port.to_string(), "--log"])
                .arg(&env.callback.log);
        },
        || registry::port_answers(env.callback.port),
    )
}

//! The parts that are processes, by name.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastbuild_testkit::parts::{EnginePart, Parts};
use nix::sys::signal::Signal;

use super::home::Home;
use super::{engines, postgres, registry};
use crate::run::{report, step};

const RECEIVER: &str = "callback-receiver";
const RECEIVER_START_LIMIT: Duration = Duration::from_secs(10);

/// A part that is a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Service {
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

    fn engine(self, parts: &Parts) -> Option<&EnginePart> {
        match self {
            Self::EngineA => Some(&parts.engine_plain),
            Self::EngineB => Some(&parts.engine_tls),
            Self::EngineC => parts.engine_store.as_ref(),
            Self::Registry | Self::CallbackReceiver | Self::Postgres => None,
        }
    }

    fn is_up(self, home: &Home, parts: &Parts) -> bool {
        match self.engine(parts) {
            Some(engine) => engines::is_up(home, parts, engine),
            None if self == Self::Registry => registry::is_up(home, parts),
            None if self == Self::Postgres => postgres::is_up(home, parts),
            None => {
                home.daemon(RECEIVER).pid().is_some() && registry::port_answers(parts.callback.port)
            }
        }
    }

    /// Starts it unless it is up.
    pub(super) fn ensure(self, home: &Home, parts: &Parts) -> Result<()> {
        if self.is_up(home, parts) {
            return Ok(());
        }
        step(&format!("{} started", self.name()), || {
            match self.engine(parts) {
                Some(engine) => engines::ensure(home, parts, engine).map(drop),
                None if self == Self::Registry => registry::ensure(home, parts).map(drop),
                None if self == Self::Postgres => postgres::ensure(home, parts),
                None => start_receiver(home, parts),
            }
        })
    }

    /// Stops it if it runs.
    pub(super) fn stop(self, home: &Home, parts: &Parts, kill: bool) -> Result<()> {
        let signal = match self {
            _ if kill => Signal::SIGKILL,
            // Its SIGTERM waits until every client has gone by itself.
            Self::Postgres => Signal::SIGINT,
            _ => Signal::SIGTERM,
        };
        let start = Instant::now();
        let stopped = match self.engine(parts) {
            Some(engine) => engines::stop(home, parts, engine, signal),
            None => home.daemon(self.name()).stop(signal),
        }
        .with_context(|| format!("{} could not be stopped", self.name()))?;
        if stopped {
            report(&format!("{} stopped", self.name()), start);
        }
        Ok(())
    }

    /// Where it listens, its process and version; none when it is not up.
    pub(super) fn state(self, home: &Home, parts: &Parts) -> Option<String> {
        if !self.is_up(home, parts) {
            return None;
        }
        let pid = home.daemon(self.name()).pid()?;
        let place = match self.engine(parts) {
            Some(engine) => {
                let version = engines::version(parts, engine).ok()?;
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
                    parts.registry.registry, parts.registry.registry_dns
                )
            }
            None if self == Self::Postgres => format!(
                "127.0.0.1:{}, PostgreSQL {}",
                parts.postgres().ok()?.port,
                postgres::version(parts).ok()?
            ),
            None => parts.callback.url.clone(),
        };
        Some(format!("{place}, process {pid}"))
    }
}

fn start_receiver(home: &Home, parts: &Parts) -> Result<()> {
    let daemon = home.daemon(RECEIVER);
    daemon.stop(Signal::SIGTERM)?;
    let this_program = std::env::current_exe().context("this program's own file was not found")?;
    daemon.start(
        this_program
            .to_str()
            .context("this program's path is not UTF-8")?,
        RECEIVER_START_LIMIT,
        |command| {
            command
                .args([
                    RECEIVER,
                    "--port",
                    &parts.callback.port.to_string(),
                    "--log",
                ])
                .arg(&parts.callback.log);
        },
        || registry::port_answers(parts.callback.port),
    )
}

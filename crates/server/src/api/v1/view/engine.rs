//! Engines. Their keys are never returned.

use std::{collections::BTreeMap, time::Duration};

use fastbuild_builder::{EngineInfo, ProvenEngine, options};
use fastbuild_spec::failure::Language;
use fastbuild_store::{self as store, NamedEngine};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::build::FailureDetail;

/// An engine.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Engine {
    /// Its name.
    #[schema(example = "builder-2")]
    name: String,
    /// IP address or host name.
    #[schema(example = "192.0.2.12")]
    host: String,
    /// TCP port.
    #[schema(example = 2376)]
    port: u16,
    /// Whether it is reached with mutual TLS.
    tls: bool,
    /// How many builds run on it at a time.
    capacity: u32,
    /// Builds that run on it now, of all replicas.
    running: u32,
    /// Whether it is drained and takes no further builds.
    draining: bool,
    /// Labels set by an operator.
    labels: BTreeMap<String, String>,
    /// Its health.
    health: EngineHealth,
    /// Disk use; null until it was measured.
    disk: Option<DiskUse>,
    /// Disk limits; null where none are configured.
    disk_marks: Option<DiskMarks>,
    /// When it was added (RFC 3339).
    #[schema(example = "2026-11-23T09:30:18.683455Z")]
    created_at: String,
    /// When it was last changed, drained or undrained.
    updated_at: String,
}

/// Whether an engine answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EngineHealth {
    /// `up`, `down` (it takes no builds) or `unknown` (not checked yet).
    #[schema(example = "up")]
    state: String,
    /// Since when.
    since: Option<String>,
    /// Why it does not answer.
    failure: Option<FailureDetail>,
}

/// What an engine's disk holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiskUse {
    /// Bytes of images, containers, volumes and build cache.
    used_bytes: u64,
    /// Bytes of build cache among them.
    build_cache_bytes: u64,
    /// When that was (RFC 3339).
    looked_at: String,
}

/// How much an engine's disk may hold.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct DiskMarks {
    /// With more bytes than this, build cache and unused images go.
    high_bytes: u64,
    /// Until no more bytes than this are left.
    low_bytes: u64,
}

impl From<options::DiskMarks> for DiskMarks {
    fn from(marks: options::DiskMarks) -> Self {
        Self {
            high_bytes: marks.high,
            low_bytes: marks.low,
        }
    }
}

impl Engine {
    /// An engine, its failure in this language.
    pub(crate) fn new(
        engine: NamedEngine,
        marks: Option<options::DiskMarks>,
        language: Language,
    ) -> Self {
        Self {
            name: engine.name,
            host: engine.host,
            port: engine.port,
            tls: engine.tls,
            capacity: engine.capacity,
            running: engine.running,
            draining: engine.draining,
            labels: engine.labels,
            health: EngineHealth::new(&engine.health, language),
            disk: engine.disk.map(DiskUse::from),
            disk_marks: marks.map(DiskMarks::from),
            created_at: engine.created_at.to_string(),
            updated_at: engine.updated_at.to_string(),
        }
    }
}

impl EngineHealth {
    fn new(health: &store::EngineHealth, language: Language) -> Self {
        let failure = health.failure.as_ref();
        Self {
            state: health.state.to_string(),
            since: health.since.map(|since| since.to_string()),
            failure: failure.map(|failure| FailureDetail::new(failure, language)),
        }
    }
}

impl From<store::DiskUse> for DiskUse {
    fn from(disk: store::DiskUse) -> Self {
        Self {
            used_bytes: disk.used_bytes,
            build_cache_bytes: disk.cache_bytes,
            looked_at: Timestamp::from_microsecond(disk.at)
                .unwrap_or_default()
                .to_string(),
        }
    }
}

/// The path of an engine.
pub(crate) fn path(name: &str) -> String {
    format!("/api/v1/engines/{name}")
}

/// All engines.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EngineList {
    /// The engines, by name.
    pub(crate) engines: Vec<Engine>,
}

/// What an engine was, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EngineHistory {
    /// Its revisions.
    pub(crate) revisions: Vec<EngineRevision>,
}

/// What an engine was from a time on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EngineRevision {
    /// When it came into force (RFC 3339).
    created_at: String,
    /// IP address or host name.
    host: String,
    /// TCP port.
    port: u16,
    /// Whether it was reached with mutual TLS.
    tls: bool,
    /// How many builds ran on it at a time; null where `config-fastbuild` set the address alone.
    capacity: Option<u32>,
    /// What an operator said about it; null where `config-fastbuild` set the address alone.
    labels: Option<BTreeMap<String, String>>,
}

impl From<store::EngineRevision> for EngineRevision {
    fn from(row: store::EngineRevision) -> Self {
        Self {
            created_at: row.created_at.to_string(),
            host: row.host,
            port: row.port,
            tls: row.tls,
            capacity: row.capacity,
            labels: row.labels,
        }
    }
}

/// What an engine answered when it was proven.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EngineProof {
    /// What it is.
    engine: EngineFound,
    /// Milliseconds until it had said so, the connection included.
    answered_in_ms: u64,
    /// The registry it logged in to; null before one is configured.
    registry: Option<String>,
    /// Milliseconds that took.
    logged_in_in_ms: Option<u64>,
}

/// What an engine is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EngineFound {
    /// Its version.
    #[schema(example = "28.5.2")]
    version: String,
    /// The newest version of the Docker Engine API that it speaks.
    #[schema(example = "1.51")]
    api_version: String,
    /// `linux` or `windows`.
    os: String,
    /// `amd64`, `arm64`, ...
    arch: String,
    /// Processors it sees.
    cpus: u32,
    /// Bytes of memory it sees.
    memory_bytes: u64,
    /// Whether it builds with BuildKit; without, passwords in images are refused.
    buildkit: bool,
    /// Whether it keeps images in containerd's store, and packs their layers while it builds.
    containerd_store: bool,
}

impl From<ProvenEngine> for EngineProof {
    fn from(proven: ProvenEngine) -> Self {
        let (registry, logged_in) = proven.login.unzip();
        Self {
            engine: proven.info.into(),
            answered_in_ms: milliseconds(proven.answered_in),
            registry,
            logged_in_in_ms: logged_in.map(milliseconds),
        }
    }
}

impl From<EngineInfo> for EngineFound {
    fn from(info: EngineInfo) -> Self {
        Self {
            version: info.version,
            api_version: info.api_version,
            os: info.os,
            arch: info.arch,
            cpus: info.cpus,
            memory_bytes: info.memory,
            buildkit: info.buildkit,
            containerd_store: info.containerd_store,
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

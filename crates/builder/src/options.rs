//! What a builder is told at its start; the binary makes it from the configuration.

use std::{path::PathBuf, time::Duration};

pub use fastbuild_engine::Compression;
use fastbuild_spec::{
    callback::SigningSecret,
    limits::{BuildLimits, LimitBounds},
    reference::ImageReference,
    request::{RequestPolicy, WireKey},
    requirements::Sources,
};

/// What a builder is told at its start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where mirrors, tools and the builds' files lie.
    pub folders: Folders,
    /// Bounds on what a build may take.
    pub limits: Limits,
    /// What builds do to be fast and to get through.
    pub builds: BuildOptions,
    /// How callbacks are delivered.
    pub callbacks: CallbackOptions,
    /// What is removed by and by.
    pub cleaning: CleaningOptions,
    /// Base images to register at the start.
    pub base_images: Vec<ImageReference>,
    /// The key of the wire secrets.
    pub wire_key: WireKey,
    /// What requests may install from beside the mirrors of the catalog.
    pub sources: Sources,
    /// This process's name in the build rows; unique among processes on one database.
    pub worker: String,
}

impl Options {
    /// What requests are parsed by.
    pub fn request_policy(&self) -> RequestPolicy {
        RequestPolicy {
            wire_key: self.wire_key.clone(),
            limits: self.limits.bounds(),
            sources: self.sources.clone(),
        }
    }
}

/// Where mirrors, tools and the builds' files lie.
#[derive(Debug, Clone)]
pub struct Folders {
    /// Mirror files: `<kind>/<group>/<file>`.
    pub source_dir: PathBuf,
    /// Installer files: `python/`, `pip/pip2/`, `pip/pip3/`, `conda/`.
    pub tools_dir: PathBuf,
    /// One folder per build.
    pub task_dir: PathBuf,
}

/// Bounds on what a build may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Builds that run on the default engine at a time, until somebody changes that engine.
    pub builds_per_engine: u32,
    /// How long a claim holds without a sign of life from its worker.
    pub lease: Duration,
    /// How long running builds may go on after the service was told to end.
    pub grace: Duration,
    /// From claim to end.
    pub build_time: Duration,
    /// Without a line, a step or a moved byte from the engine.
    pub silence: Duration,
    /// For the push alone.
    pub push_time: Duration,
    /// The longest limits that a request may set for its own build.
    pub longest: BuildLimits,
    /// How long a submission waits for the base image's profile when only that can tell
    /// whether a mirror file fits.
    pub preflight: Duration,
    /// How long builds wait in the queue for an engine to answer again when none does.
    pub engine_return: Duration,
    /// Size of an image in bytes beyond which it is not pushed.
    pub image_bytes: u64,
    /// Bytes of log that one attempt of a build may write.
    pub log_bytes: u64,
    /// Bytes that all files of one upload may have together.
    pub upload_bytes: u64,
}

impl Limits {
    /// How long builds may take: as configured, and as requests may ask for.
    pub fn bounds(&self) -> LimitBounds {
        LimitBounds {
            default: BuildLimits {
                total: self.build_time.as_secs(),
                silence: self.silence.as_secs(),
                push: self.push_time.as_secs(),
            },
            longest: self.longest,
        }
    }
}

/// How callbacks are delivered.
#[derive(Debug, Clone)]
pub struct CallbackOptions {
    /// How long one try may take.
    pub timeout: Duration,
    /// The wait before each further try; its length bounds the tries.
    pub retry_after: Vec<Duration>,
    /// What callbacks are signed with until another secret is set at run time.
    pub signing_secret: Option<SigningSecret>,
}

/// What is removed by and by. Zero turns a part off.
#[derive(Debug, Clone)]
pub struct CleaningOptions {
    /// Images on the engine that nobody used for so many days are removed from it.
    pub image_reserve_days: u32,
    /// Files and logs of builds that ended so many days ago are removed.
    pub task_retention_days: u32,
    /// Callbacks that ended so many days ago are forgotten, with their tries.
    pub callback_retention_days: u32,
    /// Bytes of build cache that the engine keeps.
    pub build_cache_bytes: u64,
    /// From one cleaning to the next.
    pub interval: Duration,
    /// How much the disk of each engine may hold; `None` watches and leaves it.
    pub disk_marks: Option<DiskMarks>,
}

/// What builds do to be fast and to get through.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// How layers are packed on an engine that packs them itself.
    pub compression: Compression,
    /// The wait before each further push after the registry could not be reached; its length bounds the
    /// tries.
    pub registry_retry_delays: Vec<Duration>,
    /// For how many minutes package lists that an engine has in its caches count as fresh.
    pub lists_fresh_minutes: u32,
    /// For how long a built image is given to equal requests; zero builds each.
    pub reuse: Duration,
    /// PEM file of authorities that are trusted for the registry beside this machine's.
    pub registry_ca_file: Option<PathBuf>,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            compression: Compression::Gzip,
            registry_retry_delays: vec![Duration::from_secs(2), Duration::from_secs(10)],
            lists_fresh_minutes: 60,
            reuse: Duration::ZERO,
            registry_ca_file: None,
        }
    }
}

/// How much an engine's disk may hold, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskMarks {
    /// With more than this, things go.
    pub high: u64,
    /// Until no more than this is left.
    pub low: u64,
}

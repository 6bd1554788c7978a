//! The configuration: the documented default file, an operator's file over it, `FASTBUILD_*`
//! variables over that, flags over all. Every mistake is named at once.

mod reader;
mod sources;

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::builder::{PathBufValueParser, TypedValueParser as _};
use fastbuild_builder::options::{BuildOptions, CallbackOptions, CleaningOptions, Folders, Limits};
#[cfg(debug_assertions)]
use fastbuild_engine::crash::CrashPoint;
use fastbuild_server::AllowedOrigins;
use fastbuild_spec::{
    reference::ImageReference,
    request::WireKey,
    requirements::Sources,
    settings::{CallbackHeaders, check_headers},
};
use fastbuild_store::Store;
use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use self::reader::Reader;

/// The documented default file, which is the default.
pub const DEFAULT_FILE: &str = include_str!("../fastbuild.toml");

/// What the names of variables begin with.
const PREFIX: &str = "FASTBUILD_";

/// Variables that are read elsewhere: the file's own name, the tests' parts, and in a debug build
/// the point at which it kills itself.
const READ_ELSEWHERE: &[&str] = if cfg!(debug_assertions) {
    &["config", "env_dir", CRASH_AT]
} else {
    &["config", "env_dir"]
};
const CRASH_AT: &str = "crash_at";

/// Flags that override everything else.
#[derive(Debug, Clone, Default, clap::Args, Serialize)]
pub struct Overrides {
    /// Folder everything lives under; a relative one is below the current folder
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        value_parser = PathBufValueParser::new().try_map(std::path::absolute)
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_dir: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, global = true, value_name = "IP")]
    #[serde(skip)]
    pub address: Option<IpAddr>,
    /// Port to listen on
    #[arg(long, global = true)]
    #[serde(skip)]
    pub port: Option<u16>,
}

/// The configuration as it is in force.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where mirrors, tools and the builds' files lie.
    pub folders: Folders,
    /// The folder everything lives under.
    pub base_dir: PathBuf,
    /// Where the database is.
    pub database_url: String,
    /// Where the key lies that seals passwords in the database.
    pub seal_key_file: PathBuf,
    /// The address to listen on.
    pub address: IpAddr,
    /// The port to listen on.
    pub port: u16,
    /// Origins whose pages may call.
    pub allowed_origins: AllowedOrigins,
    /// Clients that follow builds at a time.
    pub stream_clients: usize,
    /// The key of the secrets in build requests.
    pub wire_key: WireKey,
    /// What requests may install from beside the mirrors of the catalog.
    pub sources: Sources,
    /// Headers of callbacks until others are set.
    pub callback_headers: BTreeMap<String, String>,
    /// How callbacks are delivered.
    pub callbacks: CallbackOptions,
    /// Bounds on what a build may take.
    pub limits: Limits,
    /// What builds do to be fast and to get through.
    pub builds: BuildOptions,
    /// Base images to register at the start.
    pub base_images: Vec<ImageReference>,
    /// What is removed by and by.
    pub cleaning: CleaningOptions,
    /// How logs are written.
    pub log: LogConfig,
}

/// How logs are written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Text for people or JSON for machines.
    pub format: LogFormat,
    /// A `tracing` filter directive.
    pub filter: String,
}

/// The two forms a log line can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "the configuration has {} mistake(s):",
            self.0.len()
        )?;
        for mistake in &self.0 {
            writeln!(formatter, "  - {mistake}")?;
        }
        formatter.write_str(
            "Correct the file, the FASTBUILD_* variable or the flag named, then run \
             `fastbuild config check`.",
        )
    }
}

impl std::error::Error for Mistakes {}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Every mistake there is: a file that cannot be read, unknown keys, values of the wrong type
    /// or out of bounds.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Self, Mistakes> {
        let mut figment = Figment::from(Toml::string(DEFAULT_FILE));
        if let Some(file) = file {
            if let Err(error) = std::fs::File::open(file) {
                return Err(Mistakes(vec![format!(
                    "the file {} cannot be read: {error}",
                    file.display()
                )]));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        figment = figment
            .merge(Env::prefixed(PREFIX).ignore(READ_ELSEWHERE).split("__"))
            .merge(Serialized::defaults(overrides));
        if let Some(address) = overrides.address {
            figment = figment.merge(("listen.address", address));
        }
        if let Some(port) = overrides.port {
            figment = figment.merge(("listen.port", port));
        }
        Self::from_figment(&figment)
    }

    /// The point at which a debug build kills itself: `FASTBUILD_CRASH_AT`.
    ///
    /// # Errors
    /// When there is no point of this name.
    #[cfg(debug_assertions)]
    pub fn crash_point() -> Result<Option<CrashPoint>, Mistakes> {
        let variable = Figment::from(Env::prefixed(PREFIX).only(&[CRASH_AT]));
        let Ok(name) = variable.extract_inner::<String>(CRASH_AT) else {
            return Ok(None);
        };
        let unknown = |_| Mistakes(vec![format!("{CRASH_AT}: {name:?} is no point of a build")]);
        name.parse().map(Some).map_err(unknown)
    }

    fn from_figment(figment: &Figment) -> Result<Self, Mistakes> {
        let mut reader = Reader {
            figment,
            mistakes: Vec::new(),
        };
        reader.refuse_unknown_keys();
        let base_dir: PathBuf = reader.get("base_dir").unwrap_or_default();
        if !base_dir.is_absolute() {
            reader.mistake("base_dir", "must be an absolute path");
        }
        let under_base = |reader: &mut Reader<'_>, key: &str, name: &str| -> PathBuf {
            match reader.get::<PathBuf>(key) {
                Some(path) if path.as_os_str().is_empty() => base_dir.join(name),
                Some(path) => {
                    if !path.is_absolute() {
                        reader.mistake(key, "must be an absolute path");
                    }
                    path
                }
                None => PathBuf::new(),
            }
        };
        let source_dir = under_base(&mut reader, "source_dir", "source");
        let tools_dir = under_base(&mut reader, "tools_dir", "tools");
        let task_dir = under_base(&mut reader, "task_dir", "task");
        let seal_key_file = under_base(&mut reader, "seal_key_file", "seal.key");
        let database_url = match reader.get::<String>("database_url").unwrap_or_default() {
            url if url.is_empty() => {
                format!("sqlite://{}", base_dir.join("fastbuild.db").display())
            }
            url => {
                if let Err(error) = Store::check_url(&url) {
                    reader.mistake("database_url", &error.to_string());
                }
                url
            }
        };
        let key: String = reader.get("aes.key").unwrap_or_default();
        let iv: String = reader.get("aes.iv").unwrap_or_default();
        let wire_key = match WireKey::new(&key, &iv) {
            Ok(key) => Some(key),
            Err(error) => {
                reader.mistake("aes", &error.to_string());
                None
            }
        };
        let origins: Vec<String> = reader.get("cors.origins").unwrap_or_default();
        let allowed_origins = match AllowedOrigins::parse(&origins) {
            Ok(allowed) => Some(allowed),
            Err(bad) => {
                for origin in bad {
                    reader.mistake("cors.origins", &origin.to_string());
                }
                None
            }
        };
        let callback_headers: Option<CallbackHeaders> = reader.get("callback.headers");
        if let Some(Err(errors)) = callback_headers.as_ref().map(check_headers) {
            for error in errors.reported() {
                reader.mistake(
                    &format!("callback.headers.{}", error.path),
                    &error.allowed.en,
                );
            }
        }
        let log: Option<LogConfig> = reader.get("log");
        if let Some(log) = &log
            && let Err(error) = EnvFilter::try_new(&log.filter)
        {
            reader.mistake("log.filter", &error.to_string());
        }
        let signing_secret = reader.signing_secret();
        let base_images = reader.base_images();
        let sources = reader.sources();
        let longest = reader.longest_limits();
        let disk_marks = reader.disk_marks();
        let config = (|| {
            Some(Self {
                folders: Folders {
                    source_dir,
                    tools_dir,
                    task_dir,
                },
                base_dir,
                database_url,
                seal_key_file,
                address: reader.get("listen.address")?,
                port: reader.get("listen.port")?,
                allowed_origins: allowed_origins?,
                stream_clients: reader.at_least_one::<u16>("api.stream_clients")?.into(),
                wire_key: wire_key?,
                sources: sources?,
                callback_headers: callback_headers?,
                callbacks: CallbackOptions {
                    timeout: reader.seconds("callback.timeout_seconds")?,
                    retry_after: reader
                        .get::<Vec<u64>>("callback.retry_seconds")?
                        .into_iter()
                        .map(Duration::from_secs)
                        .collect(),
                    signing_secret,
                },
                limits: Limits {
                    builds_per_engine: reader.at_least_one("builds.per_engine")?,
                    lease: reader.seconds("builds.lease_seconds")?,
                    grace: Duration::from_secs(reader.get("builds.grace_seconds")?),
                    build_time: reader.seconds("builds.total_seconds")?,
                    silence: reader.seconds("builds.silence_seconds")?,
                    push_time: reader.seconds("builds.push_seconds")?,
                    longest: longest?,
                    preflight: reader.seconds("builds.preflight_seconds")?,
                    engine_return: reader.seconds("builds.engine_return_seconds")?,
                    image_bytes: reader.get("builds.image_size_limit")?,
                    log_bytes: reader.at_least_one("builds.log_limit")?,
                    upload_bytes: reader.at_least_one("uploads.size_limit")?,
                },
                builds: BuildOptions {
                    compression: reader.get("builds.compression")?,
                    registry_retry_delays: reader
                        .get::<Vec<u64>>("builds.push_retry_seconds")?
                        .into_iter()
                        .map(Duration::from_secs)
                        .collect(),
                    lists_fresh_minutes: reader.get("builds.package_lists_fresh_minutes")?,
                    reuse: Duration::from_secs(reader.get("builds.reuse_seconds")?),
                    registry_ca_file: reader
                        .get::<Option<PathBuf>>("builds.registry_ca_file")?
                        .filter(|path| !path.as_os_str().is_empty()),
                },
                base_images: base_images?,
                cleaning: CleaningOptions {
                    image_reserve_days: reader.get("cleaning.image_reserve_days")?,
                    task_retention_days: reader.get("cleaning.task_retention_days")?,
                    callback_retention_days: reader.get("cleaning.callback_retention_days")?,
                    build_cache_bytes: reader.get("cleaning.build_cache_limit")?,
                    interval: reader.hours("cleaning.interval_hours")?,
                    disk_marks,
                },
                log: log?,
            })
        })();
        match config {
            Some(config) if reader.mistakes.is_empty() => Ok(config),
            _ => {
                // Reading stops at the first key of a group that is wrong; ask for every other
                // one as well, so that one answer names them all.
                reader.ask_for_the_rest();
                Err(Mistakes(reader.mistakes))
            }
        }
    }
}

#[cfg(test)]
mod tests;

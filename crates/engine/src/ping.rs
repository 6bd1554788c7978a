//! Whether an engine answers, and its version and features.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{Engine, EngineError, InsecureRegistries, NoAnswer, error::classify};

/// The oldest API version FastBuild works with: Docker 19.03, whose classic builder takes what a plan needs.
pub(crate) const MIN_API: &str = "1.40";

/// What an engine is.
#[expect(
    clippy::struct_excessive_bools,
    reason = "what an engine can do is a list of independent yes and no"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// The id it gives itself; engines that share one machine's `/etc/docker` may share it.
    pub id: String,
    /// Its version, such as `20.10.24+dfsg1`.
    pub version: String,
    /// The newest API version it speaks, such as `1.41`.
    pub api_version: String,
    /// `linux` or `windows`.
    pub os: String,
    /// Its processor architecture in Go's words: `amd64`, `arm64`.
    pub arch: String,
    /// Whether it builds with BuildKit.
    pub buildkit: bool,
    /// Whether it keeps images in containerd's image store.
    pub containerd_store: bool,
    /// Whether its Dockerfile frontend has `COPY --link`.
    pub copy_link: bool,
    /// Whether a build can pack an image's layers itself ([`crate::ImageBuild::packing`]).
    pub packs: bool,
    /// Processors it sees.
    pub cpus: u32,
    /// Bytes of memory it sees.
    pub memory: u64,
    /// The time by its own clock (RFC 3339), as it wrote it; empty where it does not say.
    pub system_time: String,
    /// The registries that it may speak to without TLS.
    pub insecure_registries: InsecureRegistries,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Release {
    version: String,
    api_version: String,
    os: String,
    arch: String,
}

/// `GET /info`, the parts of interest.
#[derive(Deserialize)]
struct Info {
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(rename = "DriverStatus", default)]
    driver_status: Option<Vec<Vec<String>>>,
    #[serde(rename = "NCPU", default)]
    cpus: u32,
    #[serde(rename = "MemTotal", default)]
    memory: u64,
    #[serde(rename = "SystemTime", default)]
    system_time: String,
    #[serde(rename = "RegistryConfig", default)]
    registries: InsecureRegistries,
}

impl Engine {
    /// Asks the engine whether it is there, and nothing else; one short request.
    ///
    /// # Errors
    /// As [`Engine::ping`].
    pub async fn answers(&self) -> Result<(), EngineError> {
        self.get_ping().await.map(drop)
    }

    async fn get_ping(&self) -> Result<Response<Bytes>, EngineError> {
        let ping = self.get("/_ping").await?;
        let version = ping.headers().get("api-version");
        if let (StatusCode::OK, Some(version)) = (ping.status(), version) {
            self.require_api(&String::from_utf8_lossy(version.as_bytes()))?;
            return Ok(ping);
        }
        if !ping.status().is_success() {
            let text = crate::json_stream::error_text(ping.body());
            if let Some(error) = classify::about_engine(self.address(), &text) {
                return Err(error);
            }
        }
        Err(self.no_engine(&format!(
            "its answer to /_ping has the status {}",
            ping.status()
        )))
    }

    /// Asks the engine who it is; proves that the connection and its certificates work.
    ///
    /// # Errors
    /// `Unreachable` when no engine answers, `Tls` when the certificates do not go together.
    pub async fn ping(&self) -> Result<EngineInfo, EngineError> {
        let ping = self.get_ping().await?;
        // One of them in the version agreed on: an engine that refuses it would refuse every other call.
        let (version, info) = tokio::try_join!(self.get("/version"), self.get_versioned("/info"))?;
        let release: Release = self.read(&version)?;
        let info: Info = self.read(&info)?;
        let buildkit = has_buildkit(ping.headers(), &release.api_version);
        let containerd_store = info
            .driver_status
            .unwrap_or_default()
            .iter()
            .any(|pair| matches!(pair.as_slice(), [name, value] if name == "driver-type" && value.starts_with("io.containerd.snapshotter")));
        Ok(EngineInfo {
            id: info.id,
            buildkit,
            // Docker 23, whose BuildKit is the first with a frontend of version 1.4.
            copy_link: buildkit && api_is_at_least(&release.api_version, (1, 42)),
            // Docker 25; before, the store was an experiment whose exporter differed.
            packs: buildkit && containerd_store && api_is_at_least(&release.api_version, (1, 44)),
            version: release.version,
            api_version: release.api_version,
            os: release.os,
            arch: release.arch,
            containerd_store,
            cpus: info.cpus,
            memory: info.memory,
            system_time: info.system_time,
            insecure_registries: info.registries,
        })
    }

    /// Refuses an engine whose newest API version is older than [`MIN_API`].
    pub(crate) fn require_api(&self, newest: &str) -> Result<(), EngineError> {
        match (parse_version(newest), parse_version(MIN_API)) {
            (Some(newest), Some(minimum)) if newest < minimum => {}
            _ => return Ok(()),
        }
        Err(EngineError::ApiVersion {
            address: self.address().to_owned(),
            detail: format!("its newest API version is {newest}"),
        })
    }

    fn no_engine(&self, detail: &str) -> EngineError {
        EngineError::Unreachable {
            address: self.address().to_owned(),
            reason: NoAnswer::NotAnEngine(detail.to_owned()),
        }
    }

    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        response: &Response<Bytes>,
    ) -> Result<T, EngineError> {
        if !response.status().is_success() {
            let text = String::from_utf8_lossy(response.body());
            return Err(classify::answer_error(
                self.address().to_owned(),
                response.status().as_u16(),
                &text,
            ));
        }
        serde_json::from_slice(response.body()).map_err(|error| self.no_engine(&error.to_string()))
    }
}

/// Whether an engine has a BuildKit whose built-in frontend understands the mounts of `RUN` that a
/// plan uses: since API 1.41 (Docker 20.10); engines before have BuildKit, but a frontend that
/// needs a `# syntax=` line for them. The `Builder-Version` header of `/_ping` names the builder
/// the engine's own command line would use, which an operator may have set to the classic one (`1`)
/// without taking BuildKit away. Windows engines have none.
fn has_buildkit(headers: &HeaderMap, api_version: &str) -> bool {
    let windows = headers.get("ostype").is_some_and(|os| os == "windows");
    !windows && api_is_at_least(api_version, (1, 41))
}

fn api_is_at_least(version: &str, wanted: (u32, u32)) -> bool {
    parse_version(version).is_some_and(|version| version >= wanted)
}

/// An API version such as `1.41` as numbers.
fn parse_version(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

impl EngineInfo {
    /// What it is and can do, in one line for a build's log.
    pub fn summary(&self) -> String {
        let mut can = vec![if self.buildkit {
            "BuildKit"
        } else {
            "the classic builder only"
        }];
        if self.copy_link {
            can.push("COPY --link");
        }
        can.push(if self.containerd_store {
            "containerd's image store"
        } else {
            "Docker's own image store"
        });
        format!(
            "Docker Engine {} (API {}, {}/{}): {}",
            self.version,
            self.api_version,
            self.os,
            self.arch,
            can.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn engine_older_than_the_minimum_api_is_refused() {
        let endpoint = crate::Endpoint::Unix("/nowhere".into());
        let engine = Engine::new(&endpoint, crate::EngineLimits::default()).unwrap();
        for newest in ["1.40", "1.41", "1.51", "2.0"] {
            assert_eq!(engine.require_api(newest), Ok(()), "{newest}");
        }
        for newest in ["1.24", "1.39"] {
            let error = engine.require_api(newest).unwrap_err();
            assert!(matches!(error, EngineError::ApiVersion { .. }), "{error}");
        }
    }

    #[test]
    fn buildkit_is_usable_since_api_1_41_and_never_on_windows() {
        let mut headers = HeaderMap::new();
        headers.insert("builder-version", HeaderValue::from_static("1"));
        headers.insert("ostype", HeaderValue::from_static("linux"));
        assert!(has_buildkit(&headers, "1.41"));
        assert!(!has_buildkit(&headers, "1.40"));
        assert!(!has_buildkit(&headers, "?"));
        headers.insert("ostype", HeaderValue::from_static("windows"));
        assert!(!has_buildkit(&headers, "1.47"));
    }
}

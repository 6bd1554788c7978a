//! Disk usage of an engine (`GET /system/df`).

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde::Deserialize;

use crate::{Engine, EngineError, error::classify};

/// How long an engine may take to measure what it holds; it looks at every file of its volumes.
const DISK_USAGE_TIMEOUT: Duration = Duration::from_mins(5);

/// What an engine's disk holds, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskUsage {
    /// Layers of images, each once.
    pub images: u64,
    /// Build cache that is not a part of any image.
    pub build_cache: u64,
    /// What containers wrote.
    pub containers: u64,
    /// Volumes.
    pub volumes: u64,
}

impl DiskUsage {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.images + self.build_cache + self.containers + self.volumes
    }
}

/// The answer to `GET /system/df` (Docker Engine API): until version 1.51 the things themselves, from
/// 1.52 on sums.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct SystemDf {
    layers_size: Option<i64>,
    containers: Option<Vec<Container>>,
    volumes: Option<Vec<Volume>>,
    build_cache: Option<Vec<CacheRecord>>,
    image_usage: Option<Sum>,
    container_usage: Option<Sum>,
    volume_usage: Option<Sum>,
    build_cache_usage: Option<Sum>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    size_rw: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Volume {
    usage_data: Option<VolumeSize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeSize {
    /// -1 where the volume's driver does not tell.
    size: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CacheRecord {
    size: i64,
    /// It is a layer of an image as well, and counted there.
    #[serde(default)]
    shared: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sum {
    total_size: i64,
}

fn sum(sizes: impl Iterator<Item = i64>) -> u64 {
    sizes.filter_map(|size| u64::try_from(size).ok()).sum()
}

impl From<SystemDf> for DiskUsage {
    fn from(df: SystemDf) -> Self {
        let total = |sum: Option<Sum>| sum.map(|sum| u64::try_from(sum.total_size).unwrap_or(0));
        let containers = df.containers.unwrap_or_default().into_iter();
        let volumes = df.volumes.unwrap_or_default().into_iter();
        let cache = df.build_cache.unwrap_or_default().into_iter();
        Self {
            images: total(df.image_usage).unwrap_or_else(|| sum(df.layers_size.into_iter())),
            build_cache: total(df.build_cache_usage).unwrap_or_else(|| {
                sum(cache
                    .filter(|record| !record.shared)
                    .map(|record| record.size))
            }),
            containers: total(df.container_usage)
                .unwrap_or_else(|| sum(containers.filter_map(|container| container.size_rw))),
            volumes: total(df.volume_usage)
                .unwrap_or_else(|| sum(volumes.filter_map(|volume| Some(volume.usage_data?.size)))),
        }
    }
}

impl Engine {
    /// Measures what the engine's disk holds. That is work for the engine: not to be asked often.
    ///
    /// # Errors
    /// `TimedOut` when the engine does not get it done in five minutes.
    pub async fn disk_usage(&self) -> Result<DiskUsage, EngineError> {
        let request = self
            .request(Method::GET, "/system/df")
            .await?
            .body(Full::<Bytes>::default())
            .map_err(|error| self.internal(error.to_string()))?;
        let (status, body) = self
            .long(request, "measuring disk usage", DISK_USAGE_TIMEOUT)
            .await?;
        let df: SystemDf = self.read_long(status, &body)?;
        Ok(df.into())
    }

    /// Sends a request that the engine takes long to answer, and reads the whole answer.
    pub(crate) async fn long(
        &self,
        request: http::Request<Full<Bytes>>,
        what: &str,
        limit: Duration,
    ) -> Result<(StatusCode, Bytes), EngineError> {
        let exchange = async {
            let (parts, body) = self.transport().send(request).await?.into_parts();
            let body = body
                .collect()
                .await
                .map_err(|error| self.transport().lost(&error))?
                .to_bytes();
            Ok((parts.status, body))
        };
        tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| EngineError::TimedOut {
                address: self.address().to_owned(),
                what: what.to_owned(),
                limit,
            })?
    }

    pub(crate) fn read_long<T: serde::de::DeserializeOwned>(
        &self,
        status: StatusCode,
        body: &Bytes,
    ) -> Result<T, EngineError> {
        if !status.is_success() {
            let text = String::from_utf8_lossy(body);
            return Err(classify::answer_error(
                self.address().to_owned(),
                status.as_u16(),
                &text,
            ));
        }
        serde_json::from_slice(body).map_err(|error| self.internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn disk_usage_sums_objects_and_skips_shared_cache() {
        let answer = json!({
            "LayersSize": 1000,
            "Images": [{"Id": "a", "Size": 900}],
            "Containers": [{"Id": "b", "SizeRw": 20}, {"Id": "c"}],
            "Volumes": [{"UsageData": {"Size": 3, "RefCount": 1}}, {"UsageData": {"Size": -1}}, {}],
            "BuildCache": [{"ID": "d", "Size": 400, "Shared": false}, {"ID": "e", "Size": 7, "Shared": true}],
        });
        let usage: DiskUsage = serde_json::from_value::<SystemDf>(answer).unwrap().into();
        let expected = DiskUsage {
            images: 1000,
            build_cache: 400,
            containers: 20,
            volumes: 3,
        };
        assert_eq!((usage, usage.total()), (expected, 1423));
        let nothing = json!({"LayersSize": 0, "Images": null, "Containers": null, "Volumes": null, "BuildCache": null});
        let usage: DiskUsage = serde_json::from_value::<SystemDf>(nothing).unwrap().into();
        assert_eq!(usage.total(), 0);
    }

    #[test]
    fn disk_usage_reads_the_sums_of_api_1_52() {
        let sums = |bytes: i64| json!({"ActiveCount": 1, "TotalCount": 2, "Reclaimable": 1, "TotalSize": bytes});
        let answer = json!({
            "ImageUsage": sums(1000), "ContainerUsage": sums(20), "VolumeUsage": sums(3),
            "BuildCacheUsage": sums(400),
        });
        let usage: DiskUsage = serde_json::from_value::<SystemDf>(answer).unwrap().into();
        assert_eq!(usage.total(), 1423);
    }
}

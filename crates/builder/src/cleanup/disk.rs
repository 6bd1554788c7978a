//! Watching the engines' disks: above a mark, build cache and unused images go until another one.
//!
//! What may go is the same as in [`crate::cleanup`]: build cache that no running build uses, and
//! images whose life on the engine is known (it was pulled or built by this installation), that no
//! queued or running build names and no container was made from, those first that were not used for
//! longest.

use std::time::Duration;

use fastbuild_engine::DiskUsage;
use fastbuild_spec::failure::Failure;
use fastbuild_store::DiskUse;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::{
    background::{Nudge, every},
    cleanup::Cleanup,
    engines::context::EngineContext,
};

/// How often the disks are looked at. Measuring is work for an engine.
const POLL_INTERVAL: Duration = Duration::from_mins(5);

/// What left an engine because its disk held too much.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Freed {
    /// Bytes of build cache.
    pub cache_bytes: u64,
    /// Names of images.
    pub images: Vec<String>,
}

impl Cleanup {
    /// Measures the engines' disks, and cleans those that are too full, until `shutdown`.
    pub(crate) async fn watch_disks(self, shutdown: CancellationToken) {
        every(POLL_INTERVAL, Nudge::none(), &shutdown, || async {
            Box::pin(shutdown.run_until_cancelled(self.check_disks())).await;
        })
        .await;
    }

    async fn check_disks(&self) {
        let Ok(contexts) = self.engines.contexts().await else {
            // Not configured yet, or a database that says so elsewhere.
            return;
        };
        let answering = contexts
            .iter()
            .filter(|context| !self.engines.monitor().is_down(&context.name));
        let looks = answering.map(|context| async {
            match self.mind_disk(context).await {
                Ok(freed) if freed == Freed::default() => {}
                Ok(freed) => tracing::info!(
                    engine = context.name,
                    cache_bytes = freed.cache_bytes,
                    images = freed.images.len(),
                    "the engine's disk held too much and was cleaned"
                ),
                Err(failure) => {
                    tracing::warn!(engine = context.name, %failure, "the engine's disk could not be looked at");
                }
            }
        });
        join_all(looks).await;
    }

    /// Looks at an engine's disk now, and cleans it where it holds too much.
    ///
    /// # Errors
    /// `NotConfigured`, `NotFound`, or what the engine answered.
    pub async fn disk(&self, engine: &str) -> Result<Freed, Failure> {
        let context = self.engines.context(engine).await?;
        self.mind_disk(&context).await
    }

    async fn mind_disk(&self, context: &EngineContext) -> Result<Freed, Failure> {
        let mut usage = self.measure(context).await?;
        let mut freed = Freed::default();
        let Some(marks) = self.common.options.cleaning.disk_marks else {
            return Ok(freed);
        };
        if usage.total() <= marks.high {
            return Ok(freed);
        }
        let excess = usage.total() - marks.low;
        let keep = usage.build_cache.saturating_sub(excess);
        if keep < usage.build_cache {
            let pruned = context.engine.prune_build_cache(keep).await;
            freed.cache_bytes = pruned.map_err(|error| error.failure())?;
            usage = self.measure(context).await?;
        }
        if usage.total() > marks.low {
            let unused = self
                .common
                .store
                .images_unused_since(context.engine.address(), self.common.now())
                .await?;
            let held = context.engine.images_in_containers().await;
            let held = held.map_err(|error| error.failure())?;
            for life in unused {
                if !self
                    .clean_image(context, &life, |id| held.contains(id))
                    .await?
                {
                    continue;
                }
                freed.images.push(life.image_name);
                // Images share layers: only measuring tells what became free.
                usage = self.measure(context).await?;
                if usage.total() <= marks.low {
                    break;
                }
            }
        }
        if usage.total() > marks.high {
            tracing::warn!(
                engine = context.name,
                used_bytes = usage.total(),
                high_mark_bytes = marks.high,
                "the engine's disk holds more than its high mark, and nothing of it may go"
            );
        }
        Ok(freed)
    }

    /// Measures what an engine's disk holds, and notes it for people.
    async fn measure(&self, context: &EngineContext) -> Result<DiskUsage, Failure> {
        let usage = context.engine.disk_usage().await;
        let usage = usage.map_err(|error| error.failure())?;
        let disk = DiskUse {
            used_bytes: usage.total(),
            cache_bytes: usage.build_cache,
            at: self.common.now().as_microsecond(),
        };
        let noted = self.common.store.note_disk(&context.name, disk).await;
        noted?;
        Ok(usage)
    }
}

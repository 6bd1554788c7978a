//! Keeping disks from filling up: images that no build used for long leave the engines, files and
//! logs of builds that ended long ago leave ours, callbacks that ended long ago are forgotten, and
//! the build cache stays below a limit.
//!
//! An image is only removed when its life on the engine is known (it was pulled or built by this
//! installation), no queued or running build names it as base or target, and no container was made
//! from it. Registries keep everything.

pub(crate) mod disk;

use std::time::Duration;

use fastbuild_spec::failure::{Failure, ReasonCode};
use fastbuild_store::ImageLifetime;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::{
    background::{Nudge, every, lease::Lease},
    builds::files,
    common::Common,
    engines::{Engines, context::EngineContext},
    images::Images,
};

/// How often it checks whether a cleanup is due; also the wait after one that failed.
const POLL_INTERVAL: Duration = Duration::from_mins(10);
/// The daily cleaning as work that one process does for all.
const LEASE: &str = "cleaning";
/// How long it is a process's that gives no sign of life.
const LEASE_SPAN: Duration = Duration::from_mins(2);
/// Builds or callbacks that are cleaned away between two looks at the database.
const BATCH: u64 = 100;

/// What is removed by and by: unused images, old files and callbacks, build cache. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cleanup {
    common: Common,
    engines: Engines,
    images: Images,
}

impl Cleanup {
    pub(crate) fn new(common: Common, engines: Engines, images: Images) -> Self {
        Self {
            common,
            engines,
            images,
        }
    }

    /// Removes from the engines the images that nobody used there for so many days, and returns
    /// their names. 0 removes all that are not in use right now.
    ///
    /// # Errors
    /// `NotConfigured`, or what an engine answered, after the other ones were cleaned; what was
    /// removed is on record.
    pub async fn images(&self, reserve_days: u32) -> Result<Vec<String>, Failure> {
        let cutoff = self.days_ago(reserve_days);
        let mut removed = Vec::new();
        let mut outcome = Ok(());
        for context in self.engines.contexts().await? {
            match self.clean_images_on(&context, cutoff).await {
                Ok(names) => removed.extend(names),
                Err(failure) => outcome = outcome.and(Err(failure)),
            }
        }
        outcome.map(|()| removed)
    }

    async fn clean_images_on(
        &self,
        context: &EngineContext,
        cutoff: Timestamp,
    ) -> Result<Vec<String>, Failure> {
        let unused = self
            .common
            .store
            .images_unused_since(context.engine.address(), cutoff)
            .await?;
        if unused.is_empty() {
            return Ok(Vec::new());
        }
        let held = context
            .engine
            .images_in_containers()
            .await
            .map_err(|error| error.failure())?;
        let mut removed = Vec::new();
        for life in unused {
            let name = life.image_name.clone();
            if self
                .clean_image(context, &life, |id| held.contains(id))
                .await?
            {
                tracing::info!(engine = context.name, image = %name, last_used = %life.last_used_at, "unused image removed from the engine");
                removed.push(name);
            }
        }
        Ok(removed)
    }

    /// Removes one unused image, unless something needs it; whether it was removed.
    pub(crate) async fn clean_image(
        &self,
        context: &EngineContext,
        life: &ImageLifetime,
        is_held: impl Fn(&str) -> bool,
    ) -> Result<bool, Failure> {
        let Ok(image) = life.image_name.parse() else {
            tracing::warn!(image = %life.image_name, "the recorded name is no image's; it stays");
            return Ok(false);
        };
        // Builds bring their base image under the same lock: one queued before it is seen here,
        // one queued after it pulls the image anew.
        let lock = self.images.lock(context, &life.image_name);
        let _one_at_a_time = lock.lock().await;
        let user = self.common.store.build_using(&life.image_name).await?;
        if user.is_some() {
            return Ok(false);
        }
        let found = context
            .engine
            .find_image(&image)
            .await
            .map_err(|error| error.failure())?;
        let now = self.common.now();
        match found {
            Some(found) if is_held(&found.id) => Ok(false),
            Some(_) => match self
                .images
                .discard(context, &image, life.kind, Some(life.generated_at))
                .await
            {
                Err(failure) if failure.code == ReasonCode::InUse => Ok(false),
                other => other,
            },
            None => {
                // Somebody removed it behind our back; its life has ended all the same.
                self.common
                    .store
                    .image_removed(
                        context.engine.address(),
                        &life.image_name,
                        life.kind,
                        life.generated_at,
                        now,
                    )
                    .await?;
                Ok(false)
            }
        }
    }

    /// Removes the files and logs of builds that ended more than so many days ago, of each build
    /// once, and returns how many builds that were. Their records, steps and Dockerfiles stay.
    ///
    /// # Errors
    /// `Internal` when the database does not answer.
    pub async fn builds(&self, retention_days: u32) -> Result<u64, Failure> {
        let cutoff = self.days_ago(retention_days);
        let (mut cleaned, mut after) = (0, 0);
        loop {
            let batch = self
                .common
                .store
                .uncleaned_builds(cutoff, after, BATCH)
                .await?;
            let Some(last) = batch.last() else {
                return Ok(cleaned);
            };
            after = last.build_id;
            for build in batch {
                let task_dir = &self.common.options.folders.task_dir;
                if let Err(error) = files::remove_folder(task_dir, &build.work_dir_name).await {
                    // Its log stays as well, and the next cleaning finds it again.
                    let folder = task_dir.join(&build.work_dir_name);
                    tracing::warn!(build = build.build_id, folder = %folder.display(), %error, "the build's folder cannot be removed");
                    continue;
                }
                let now = self.common.now();
                let done = self.common.store.clean_build(build.build_id, now).await;
                cleaned += u64::from(done?);
            }
        }
    }

    /// Forgets callbacks that ended more than so many days ago, with their tries, and returns how
    /// many that were.
    ///
    /// # Errors
    /// `Internal` when the database does not answer.
    pub async fn callbacks(&self, retention_days: u32) -> Result<u64, Failure> {
        let cutoff = self.days_ago(retention_days);
        let mut cleaned = 0;
        loop {
            let pruned = self.common.store.prune_deliveries(cutoff, BATCH).await?;
            cleaned += pruned;
            if pruned < BATCH {
                return Ok(cleaned);
            }
        }
    }

    /// Throws build cache away until at most `keep_bytes` of it are left on each engine, and returns
    /// how many bytes became free.
    ///
    /// # Errors
    /// `NotConfigured`, or what an engine answered, after the other ones were cleaned.
    pub async fn build_cache(&self, keep_bytes: u64) -> Result<u64, Failure> {
        let mut freed = 0;
        let mut outcome = Ok(());
        for context in self.engines.contexts().await? {
            match context.engine.prune_build_cache(keep_bytes).await {
                Ok(bytes) => freed += bytes,
                Err(error) => outcome = outcome.and(Err(error.failure())),
            }
        }
        outcome.map(|()| freed)
    }

    /// Cleans whenever a cleaning is due, until `shutdown`.
    pub(crate) async fn keep_clean(self, shutdown: CancellationToken) {
        every(POLL_INTERVAL, Nudge::none(), &shutdown, || async {
            let cleaning = shutdown.run_until_cancelled(self.clean_when_due());
            let cleaned = Box::pin(cleaning).await;
            if let Some(Err(failure)) = cleaned {
                tracing::warn!(%failure, "cleanup failed and will be retried");
            }
        })
        .await;
    }

    /// Cleans when that is due and no other process is at it.
    async fn clean_when_due(&self) -> Result<(), Failure> {
        let lease = Lease {
            common: &self.common,
            name: LEASE,
            holder: self.engines.process(),
            duration: LEASE_SPAN,
        };
        // Who is alone has nobody to share it with, nor to wait for after a restart.
        let is_shared = self.common.store.is_shared();
        if !self.cleaning_is_due().await? || is_shared && !lease.acquire().await? {
            return Ok(());
        }
        let cleaned = async {
            // Another process may have been done with it just before.
            if self.cleaning_is_due().await? {
                self.all().await?;
            }
            Ok(())
        };
        if !is_shared {
            return cleaned.await;
        }
        let never = CancellationToken::new();
        let cleaned = tokio::select! {
            cleaned = cleaned => cleaned,
            lost = lease.renew_until(&never) => lost.map(|_held| {
                tracing::warn!("another process has taken over the cleaning");
            }),
        };
        lease.release().await?;
        cleaned
    }

    /// The time of the last cleaning is remembered across restarts, so that a service that
    /// restarts every day is cleaned every day, and one that restarts every minute not more often.
    async fn cleaning_is_due(&self) -> Result<bool, Failure> {
        if !self.engines.missing_settings().await?.is_empty() {
            return Ok(false);
        }
        let last = self.common.store.last_cleanup().await?;
        let interval = self.common.options.cleaning.interval;
        Ok(last.is_none_or(|last| {
            let since = self.common.now().duration_since(last);
            // A clock that was set back must not stop the cleaning for good.
            since.is_negative() || since.unsigned_abs() >= interval
        }))
    }

    /// All parts that are turned on, once. A part that fails does not keep the others from being
    /// done.
    ///
    /// # Errors
    /// The first failure.
    pub async fn all(&self) -> Result<(), Failure> {
        let options = &self.common.options.cleaning;
        let tasks = match options.task_retention_days {
            0 => Ok(0),
            days => self.builds(days).await,
        };
        let callbacks = match options.callback_retention_days {
            0 => Ok(0),
            days => self.callbacks(days).await,
        };
        let images = match options.image_reserve_days {
            0 => Ok(Vec::new()),
            days => self.images(days).await,
        };
        let cache = match options.build_cache_bytes {
            0 => Ok(0),
            bytes => self.build_cache(bytes).await,
        };
        let (tasks, callbacks, images, cache) = (tasks?, callbacks?, images?, cache?);
        self.common.store.cleaned(self.common.now()).await?;
        tracing::info!(
            builds = tasks,
            callbacks,
            images = images.len(),
            cache_bytes = cache,
            "cleaned"
        );
        Ok(())
    }

    fn days_ago(&self, days: u32) -> Timestamp {
        let span = SignedDuration::from_hours(24 * i64::from(days));
        self.common
            .now()
            .checked_sub(span)
            .unwrap_or(Timestamp::MIN)
    }
}

//! A build that has ended is begun again because somebody asks for it.

use fastbuild_spec::{
    event::Event,
    state::{BuildState, RetryFrom},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DatabaseTransaction,
    EntityTrait as _, QueryFilter as _, QuerySelect as _,
};

use super::{AttemptId, Build, TaskId, fence, lanes, parse_state, read};
use crate::{
    EnqueueError, FencedError, ImageKind, Store, StoreError,
    builds::{enqueue, steps::forget},
    db::{dialect::Retry, time::micros},
    entity::{build, build_request, image},
};

/// What a request to begin a build again came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestartOutcome {
    /// There is no such build.
    NotFound,
    /// It is in a state from which it cannot be begun again so.
    WrongState(BuildState),
    /// Its request is not kept: it was taken over from an old installation.
    NoRequest,
    /// It waits for a worker.
    Queued(Box<Build>),
}

impl Store {
    /// Puts a build that has ended into the queue again, behind its owner's other builds, with all
    /// its attempts before it. From its push it keeps its steps up to there; the callback alone is
    /// [`Store::redeliver_of_build`].
    ///
    /// # Errors
    /// [`EnqueueError::TargetTaken`] when another build has made its target since or is making it.
    pub async fn restart(
        &self,
        task_id: TaskId,
        from: RetryFrom,
        now: Timestamp,
    ) -> Result<RestartOutcome, EnqueueError> {
        let mut retry = Retry::default();
        let outcome = loop {
            match self.try_restart(task_id, from, now).await {
                Err(error) if retry.after(&error).await => {}
                outcome => break outcome,
            }
        };
        match outcome {
            Err(EnqueueError::Store(StoreError::Database(error)))
                if enqueue::is_target_taken(&error) =>
            {
                let Some(build) = self.build(task_id).await? else {
                    return Ok(RestartOutcome::NotFound);
                };
                match enqueue::under_way(self.reader(), &build.target_image).await? {
                    Some(by) => Err(EnqueueError::TargetTaken {
                        target: build.target_image,
                        by,
                        under_way: true,
                    }),
                    None => Err(StoreError::Database(error).into()),
                }
            }
            other => other,
        }
    }

    async fn try_restart(
        &self,
        task_id: TaskId,
        from: RetryFrom,
        now: Timestamp,
    ) -> Result<RestartOutcome, EnqueueError> {
        let tx = self.begin().await?;
        let outcome = restart_within(&tx, task_id, from, now).await;
        if let Ok(RestartOutcome::Queued(_)) = outcome {
            tx.commit().await?;
            self.wake.queue();
            self.wake.events();
        } else {
            // Now and not at some time later: whoever claims passes over a build whose row is
            // locked. A connection that was lost has let go of it already.
            tx.rollback().await.ok();
        }
        outcome
    }

    /// Turns an attempt that was to begin with the push into one from the start, because the image
    /// is not there.
    ///
    /// # Errors
    /// [`FencedError::Lost`].
    pub async fn begin_from_start(
        &self,
        attempt: AttemptId,
        now: Timestamp,
    ) -> Result<(), FencedError> {
        let tx = self.begin().await?;
        let row = fence::held(&tx, attempt).await?;
        forget(&tx, attempt.task_id).await?;
        let mut row: build::ActiveModel = row.into();
        row.retried_from = Set(None);
        row.updated_at = Set(micros(now));
        row.update(&tx).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Everything of [`Store::restart`] that is done under the build's lock.
async fn restart_within(
    tx: &DatabaseTransaction,
    task_id: TaskId,
    from: RetryFrom,
    now: Timestamp,
) -> Result<RestartOutcome, EnqueueError> {
    let row = build::Entity::find()
        .filter(build::Column::TaskId.eq(task_id))
        .lock_exclusive()
        .one(tx)
        .await?;
    let Some(row) = row else {
        return Ok(RestartOutcome::NotFound);
    };
    let state = parse_state(&row.state)?;
    if from == RetryFrom::Callback || !state.may_be_retried(from) {
        return Ok(RestartOutcome::WrongState(state));
    }
    if build_request::Entity::find_by_id(task_id)
        .one(tx)
        .await?
        .is_none()
    {
        return Ok(RestartOutcome::NoRequest);
    }
    let target = format!("{}:{}", row.target_name, row.target_tag);
    let taken = |by, under_way| EnqueueError::TargetTaken {
        target: target.clone(),
        by,
        under_way,
    };
    if let Some(by) = enqueue::under_way(tx, &target).await? {
        return Err(taken(by, true));
    }
    let made = image::Entity::find()
        .filter(image::Column::Name.eq(row.target_name.as_str()))
        .filter(image::Column::Tag.eq(row.target_tag.as_str()))
        .filter(image::Column::Kind.eq(ImageKind::Customized.to_string()))
        .one(tx)
        .await?;
    if let Some(image) = made {
        return Err(taken(image.task_id, false));
    }
    if from == RetryFrom::Start {
        forget(tx, task_id).await?;
    }
    let event = Event::State {
        state: BuildState::Queued,
    };
    fence::append(tx, task_id, row.attempt, &[event], now).await?;
    let (priority, owner, attempt) = (row.priority, row.owner.clone(), row.attempt);
    let mut row: build::ActiveModel = row.into();
    row.state = Set(BuildState::Queued.to_string());
    row.active_target = Set(Some(target));
    row.cancel_requested = Set(false);
    row.failure = Set(None);
    row.started_at = Set(None);
    row.finished_at = Set(None);
    // What came before does not count against the attempts of the new beginning.
    row.handed_back = Set(attempt);
    row.queued_at = Set(micros(now));
    row.updated_at = Set(micros(now));
    row.retried_from = Set((from == RetryFrom::Push).then(|| from.to_string()));
    if from == RetryFrom::Start {
        row.image_id = Set(None);
        row.image_size = Set(None);
        row.built_because = Set(None);
    }
    row.update(tx).await?;
    lanes::join(tx, priority, &owner).await?;
    let build = read::found(tx, task_id).await?.try_into()?;
    Ok(RestartOutcome::Queued(Box::new(build)))
}

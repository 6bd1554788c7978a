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

use super::{AttemptId, Build, BuildId, fence, lanes, parse_state, read};
use crate::{
    EnqueueError, FencedError, ImageKind, Store, StoreError,
    builds::{enqueue, steps::forget},
    db::{dialect::Retry, time::micros},
    entity::{build, build_request, image},
};

/// What a request to begin a build again came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryOutcome {
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
    pub async fn retry(
        &self,
        build_id: BuildId,
        from: RetryFrom,
        now: Timestamp,
    ) -> Result<RetryOutcome, EnqueueError> {
        let mut retry = Retry::default();
        let outcome = loop {
            match self.try_retry(build_id, from, now).await {
                Err(error) if retry.after(&error).await => {}
                outcome => break outcome,
            }
        };
        match outcome {
            Err(EnqueueError::Store(StoreError::Database(error)))
                if enqueue::is_target_taken(&error) =>
            {
                let Some(build) = self.build(build_id).await? else {
                    return Ok(RetryOutcome::NotFound);
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

    async fn try_retry(
        &self,
        build_id: BuildId,
        from: RetryFrom,
        now: Timestamp,
    ) -> Result<RetryOutcome, EnqueueError> {
        let tx = self.begin().await?;
        let outcome = retry_within(&tx, build_id, from, now).await;
        if let Ok(RetryOutcome::Queued(_)) = outcome {
            tx.commit().await?;
            self.notifier.notify_queue();
            self.notifier.notify_events();
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
    pub async fn fall_back_to_full_build(
        &self,
        attempt: AttemptId,
        now: Timestamp,
    ) -> Result<(), FencedError> {
        let tx = self.begin().await?;
        let row = fence::held(&tx, attempt).await?;
        forget(&tx, attempt.build_id).await?;
        let mut row: build::ActiveModel = row.into();
        row.retried_from = Set(None);
        row.updated_at = Set(micros(now));
        row.update(&tx).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Everything of [`Store::retry`] that is done under the build's lock.
async fn retry_within(
    tx: &DatabaseTransaction,
    build_id: BuildId,
    from: RetryFrom,
    now: Timestamp,
) -> Result<RetryOutcome, EnqueueError> {
    let row = build::Entity::find()
        .filter(build::Column::Id.eq(build_id))
        .lock_exclusive()
        .one(tx)
        .await?;
    let Some(row) = row else {
        return Ok(RetryOutcome::NotFound);
    };
    let state = parse_state(&row.state)?;
    if from == RetryFrom::Callback || !state.may_be_retried(from) {
        return Ok(RetryOutcome::WrongState(state));
    }
    if build_request::Entity::find_by_id(build_id)
        .one(tx)
        .await?
        .is_none()
    {
        return Ok(RetryOutcome::NoRequest);
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
        return Err(taken(image.build_id, false));
    }
    if from == RetryFrom::Start {
        forget(tx, build_id).await?;
    }
    let event = Event::State {
        state: BuildState::Queued,
    };
    fence::append(tx, build_id, row.attempt, &[event], now).await?;
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
    row.requeue_reason = Set(None);
    row.retried_from = Set((from == RetryFrom::Push).then(|| from.to_string()));
    if from == RetryFrom::Start {
        row.image_id = Set(None);
        row.image_size = Set(None);
        row.build_reason = Set(None);
    }
    row.update(tx).await?;
    lanes::join(tx, priority, &owner).await?;
    let build = read::found(tx, build_id).await?.try_into()?;
    Ok(RetryOutcome::Queued(Box::new(build)))
}

//! How a build leaves its worker: it ends, goes back to the queue, or is taken away.

use fastbuild_spec::{
    build_reason::BuildReason, event::Event, failure::Failure, image_spec::ImageSpec,
    requeue::RequeueReason, state::BuildState,
};
use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{LockBehavior, LockType},
};

use super::{
    AttemptId, Build, BuildId, MAX_ATTEMPTS, SettingsRevisions, fence, from_json, lanes,
    parse_state, read, stored_size, to_json,
};
use crate::{
    FencedError, NewDelivery, Store, StoreError,
    builds::steps::{close_running, forget},
    db::{dialect::Retry, time::micros},
    engines::orphans,
    entity::{build, build_request},
    images::{lifetime, put_customized},
};

/// Makes the callback of a build from its row in its end state; `None` where nobody is to be
/// told. It runs inside a transaction: it must not wait and not ask the store.
pub type DeliveryMaker<'a> = &'a (dyn Fn(&Build) -> Option<NewDelivery> + Send + Sync);

/// How an attempt at a build ended; [`Store::finish`] writes it.
#[derive(Debug)]
pub enum AttemptOutcome {
    /// The image is in the registry.
    Pushed(FinishedImage),
    /// The build ends in this state, without an image.
    Failed(BuildState, Failure),
    /// The image was built and could not be pushed; it stays on the engine for another push.
    PushFailed(Failure, FinishedImage),
    /// Something that the build depends on went away; another attempt may succeed.
    Requeue(RequeueReason, Failure),
    /// The service stops: the build goes back to the queue, and the attempt does not count.
    Release,
    /// Another attempt has the build, or the state may not follow: nothing may be written.
    Fenced(FencedError),
}

impl AttemptOutcome {
    /// Why the attempt did not succeed, where it says so.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(_, failure) | Self::PushFailed(failure, _) | Self::Requeue(_, failure) => {
                Some(failure)
            }
            Self::Pushed(_) | Self::Release | Self::Fenced(_) => None,
        }
    }
}

impl From<FencedError> for AttemptOutcome {
    fn from(error: FencedError) -> Self {
        match error {
            FencedError::Store(error) => {
                Self::Requeue(RequeueReason::DatabaseUnavailable, error.into())
            }
            refused => Self::Fenced(refused),
        }
    }
}

/// What became of a build whose attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// It has ended; its row.
    Ended(Box<Build>),
    /// It waits for another attempt.
    Requeued(RequeueReason),
}

/// The end of a build.
struct End {
    state: BuildState,
    failure: Option<Failure>,
    /// The image that stays on the engine. With `PUSH_SUCCESS` it becomes an image row.
    image: Option<FinishedImage>,
    settings_revisions: SettingsRevisions,
}

/// An image a build made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedImage {
    /// The engine's id of it, `sha256:...`.
    pub id: String,
    /// Bytes it takes on the engine.
    pub size: u64,
    /// The digest the registry knows it by, once it is pushed.
    pub digest: Option<String>,
    /// Whether the engine has it under its name; one that got its name in the registry alone is not there.
    pub on_engine: bool,
    /// Why it was built; `None` for one that an equal build made, and for one that was built by an
    /// earlier attempt and only pushed by this one.
    pub build_reason: Option<BuildReason>,
}

/// What became of builds whose worker was lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// These wait for another worker.
    pub requeued: Vec<BuildId>,
    /// These were given up, or had been asked to stop.
    pub ended: Vec<Build>,
}

/// What a request to stop a build came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelOutcome {
    /// There is no such build.
    NotFound,
    /// It was still waiting, and has ended.
    Ended(Box<Build>),
    /// It runs; its worker has been told.
    Requested,
    /// It had ended before, in this state.
    AlreadyEnded(BuildState),
}

impl Store {
    /// Writes how an attempt ended, in one transaction. A build that ends gets its state, its image
    /// row, the end of its running step and the delivery of its callback. One that is to be requeued
    /// ends instead when a user cancelled it, or after [`MAX_ATTEMPTS`] that count.
    ///
    /// # Errors
    /// [`FencedError::Lost`]; [`FencedError::NotAllowed`] when the state is not terminal or may
    /// not follow the present one.
    pub async fn finish(
        &self,
        attempt: AttemptId,
        outcome: &AttemptOutcome,
        revisions: SettingsRevisions,
        make_delivery: DeliveryMaker<'_>,
        now: Timestamp,
    ) -> Result<Finished, FencedError> {
        let mut retry = Retry::default();
        loop {
            match self
                .try_finish(attempt, outcome, revisions, make_delivery, now)
                .await
            {
                Err(error) if retry.after(&error).await => {}
                other => return other,
            }
        }
    }

    async fn try_finish(
        &self,
        attempt: AttemptId,
        outcome: &AttemptOutcome,
        settings_revisions: SettingsRevisions,
        make_delivery: DeliveryMaker<'_>,
        now: Timestamp,
    ) -> Result<Finished, FencedError> {
        let tx = self.begin().await?;
        let row = fence::held(&tx, attempt).await?;
        let (state, failure, image) = match outcome {
            AttemptOutcome::Pushed(image) => (BuildState::PushSuccess, None, Some(image)),
            AttemptOutcome::Failed(state, failure) => (*state, Some(failure.clone()), None),
            AttemptOutcome::PushFailed(failure, image) => {
                (BuildState::PushFailed, Some(failure.clone()), Some(image))
            }
            AttemptOutcome::Requeue(..) | AttemptOutcome::Release => {
                let reason = match outcome {
                    AttemptOutcome::Requeue(reason, _) => *reason,
                    _ => RequeueReason::ServiceStopped,
                };
                let is_last = reason.counts() && row.attempt - row.handed_back >= MAX_ATTEMPTS;
                let failure = if row.cancel_requested {
                    Failure::build_cancelled()
                } else if is_last {
                    Failure::build_lost(MAX_ATTEMPTS, outcome.failure().cloned())
                } else {
                    requeue(&tx, row, reason, now).await?;
                    tx.commit().await?;
                    self.notifier.notify_queue();
                    self.notifier.notify_events();
                    return Ok(Finished::Requeued(reason));
                };
                orphans::note(&tx, &row, now).await?;
                (BuildState::BuildAbort, Some(failure), None)
            }
            AttemptOutcome::Fenced(_) => {
                return Err(FencedError::Lost {
                    build_id: attempt.build_id,
                    attempt: attempt.number,
                });
            }
        };
        let from = parse_state(&row.state)?;
        if !state.is_terminal() || !from.may_become(state) {
            return Err(FencedError::NotAllowed {
                build_id: attempt.build_id,
                from,
                to: state,
            });
        }
        let end = End {
            state,
            failure,
            image: image.cloned(),
            settings_revisions,
        };
        let build = self.end(&tx, row, end, make_delivery, now).await?;
        tx.commit().await?;
        self.notifier.notify_events();
        self.notifier.notify_deliveries();
        // Its engine has room for another.
        self.notifier.notify_queue();
        Ok(Finished::Ended(Box::new(build)))
    }

    /// Takes builds away from workers that are gone: those whose lease ran out before `now`, or
    /// with `all` every running one (for the start of a process that is the only one). They go
    /// back to the queue; the third lost attempt ends a build with `EngineLost`, and one that
    /// was asked to stop ends as cancelled. One transaction; running it again changes nothing.
    pub async fn requeue_orphans(
        &self,
        all: bool,
        make_delivery: DeliveryMaker<'_>,
        now: Timestamp,
    ) -> Result<Reconciled, StoreError> {
        let mut retry = Retry::default();
        loop {
            match self.try_requeue_orphans(all, make_delivery, now).await {
                Err(error) if retry.after(&error).await => {}
                other => return other,
            }
        }
    }

    async fn try_requeue_orphans(
        &self,
        all: bool,
        make_delivery: DeliveryMaker<'_>,
        now: Timestamp,
    ) -> Result<Reconciled, StoreError> {
        let tx = self.begin().await?;
        let mut orphaned = Condition::all().add(build::Column::LeaseUntil.is_not_null());
        if !all {
            let now = self.lease_time(&tx, now).await?;
            orphaned = orphaned.add(build::Column::LeaseUntil.lt(now));
        }
        let rows = build::Entity::find()
            .filter(orphaned)
            .order_by_asc(build::Column::Id)
            // A row that another has locked is being taken back there, or its worker lives.
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .all(&tx)
            .await?;
        let mut reconciled = Reconciled::default();
        for row in rows {
            let counted = row.attempt - row.handed_back;
            let failure = if row.cancel_requested {
                Failure::build_cancelled()
            } else if counted >= MAX_ATTEMPTS {
                Failure::build_lost(counted, None)
            } else {
                reconciled.requeued.push(row.id);
                requeue(&tx, row, RequeueReason::WorkerLost, now).await?;
                continue;
            };
            reconciled
                .ended
                .push(self.abort(&tx, row, failure, make_delivery, now).await?);
        }
        tx.commit().await?;
        if !reconciled.requeued.is_empty() {
            self.notifier.notify_queue();
            self.notifier.notify_events();
        }
        if !reconciled.ended.is_empty() {
            self.notifier.notify_deliveries();
            self.notifier.notify_events();
        }
        Ok(reconciled)
    }

    /// Asks to stop a build: a waiting one ends at once, with its callback; a running one is
    /// marked, and its worker stops it.
    pub async fn request_cancel(
        &self,
        build_id: BuildId,
        make_delivery: DeliveryMaker<'_>,
        now: Timestamp,
    ) -> Result<CancelOutcome, StoreError> {
        let tx = self.begin().await?;
        let row = build::Entity::find()
            .filter(build::Column::Id.eq(build_id))
            .lock_exclusive()
            .one(&tx)
            .await?;
        let Some(row) = row else {
            return Ok(CancelOutcome::NotFound);
        };
        let state = parse_state(&row.state)?;
        if state.is_terminal() {
            return Ok(CancelOutcome::AlreadyEnded(state));
        }
        if row.lease_until.is_none() {
            lanes::leave(&tx, row.priority, &row.owner).await?;
            let build = self
                .abort(&tx, row, Failure::build_cancelled(), make_delivery, now)
                .await?;
            tx.commit().await?;
            self.notifier.notify_events();
            self.notifier.notify_deliveries();
            return Ok(CancelOutcome::Ended(Box::new(build)));
        }
        let mut row: build::ActiveModel = row.into();
        row.cancel_requested = Set(true);
        row.updated_at = Set(micros(now));
        row.update(&tx).await?;
        tx.commit().await?;
        self.notifier.notify_cancels();
        Ok(CancelOutcome::Requested)
    }

    /// Ends a build that no worker will end.
    async fn abort(
        &self,
        tx: &DatabaseTransaction,
        row: build::Model,
        failure: Failure,
        make_delivery: DeliveryMaker<'_>,
        now: Timestamp,
    ) -> Result<Build, StoreError> {
        let revisions = row.settings_revisions.as_deref();
        let end = End {
            state: BuildState::BuildAbort,
            failure: Some(failure),
            image: None,
            settings_revisions: revisions
                .map(|text| from_json("settings revisions", text))
                .transpose()?
                .unwrap_or_default(),
        };
        if row.lease_until.is_some() {
            orphans::note(tx, &row, now).await?;
        }
        self.end(tx, row, end, make_delivery, now).await
    }

    /// Writes the end of a build and its callback; the caller commits.
    async fn end(
        &self,
        tx: &DatabaseTransaction,
        row: build::Model,
        end: End,
        make_delivery: DeliveryMaker<'_>,
        now: Timestamp,
    ) -> Result<Build, StoreError> {
        let build_id = row.id;
        let succeeded = end.state == BuildState::PushSuccess;
        let mut events = close_running(tx, build_id, succeeded, now).await?;
        events.push(Event::State { state: end.state });
        events.push(Event::Result {
            state: end.state,
            image_id: end.image.as_ref().map(|image| image.id.clone()),
            digest: end.image.as_ref().and_then(|image| image.digest.clone()),
            failure: end.failure.clone().map(Box::new),
        });
        fence::append(tx, build_id, row.attempt, &events, now).await?;
        if let Some(image) = &end.image {
            if succeeded {
                let request = build_request::Entity::find_by_id(build_id)
                    .one(tx)
                    .await?
                    .ok_or_else(|| StoreError::corrupt("build request", "its row is missing"))?;
                let spec: ImageSpec = from_json("image spec", &request.spec)?;
                put_customized(tx, build_id, &spec, image, now).await?;
            }
            // Also of one that waits for another push, so that cleaning finds it by and by.
            if image.on_engine
                && let Some(engine) = lifetime::engine_address(tx, end.settings_revisions).await?
            {
                lifetime::built(tx, &engine, &row.target_image, &row.base_image, now).await?;
            }
        }
        let mut row: build::ActiveModel = row.into();
        row.state = Set(end.state.to_string());
        row.active_target = Set(None);
        row.lease_until = Set(None);
        row.failure = Set(end
            .failure
            .as_ref()
            .map(|failure| to_json("failure", failure))
            .transpose()?);
        row.finished_at = Set(Some(micros(now)));
        row.updated_at = Set(micros(now));
        row.settings_revisions = Set(Some(to_json(
            "settings revisions",
            &end.settings_revisions,
        )?));
        if let Some(image) = end.image {
            row.image_id = Set(Some(image.id));
            row.image_size = Set(Some(stored_size(image.size)));
            row.digest = Set(image.digest);
            if let Some(why) = image.build_reason {
                row.build_reason = Set(Some(why.to_string()));
            }
        }
        row.update(tx).await?;
        let build: Build = read::found(tx, build_id).await?.try_into()?;
        if let Some(delivery) = make_delivery(&build) {
            self.insert_delivery(tx, Some(build.id), &delivery, now)
                .await?;
        }
        Ok(build)
    }
}

/// Puts a row back into the queue, without a lease and without its half-done steps.
async fn requeue(
    tx: &DatabaseTransaction,
    row: build::Model,
    reason: RequeueReason,
    now: Timestamp,
) -> Result<(), StoreError> {
    if row.retried_from.is_none() {
        forget(tx, row.id).await?;
    }
    // Its next attempt may run elsewhere.
    orphans::note(tx, &row, now).await?;
    lanes::join(tx, row.priority, &row.owner).await?;
    let events = [
        Event::State {
            state: BuildState::Queued,
        },
        Event::Warning {
            step: None,
            message: reason.requeued(),
        },
    ];
    fence::append(tx, row.id, row.attempt, &events, now).await?;
    let handed_back = row.handed_back + i64::from(!reason.counts());
    let mut row: build::ActiveModel = row.into();
    row.state = Set(BuildState::Queued.to_string());
    row.handed_back = Set(handed_back);
    row.requeue_reason = Set(Some(reason.to_string()));
    row.lease_until = Set(None);
    row.started_at = Set(None);
    row.updated_at = Set(micros(now));
    row.update(tx).await?;
    Ok(())
}

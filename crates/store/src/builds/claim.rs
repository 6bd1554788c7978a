//! How a worker takes a build and keeps it.

use std::{str::FromStr as _, time::Duration};

use fastbuild_spec::{
    event::Event,
    image_spec::{ImageSpec, ServicePasswords},
    requeue::RequeueReason,
    state::BuildState,
};
use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _,
    QuerySelect as _,
};

use super::{AttemptId, Build, BuildId, enqueue::open_passwords, fence, from_json, lanes};
use crate::{
    FencedError, Store, StoreError,
    builds::steps,
    cluster::notify::Topic,
    db::{
        dialect::Retry,
        time::{micros, micros_after, timestamp},
    },
    engines::candidates::Fleet,
    entity::{build, build_request},
};

/// A build a worker has taken, with all it needs to run it.
#[derive(Debug, Clone)]
pub struct ClaimedBuild {
    /// Its row, already in state `STARTED`.
    pub build: Build,
    /// What the worker's writes speak for.
    pub attempt: AttemptId,
    /// What to build.
    pub spec: ImageSpec,
    /// The passwords that go with it.
    pub passwords: ServicePasswords,
    /// Since when it had been waiting: since it was asked for, begun again or put back.
    pub waiting_since: Timestamp,
}

/// What a worker learns when it renews its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Whether somebody asked to stop the build.
    pub cancel_requested: bool,
}

/// What one look at the queue came to.
enum Claim {
    Taken(Box<ClaimedBuild>),
    /// Nothing is queued, or no engine has room.
    Nothing,
    /// Another process took the engine's last place in between.
    PlaceTaken,
}

impl Store {
    /// Takes the next queued build (by priority, then one of each owner in turn, then age) for
    /// `worker` and the engine it runs on, until `lease_for` from now on; `None` when none is queued
    /// or no engine has room. Each build goes to exactly one of any number of callers, and no engine
    /// gets more builds than its capacity. The step rows of earlier attempts go; their events stay.
    pub async fn claim(
        &self,
        worker: &str,
        lease_for: Duration,
        now: Timestamp,
    ) -> Result<Option<ClaimedBuild>, StoreError> {
        let mut retry = Retry::default();
        loop {
            match self.try_claim(worker, lease_for, now).await {
                Ok(Claim::Taken(claimed)) => return Ok(Some(*claimed)),
                Ok(Claim::Nothing) => return Ok(None),
                Ok(Claim::PlaceTaken) => {}
                Err(error) if retry.after(&error).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_claim(
        &self,
        worker: &str,
        lease_for: Duration,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        let tx = self.begin().await?;
        let fleet = Fleet::load(&tx, worker, now).await?;
        if !fleet.has_room() {
            return Ok(Claim::Nothing);
        }
        let Some(row) = lanes::next(&tx).await? else {
            return Ok(Claim::Nothing);
        };
        let (priority, owner) = (row.priority, row.owner.clone());
        // The row is let go of before anybody looks again: locked rows are passed over.
        let Some(engine) = fleet.place(&row) else {
            tx.rollback().await?;
            return Ok(Claim::Nothing);
        };
        if !fleet.still_has_room(&tx, engine).await? {
            tx.rollback().await?;
            return Ok(Claim::PlaceTaken);
        }
        let attempt = AttemptId {
            build_id: row.id,
            number: row.attempt + 1,
        };
        // One that begins with its push keeps the steps up to there.
        if row.retried_from.is_none() {
            steps::forget(&tx, attempt.build_id).await?;
        }
        let started = Event::State {
            state: BuildState::Started,
        };
        let mut events = vec![started];
        if let Some(text) = &row.requeue_reason {
            let reason = RequeueReason::from_str(text)
                .map_err(|_| StoreError::corrupt("requeue reason", text))?;
            events.push(Event::Warning {
                step: None,
                message: reason.next_attempt(attempt.number),
            });
        }
        fence::append(&tx, attempt.build_id, attempt.number, &events, now).await?;
        // Nothing else changes a row while it waits.
        let waiting_since = timestamp(row.updated_at)?;
        let mut row: build::ActiveModel = row.into();
        row.state = Set(BuildState::Started.to_string());
        row.attempt = Set(attempt.number);
        row.worker = Set(Some(worker.to_owned()));
        row.engine = Set(Some(engine.to_owned()));
        row.lease_until = Set(Some(micros_after(
            self.lease_time(&tx, now).await?,
            lease_for,
        )));
        row.started_at = Set(Some(micros(now)));
        row.updated_at = Set(micros(now));
        row.update(&tx).await?;
        // Last, since those who take builds of one owner side by side wait here for each other.
        lanes::take_turn(&tx, priority, &owner).await?;
        let row = super::read::found(&tx, attempt.build_id).await?;
        let request = build_request::Entity::find_by_id(attempt.build_id)
            .one(&tx)
            .await?
            .ok_or_else(|| StoreError::corrupt("build request", "its row is missing"))?;
        tx.commit().await?;
        self.notifier.notify_events();
        Ok(Claim::Taken(Box::new(ClaimedBuild {
            build: row.try_into()?,
            attempt,
            waiting_since,
            spec: from_json("image spec", &request.spec)?,
            passwords: open_passwords(&self.seal, attempt.build_id, request.passwords.as_deref())?,
        })))
    }

    /// Keeps the build until `lease_for` from now on, and tells whether to stop. Leases go by the
    /// database's clock where it has one.
    ///
    /// # Errors
    /// [`FencedError::Lost`] when the build is no longer the attempt's.
    pub async fn heartbeat(
        &self,
        attempt: AttemptId,
        lease_for: Duration,
        now: Timestamp,
    ) -> Result<Heartbeat, FencedError> {
        let tx = self.begin().await?;
        let row = fence::held(&tx, attempt).await?;
        let cancel_requested = row.cancel_requested;
        let mut row: build::ActiveModel = row.into();
        row.lease_until = Set(Some(micros_after(
            self.lease_time(&tx, now).await?,
            lease_for,
        )));
        row.update(&tx).await?;
        tx.commit().await?;
        Ok(Heartbeat { cancel_requested })
    }

    /// Rings the bell of [`Store::subscribe_cancels`] when somebody asked to stop a build that this
    /// worker runs: what another process told of it may have been lost.
    pub async fn ring_cancels_of(&self, worker: &str) -> Result<(), StoreError> {
        let asked: Option<BuildId> = build::Entity::find()
            .select_only()
            .column(build::Column::Id)
            .filter(build::Column::LeaseUntil.is_not_null())
            .filter(build::Column::CancelRequested.eq(true))
            .filter(build::Column::Worker.eq(worker))
            .into_tuple()
            .one(self.reader())
            .await?;
        if asked.is_some() {
            self.notifier.receive(Topic::Cancels);
        }
        Ok(())
    }

    /// Whether somebody asked to stop the build. `false` for an unknown one.
    pub async fn cancel_requested(&self, build_id: BuildId) -> Result<bool, StoreError> {
        let asked: Option<bool> = build::Entity::find()
            .select_only()
            .column(build::Column::CancelRequested)
            .filter(build::Column::Id.eq(build_id))
            .into_tuple()
            .one(self.reader())
            .await?;
        Ok(asked.unwrap_or_default())
    }
}

//! What a worker writes while it runs a build: states, events, the Dockerfile.

use fastbuild_spec::{event::Event, state::BuildState};
use jiff::Timestamp;
use sea_orm::{ActiveModelTrait as _, ActiveValue::Set, EntityTrait as _, sea_query::OnConflict};

use super::{AttemptId, BuildId, fence, parse_state};
use crate::{
    FencedError, Store, StoreError,
    db::{dialect::Retry, time::micros},
    entity::{build, dockerfile},
};

impl Store {
    /// Moves the build to a state that does not end it, and appends the event that says so.
    ///
    /// # Errors
    /// [`FencedError::Lost`]; [`FencedError::NotAllowed`] when the transition table says no, or
    /// when `next` is terminal ([`Store::finish`]) or `QUEUED` ([`Store::release`]).
    pub async fn transition(
        &self,
        attempt: AttemptId,
        next: BuildState,
        now: Timestamp,
    ) -> Result<(), FencedError> {
        let mut retry = Retry::while_a_build_runs();
        loop {
            match self.try_transition(attempt, next, now).await {
                Err(error) if retry.after(&error).await => {}
                other => return other,
            }
        }
    }

    async fn try_transition(
        &self,
        attempt: AttemptId,
        next: BuildState,
        now: Timestamp,
    ) -> Result<(), FencedError> {
        let tx = self.begin().await?;
        let row = fence::held(&tx, attempt).await?;
        let from = parse_state(&row.state)?;
        if from == next {
            // Written before, when the connection went with the answer.
            return Ok(());
        }
        let allowed = if row.retried_from.is_some() {
            from.may_become_from_push(next)
        } else {
            from.may_become(next)
        };
        if next.is_terminal() || next == BuildState::Queued || !allowed {
            return Err(FencedError::NotAllowed {
                build_id: attempt.build_id,
                from,
                to: next,
            });
        }
        let event = Event::State { state: next };
        fence::append(&tx, attempt.build_id, attempt.number, &[event], now).await?;
        let mut row: build::ActiveModel = row.into();
        row.state = Set(next.to_string());
        row.updated_at = Set(micros(now));
        row.update(&tx).await?;
        tx.commit().await?;
        self.notifier.notify_events();
        Ok(())
    }

    /// Appends events to the build's one numbered sequence. All of them or none.
    ///
    /// State and step events are written by the verbs that change states and steps; this one is
    /// for what happens in between (log lines, stages, transfers, warnings).
    ///
    /// # Errors
    /// [`FencedError::Lost`].
    pub async fn append_events(
        &self,
        attempt: AttemptId,
        events: Vec<Event>,
        now: Timestamp,
    ) -> Result<(), FencedError> {
        if events.is_empty() {
            return Ok(());
        }
        let mut retry = Retry::while_a_build_runs();
        loop {
            match self.try_append_events(attempt, &events, now).await {
                Err(error) if retry.after(&error).await => {}
                other => return other,
            }
        }
    }

    async fn try_append_events(
        &self,
        attempt: AttemptId,
        events: &[Event],
        now: Timestamp,
    ) -> Result<(), FencedError> {
        let tx = self.begin().await?;
        fence::held(&tx, attempt).await?;
        fence::append(&tx, attempt.build_id, attempt.number, events, now).await?;
        tx.commit().await?;
        self.notifier.notify_events();
        Ok(())
    }

    /// Stores the Dockerfile the build runs, in place of an earlier attempt's.
    ///
    /// # Errors
    /// [`FencedError::Lost`].
    pub async fn set_dockerfile(&self, attempt: AttemptId, text: &str) -> Result<(), FencedError> {
        let mut retry = Retry::while_a_build_runs();
        loop {
            match self.try_set_dockerfile(attempt, text).await {
                Err(error) if retry.after(&error).await => {}
                other => return other,
            }
        }
    }

    async fn try_set_dockerfile(&self, attempt: AttemptId, text: &str) -> Result<(), FencedError> {
        let tx = self.begin().await?;
        fence::held(&tx, attempt).await?;
        dockerfile::Entity::insert(dockerfile::ActiveModel {
            build_id: Set(attempt.build_id),
            attempt: Set(attempt.number),
            text: Set(text.to_owned()),
        })
        .on_conflict(
            OnConflict::column(dockerfile::Column::BuildId)
                .update_columns([dockerfile::Column::Attempt, dockerfile::Column::Text])
                .to_owned(),
        )
        .exec_without_returning(&tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The Dockerfile of the build's newest attempt that got so far.
    pub async fn dockerfile(&self, build_id: BuildId) -> Result<Option<String>, StoreError> {
        let row = dockerfile::Entity::find_by_id(build_id)
            .one(self.reader())
            .await?;
        Ok(row.map(|row| row.text))
    }
}

//! Equal builds take turns, in this process and among all that share the database: while one makes the
//! image of a plan, the others wait for it and take what it made.

use std::time::Duration;

use fastbuild_spec::failure::Failure;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{background::lease::Lease, builder::Builder};

/// How often a waiting build says so; what says nothing for too long is ended.
const SIGN: Duration = Duration::from_mins(1);
/// How often is asked whether another process is done.
const ASK: Duration = Duration::from_millis(250);

/// The right to make the image of a plan, until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct PlanLock {
    _here: Option<OwnedMutexGuard<()>>,
    /// Where others share the database.
    _among_processes: Option<DropGuard>,
}

impl Builder {
    /// Waits until nobody else makes the image of this plan. `holder` is who waits, as nobody else is
    /// called; `waiting` is called now and then meanwhile.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn turn(
        &self,
        key: &str,
        holder: &str,
        waiting: impl Fn(),
    ) -> Result<PlanLock, Failure> {
        let name = format!("the plan {key}");
        let turn = async {
            let here = self.plan_locks().get(name.clone()).lock_owned().await;
            Ok(PlanLock {
                _here: Some(here),
                _among_processes: self.turn_among_processes(&name, holder).await?,
            })
        };
        tokio::pin!(turn);
        loop {
            match tokio::time::timeout(SIGN, &mut turn).await {
                Ok(turn) => return turn,
                Err(_) => waiting(),
            }
        }
    }

    async fn turn_among_processes(
        &self,
        name: &str,
        holder: &str,
    ) -> Result<Option<DropGuard>, Failure> {
        if !self.store().is_shared() {
            return Ok(None);
        }
        while !self.turn_lease(name, holder).hold().await? {
            tokio::time::sleep(ASK).await;
        }
        let over = CancellationToken::new();
        tokio::spawn(
            self.clone()
                .keep_turn(name.to_owned(), holder.to_owned(), over.clone()),
        );
        Ok(Some(over.drop_guard()))
    }

    fn turn_lease<'a>(&'a self, name: &'a str, holder: &'a str) -> Lease<'a> {
        Lease {
            common: self.common(),
            name,
            holder,
            span: self.options().limits.lease,
        }
    }

    /// Keeps the turn until it is over, and lets go of it then. Where it is lost, because the database
    /// did not answer for too long, an equal image is made twice, and nothing worse.
    async fn keep_turn(self, name: String, holder: String, over: CancellationToken) {
        let lease = self.turn_lease(&name, &holder);
        loop {
            match lease.keep(&over).await {
                Ok(true) => break,
                Ok(false) => return,
                Err(failure) => tracing::warn!(%failure, name, "the turn could not be kept"),
            }
        }
        if let Err(failure) = lease.end().await {
            tracing::warn!(%failure, name, "the turn ends by itself");
        }
    }
}

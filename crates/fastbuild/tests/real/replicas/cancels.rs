//! A build is cancelled through the replica that does not run it.

use fastbuild_testkit::{
    fake_engine::{FakeEngine, Holdings},
    postgres::TestDatabase,
};
use serde_json::json;

use super::{Pair, database};
use crate::support::{fake_engine, installation::TIMEOUT};

/// Has the wake-ups of every connection that is made from now on end in a table instead of with those
/// who listen: before the database's own function, another of the same name is found.
fn swallow_wake_ups(database: &TestDatabase) {
    database
        .execute(
            "CREATE SCHEMA swallowed; \
             CREATE TABLE swallowed.wake_ups (channel text, payload text); \
             CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql \
                 AS 'INSERT INTO swallowed.wake_ups VALUES ($1, $2)'; \
             DO $$ BEGIN EXECUTE format( \
                 'ALTER DATABASE %I SET search_path = public, pg_catalog', current_database() \
             ); END $$",
        )
        .unwrap();
}

impl Pair {
    /// Cancels a build, which never ends by itself, through the replica that does not run it, and waits
    /// until it has ended and the engine is idle.
    pub(super) async fn cancel_through_the_other(&mut self, engine: &FakeEngine) {
        let build = self
            .one
            .submit(&fake_engine::request(&self.one, "cancelled"))
            .await;
        let begun = |_: &_| engine.holdings().building == 1;
        self.one
            .client()
            .wait_for_task(build, TIMEOUT, begun)
            .await
            .unwrap();
        let (_, other) = self.by_runner(build);
        let cancel = format!("task/cancel-task-by-task-id?task_id={build}");
        other.client().post(&cancel).await.unwrap().data().unwrap();
        let task = other.client().wait_for_end(build, TIMEOUT).await.unwrap();
        assert_eq!(
            (&task["detail_state"], &task["reason"]),
            (&json!("BUILD_ABORT"), &json!("Cancelled")),
            "{task:#}"
        );
        let idle = |_: &_| engine.holdings().building == 0;
        other
            .client()
            .wait_for_task(build, TIMEOUT, idle)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_cancel_reaches_the_other_replica_also_when_no_wake_up_does() {
    let database = database();
    swallow_wake_ups(&database);
    let mut pair = Pair::on(database).await;
    let engine = fake_engine::endless(&pair.one.env).await;
    pair.configure(fake_engine::fields(&pair.one, &engine))
        .await;
    pair.cancel_through_the_other(&engine).await;
    assert_eq!(engine.holdings(), Holdings::default());
    let swallowed = "SELECT count(*) > 0 FROM swallowed.wake_ups \
                     WHERE channel = 'fastbuild' AND payload LIKE '% cancels'";
    assert_eq!(pair.database.execute(swallowed).unwrap(), "t");
}

//! Every connection to the database is cut, again and again, as a failover or a network does.

use std::time::Duration;

use fastbuild_testkit::{
    fake_engine::Holdings,
    wait::{eventually, when},
};

use super::{Pair, database, follow::follow};
use crate::support::{events::attempts_of_a_success, fake_engine, installation::TIMEOUT};

/// Long enough that there are several cuts in each build.
const STEP: Duration = Duration::from_secs(1);
/// Each replica has one connection that listens; it says nothing else.
const LISTENERS: &str = "SELECT count(*) FROM pg_stat_activity \
                         WHERE datname = current_database() AND query LIKE 'LISTEN%'";

impl Pair {
    /// Waits until a question to the database has an answer as described; the answer.
    pub(super) async fn wait_for_row(&self, question: &str, is: impl Fn(&str) -> bool) -> String {
        eventually(question, TIMEOUT, || async {
            let answer = self.database.execute(question)?;
            Ok(when(is(&answer), answer))
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn a_build_ends_once_however_often_every_connection_is_cut() {
    // So long that none is lost to the cuts, however slow the machine is.
    let mut pair = Pair::with_leases_of("60", database()).await;
    let engine = fake_engine::start(&pair.one.env, STEP).await;
    pair.configure(fake_engine::fields(&pair.one, &engine))
        .await;
    let build = pair.one.submit(&fake_engine::request(&pair.one, "1")).await;
    let followed = pair
        .both()
        .map(|installation| tokio::spawn(follow(installation.client().url.clone(), build)));

    // From when its engine builds until it has ended, each time when something was written since the
    // last cut. What fails before that may cost an attempt.
    let progress = format!(
        "SELECT finished_at IS NOT NULL, state, (SELECT max(seq) FROM events WHERE build_id = {build}) \
         FROM builds WHERE id = {build}"
    );
    let begun = |row: &str| engine.holdings().building == 1 || row.starts_with('t');
    let mut row = pair.wait_for_row(&progress, begun).await;
    let mut cuts = 0;
    while row.starts_with('f') {
        // What was written just before the last cut shows when nobody is connected again yet.
        cuts += usize::from(pair.database.cut_connections().unwrap() > 0);
        row = pair.wait_for_row(&progress, |now| now != row).await;
    }
    assert!(cuts > 1, "the build was over after {cuts} cuts");

    for followed in followed {
        let events = followed.await.unwrap();
        assert_eq!(attempts_of_a_success(&events, "cut"), 1);
        assert_eq!(pair.one.client().events(build).await.unwrap(), events);
    }
    let target = pair.one.target("1");
    assert!(pair.two.registry_has(&target).await);
    let images = vec![target];
    assert_eq!(
        engine.holdings(),
        Holdings {
            images,
            ..Holdings::default()
        }
    );

    // They hear of each other again.
    pair.wait_for_row(LISTENERS, |listeners| listeners == "2")
        .await;
    let engine = fake_engine::endless(&pair.one.env).await;
    pair.configure(fake_engine::fields(&pair.one, &engine))
        .await;
    pair.cancel_through_the_other(&engine).await;
    assert_eq!(engine.holdings(), Holdings::default());
}

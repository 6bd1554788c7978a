//! Whose turn it is, where a build stands, and how long builds like it take.

use std::time::Duration;

use fastbuild_spec::state::BuildState;
use fastbuild_store::{
    AttemptOutcome, BuildId, BuildSearch, CancelOutcome, NewBuild, QueueCounts, QueuePosition,
    Store,
};

use crate::parts::{
    REVISIONS, Site, at, callback, claim, no_callback, request, run_up_to_the_push, success,
    target, work_dir,
};

/// Queues a build of an owner; `number` makes its target.
async fn queue(store: &Store, owner: &str, priority: i32, number: usize) -> BuildId {
    let new = NewBuild {
        owner: owner.to_owned(),
        priority,
        ..request(&target(number))
    };
    let seconds = i64::try_from(number).unwrap();
    store.enqueue(new, &work_dir, at(seconds)).await.unwrap().id
}

async fn position(store: &Store, task: BuildId) -> u64 {
    store.queue_position(task).await.unwrap().unwrap().position
}

/// The owners of the builds that are taken one after the other.
async fn taken(store: &Store, amount: usize) -> String {
    let mut owners = Vec::new();
    for _ in 0..amount {
        owners.push(claim(store, 1000).await.build.owner);
    }
    owners.join(" ")
}

#[tokio::test]
async fn owners_take_turns_however_much_one_of_them_wants() {
    let site = Site::new();
    let store = site.open().await;
    for number in 0..6 {
        queue(&store, "a", 0, number).await;
    }
    assert_eq!(taken(&store, 2).await, "a a");
    for number in 10..12 {
        queue(&store, "b", 0, number).await;
    }
    queue(&store, "c", 0, 20).await;
    assert_eq!(taken(&store, 7).await, "a b c a b a a");
    assert!(
        store
            .claim("w", Duration::from_secs(9), at(1000))
            .await
            .unwrap()
            .is_none()
    );
    // Who comes back joins the end of the round.
    queue(&store, "b", 0, 30).await;
    queue(&store, "a", 0, 31).await;
    queue(&store, "b", 0, 32).await;
    assert_eq!(taken(&store, 3).await, "b a b");
}

#[tokio::test]
async fn a_higher_priority_goes_first_and_turns_are_taken_within_it() {
    let site = Site::new();
    let store = site.open().await;
    queue(&store, "a", 0, 0).await;
    queue(&store, "b", -1, 1).await;
    queue(&store, "a", 5, 2).await;
    queue(&store, "a", 5, 3).await;
    queue(&store, "c", 5, 4).await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let build = claim(&store, 10).await.build;
        seen.push(format!("{}{}", build.owner, build.priority));
    }
    assert_eq!(seen, ["a5", "c5", "a5", "a0", "b-1"]);
}

#[tokio::test]
async fn a_place_is_told_and_kept_to() {
    let site = Site::new();
    let store = site.open().await;
    let mut waiting = Vec::new();
    for (owner, priority, number) in [
        ("a", 0, 0),
        ("a", 0, 1),
        ("a", 0, 2),
        ("b", 0, 3),
        ("c", 9, 4),
        ("b", 0, 5),
        ("c", 9, 6),
        ("d", -3, 7),
    ] {
        waiting.push(queue(&store, owner, priority, number).await);
    }
    while !waiting.is_empty() {
        let mut places = Vec::new();
        for task in &waiting {
            places.push((position(&store, *task).await, *task));
        }
        places.sort_unstable();
        let numbers: Vec<u64> = places.iter().map(|(place, _)| *place).collect();
        let all: Vec<u64> = (1..=waiting.len() as u64).collect();
        assert_eq!(numbers, all);
        let next = claim(&store, 100).await.build.id;
        assert_eq!(next, places[0].1);
        waiting.retain(|task| *task != next);
    }
}

#[tokio::test]
async fn what_is_cancelled_or_lost_or_runs_is_counted_as_it_is() {
    let site = Site::new();
    let store = site.open().await;
    let mut tasks = Vec::new();
    for number in 0..4 {
        tasks.push(queue(&store, "a", 0, number).await);
    }
    let running = claim(&store, 10).await;
    assert_eq!(store.queue_position(running.build.id).await.unwrap(), None);
    assert_eq!(store.queue_position(1).await.unwrap(), None);
    assert!(matches!(
        store
            .request_cancel(tasks[1], &callback, at(10))
            .await
            .unwrap(),
        CancelOutcome::Ended(_)
    ));
    assert_eq!(
        store.queue_position(tasks[3]).await.unwrap(),
        Some(QueuePosition {
            position: 2,
            exact: true,
            running: 1
        })
    );
    // What comes back from its worker has its old place in its owner's lane.
    store
        .requeue_orphans(true, &callback, at(11))
        .await
        .unwrap();
    assert_eq!(position(&store, tasks[0]).await, 1);
    assert_eq!(position(&store, tasks[3]).await, 3);
    for task in [tasks[0], tasks[2], tasks[3]] {
        assert_eq!(claim(&store, 12).await.build.id, task);
    }
    queue(&store, "b", 0, 9).await;
    assert_eq!(taken(&store, 1).await, "b");
}

#[tokio::test]
async fn the_usual_duration_is_the_median_of_builds_alike_or_of_all() {
    let site = Site::new();
    let store = site.open().await;
    let first = queue(&store, "a", 0, 0).await;
    assert_eq!(store.typical_duration(first).await.unwrap(), None);
    let seconds = [40, 10, 20];
    let attempt = claim(&store, 0).await.attempt;
    run_up_to_the_push(&store, attempt, 1).await;
    store
        .finish(attempt, &success(), REVISIONS, &no_callback, at(seconds[0]))
        .await
        .unwrap();
    for (number, took) in seconds.into_iter().enumerate().skip(1) {
        queue(&store, "a", 0, number).await;
        let attempt = claim(&store, 100).await.attempt;
        run_up_to_the_push(&store, attempt, 100).await;
        store
            .finish(attempt, &success(), REVISIONS, &no_callback, at(100 + took))
            .await
            .unwrap();
    }
    let alike = queue(&store, "b", 0, 7).await;
    let usual = store.typical_duration(alike).await.unwrap().unwrap();
    assert_eq!(
        (usual.median, usual.builds, usual.alike),
        (Duration::from_secs(20), 3, true)
    );
    let mut other = request(&target(8));
    other.spec.base = "registry.site:5000/base/other:1".parse().unwrap();
    let other = store.enqueue(other, &work_dir, at(300)).await.unwrap();
    let usual = store.typical_duration(other.id).await.unwrap().unwrap();
    assert_eq!((usual.builds, usual.alike), (3, false));
}

#[tokio::test]
async fn what_waits_and_runs_is_counted_and_a_wait_begins_anew_with_each_return() {
    let site = Site::new();
    let store = site.open().await;
    assert_eq!(store.queue_counts().await.unwrap(), QueueCounts::default());
    for (number, owner) in ["a", "a", "b"].into_iter().enumerate() {
        queue(&store, owner, 0, number).await;
    }
    let queue_counts = store.queue_counts().await.unwrap();
    assert_eq!(
        (queue_counts.queued, queue_counts.waiting_since),
        (3, Some(at(0)))
    );
    let claimed = claim(&store, 10).await;
    assert_eq!(claimed.waiting_since, at(0));
    let queue_counts = store.queue_counts().await.unwrap();
    assert_eq!(
        (queue_counts.queued, queue_counts.waiting_since),
        (2, Some(at(1)))
    );
    assert_eq!(queue_counts.running, [(BuildState::Started, 1)]);
    store
        .finish(
            claimed.attempt,
            &AttemptOutcome::Release,
            REVISIONS,
            &no_callback,
            at(20),
        )
        .await
        .unwrap();
    let queue_counts = store.queue_counts().await.unwrap();
    assert_eq!((queue_counts.queued, queue_counts.running), (3, Vec::new()));
    let mut waits = Vec::new();
    for _ in 0..3 {
        waits.push(claim(&store, 30).await.waiting_since);
    }
    waits.sort();
    assert_eq!(waits, [at(1), at(2), at(20)]);
    assert_eq!(store.queue_counts().await.unwrap().waiting_since, None);
}

#[tokio::test]
async fn builds_are_searched_by_owner() {
    let site = Site::new();
    let store = site.open().await;
    let mut tasks = Vec::new();
    for (number, owner) in ["a", "b", "", "a"].into_iter().enumerate() {
        tasks.push(queue(&store, owner, 0, number).await);
    }
    for (owner, found) in [
        ("a", vec![tasks[3], tasks[0]]),
        ("", vec![tasks[2]]),
        ("c", vec![]),
    ] {
        let search = BuildSearch {
            owner: Some(owner.to_owned()),
            ..BuildSearch::default()
        };
        let builds = store.search_builds(&search, 10).await.unwrap();
        let numbers: Vec<BuildId> = builds.iter().map(|build| build.id).collect();
        assert_eq!(numbers, found, "{owner:?}");
    }
}

//! Many at once: the queue gives each build to one worker and each target to one build.

use std::collections::BTreeSet;

use fastbuild_spec::{failure::ReasonCode, state::BuildState};
use fastbuild_store::{AttemptOutcome, BuildFilter, CancelOutcome, EnqueueError, Page};
use tokio::task::JoinSet;

use crate::parts::{
    LEASE, REVISIONS, Site, at, callback, claim, claim_due, enqueue, no_callback, request,
    run_up_to_the_push, success, target, work_dir,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_workers_take_each_build_once() {
    const BUILDS: usize = 60;
    let site = Site::new();
    // Two stores on one file, as two processes would have.
    let stores = [site.open().await, site.open().await];
    for number in 0..BUILDS {
        enqueue(&stores[0], number, 0).await;
    }
    let mut workers = JoinSet::new();
    for number in 0..8_usize {
        let store = stores[number % 2].clone();
        workers.spawn(async move {
            let mut taken = Vec::new();
            let name = format!("worker-{number}");
            while let Some(claimed) = store.claim(&name, LEASE, at(1)).await.unwrap() {
                assert_eq!(claimed.attempt.number, 1);
                run_up_to_the_push(&store, claimed.attempt, 1).await;
                store
                    .finish(claimed.attempt, &success(), REVISIONS, &callback, at(2))
                    .await
                    .unwrap();
                taken.push(claimed.attempt.build_id);
            }
            taken
        });
    }
    let taken = workers.join_all().await.concat();
    assert_eq!(taken.len(), BUILDS);
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), BUILDS);
    let done = BuildFilter {
        states: Some(vec![BuildState::PushSuccess]),
        image_name: None,
    };
    assert_eq!(
        stores[1].builds(Page::ALL, &done).await.unwrap().1,
        BUILDS as u64
    );
    assert_eq!(
        stores[1].deliveries(Page::ALL).await.unwrap().1,
        BUILDS as u64
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn builds_asked_for_at_once_get_numbers_and_folders_of_their_own() {
    const BUILDS: usize = 40;
    let site = Site::new();
    let stores = [site.open().await, site.open().await];
    let mut callers = JoinSet::new();
    for number in 0..BUILDS {
        let store = stores[number % 2].clone();
        callers.spawn(async move { enqueue(&store, number, 0).await });
    }
    let builds = callers.join_all().await;
    let numbers: BTreeSet<i64> = builds.iter().map(|build| build.id).collect();
    let folders: BTreeSet<&str> = builds
        .iter()
        .map(|build| build.work_dir_name.as_str())
        .collect();
    assert_eq!((numbers.len(), folders.len()), (BUILDS, BUILDS));
    assert!(numbers.iter().all(|number| number.to_string().len() == 13));
}

#[tokio::test]
async fn a_deleted_builds_number_is_not_given_again() {
    let site = Site::new();
    let store = site.open().await;
    let first = enqueue(&store, 1, 0).await.id;
    store.request_cancel(first, &callback, at(0)).await.unwrap();
    store.delete_build(first).await.unwrap();
    // The clock went back a minute.
    let second = enqueue(&store, 2, -60).await.id;
    assert_eq!(second, first + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_builds_for_one_target_asked_for_at_once_one_wins() {
    const CALLERS: usize = 12;
    let site = Site::new();
    let stores = [site.open().await, site.open().await];
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let store = stores[number % 2].clone();
        callers.spawn(async move { store.enqueue(request(&target(1)), &work_dir, at(0)).await });
    }
    let answers = callers.join_all().await;
    let winner: Vec<i64> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().ok())
        .map(|build| build.id)
        .collect();
    assert_eq!(winner.len(), 1);
    let refused = answers
        .iter()
        .filter(|answer| {
            matches!(answer, Err(EnqueueError::TargetTaken { by, under_way: true, .. }) if *by == winner[0])
        })
        .count();
    assert_eq!(refused, CALLERS - 1);
}

#[tokio::test]
async fn the_oldest_build_goes_first_even_after_it_was_lost() {
    let site = Site::new();
    let store = site.open().await;
    let first = enqueue(&store, 1, 0).await.id;
    let second = enqueue(&store, 2, 1).await.id;
    assert_eq!(claim(&store, 2).await.build.id, first);
    store.requeue_orphans(true, &callback, at(3)).await.unwrap();
    assert_eq!(claim(&store, 4).await.build.id, first);
    assert_eq!(claim(&store, 4).await.build.id, second);
    assert!(
        store
            .claim("worker-2", LEASE, at(5))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn cancelling_ends_what_waits_and_tells_what_runs() {
    let site = Site::new();
    let store = site.open().await;
    let running = enqueue(&store, 1, 0).await.id;
    let attempt = claim(&store, 1).await.attempt;
    let waiting = enqueue(&store, 2, 2).await.id;

    let CancelOutcome::Ended(ended) = store
        .request_cancel(waiting, &callback, at(3))
        .await
        .unwrap()
    else {
        panic!("a waiting build ends at once");
    };
    assert_eq!(ended.state, BuildState::BuildAbort);
    assert_eq!(ended.failure.unwrap().code, ReasonCode::Cancelled);
    assert_eq!(claim_due(&store, 3).await.len(), 1);
    assert_eq!(
        store
            .request_cancel(waiting, &callback, at(3))
            .await
            .unwrap(),
        CancelOutcome::AlreadyEnded(BuildState::BuildAbort)
    );
    assert_eq!(
        store.request_cancel(1, &callback, at(3)).await.unwrap(),
        CancelOutcome::NotFound
    );

    let mut told = store.subscribe_cancels();
    assert!(
        !store
            .heartbeat(attempt, LEASE, at(3))
            .await
            .unwrap()
            .cancel_requested
    );
    assert_eq!(
        store
            .request_cancel(running, &callback, at(4))
            .await
            .unwrap(),
        CancelOutcome::Requested
    );
    told.changed().await.unwrap();
    assert!(store.cancel_requested(running).await.unwrap());
    assert!(
        store
            .heartbeat(attempt, LEASE, at(5))
            .await
            .unwrap()
            .cancel_requested
    );

    // Its worker is lost before it stops the build: it is not begun again.
    let orphans = store.requeue_orphans(true, &callback, at(6)).await.unwrap();
    assert_eq!(
        orphans.ended[0].failure.as_ref().unwrap().code,
        ReasonCode::Cancelled
    );
    assert!(
        store
            .claim("worker-2", LEASE, at(7))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn whoever_subscribed_before_is_woken() {
    let site = Site::new();
    let store = site.open().await;
    let (mut queue, mut deliveries, mut events) = (
        store.subscribe_queue(),
        store.subscribe_deliveries(),
        store.subscribe_events(),
    );
    store
        .clone()
        .enqueue(request(&target(1)), &work_dir, at(0))
        .await
        .unwrap();
    queue.changed().await.unwrap();
    events.changed().await.unwrap();
    let attempt = claim(&store, 0).await.attempt;
    assert!(!queue.has_changed().unwrap());
    store
        .finish(
            attempt,
            &AttemptOutcome::Release,
            REVISIONS,
            &no_callback,
            at(0),
        )
        .await
        .unwrap();
    queue.changed().await.unwrap();
    let attempt = claim(&store, 0).await.attempt;
    run_up_to_the_push(&store, attempt, 1).await;
    assert!(!deliveries.has_changed().unwrap());
    store
        .finish(attempt, &success(), REVISIONS, &callback, at(2))
        .await
        .unwrap();
    deliveries.changed().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_leaves_a_whole_build_or_none() {
    let site = Site::new();
    let store = site.open().await;
    let mut gone = 0;
    for number in 0..120_usize {
        let caller = tokio::spawn({
            let store = store.clone();
            async move { enqueue(&store, number, 0).await }
        });
        // Cut off at ever later points of the transaction.
        for _ in 0..number {
            tokio::task::yield_now().await;
        }
        caller.abort();
        gone += usize::from(caller.await.is_err());
    }
    assert!(gone > 0, "some callers were cut off");
    // The writer is free for the next caller, and what is there is whole.
    enqueue(&store, 1000, 1).await;
    let (builds, total) = store
        .builds(Page::ALL, &BuildFilter::default())
        .await
        .unwrap();
    assert!(total >= 121 - gone as u64);
    for build in builds {
        assert!(store.request(build.id).await.unwrap().is_some());
        let events = store.events(build.id, 0, 9).await.unwrap();
        assert_eq!((events.len(), build.last_event), (1, 1));
    }
}

//! What several processes on one server may rely on.

use std::time::Duration;

use fastbuild_store::{Seal, Store, StoreError};
use fastbuild_testkit::{
    env::TestEnv,
    postgres::{TestDatabase, server::OwnServer},
};

use crate::parts::{KEY, Site, at, callback, enqueue};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_start_at_once_make_one_database() {
    let site = Site::new();
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let url = site.url();
        opening.spawn(async move { Store::open(&url, Seal::from_key(&KEY).unwrap()).await });
    }
    let stores: Vec<Store> = opening
        .join_all()
        .await
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(
        stores
            .windows(2)
            .all(|pair| pair[0].installation() == pair[1].installation())
    );
    enqueue(&stores[0], 1, 0).await;
    let seen = stores[3].builds_by_target("image-1").await.unwrap();
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn leases_go_by_the_databases_clock_whatever_the_callers_say() {
    let site = Site::new();
    let store = site.open_as_served().await;
    let task = enqueue(&store, 1, 0).await.id;
    let hour = Duration::from_hours(1);
    // This caller's clock is years behind, the other's years ahead.
    let behind = "2001-01-01T00:00:00Z".parse().unwrap();
    let ahead = "2100-01-01T00:00:00Z".parse().unwrap();
    let claimed = store.claim("behind", hour, behind).await.unwrap().unwrap();
    let orphans = store
        .requeue_orphans(false, &callback, ahead)
        .await
        .unwrap();
    assert!(orphans.requeued.is_empty(), "{orphans:?}");
    store
        .heartbeat(claimed.attempt, Duration::ZERO, ahead)
        .await
        .unwrap();
    let orphans = store
        .requeue_orphans(false, &callback, behind)
        .await
        .unwrap();
    assert_eq!(orphans.requeued, [task]);
}

#[tokio::test]
async fn a_text_with_a_nul_character_is_kept_as_well_as_can_be() {
    let site = Site::new();
    let store = site.open().await;
    let mut new = crate::parts::request(&crate::parts::target(1));
    new.name = "a\0task".to_owned();
    new.spec.description = "a\0description".to_owned();
    let build = store
        .enqueue(new, &crate::parts::work_dir, at(0))
        .await
        .unwrap();
    assert_eq!(build.name, "a\u{fffd}task");
    assert!(store.build_by_work_dir("\0").await.unwrap().is_none());
    assert!(store.builds_by_target("\0").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let env = TestEnv::load().unwrap();
    let server = env.postgres().unwrap();
    let seal = || Seal::from_key(&KEY).unwrap();
    let nowhere = "postgres://me:hunter2@127.0.0.1:1/x";
    let wrong_account = format!("postgres://me:hunter2@127.0.0.1:{}/postgres", server.port);
    for url in [nowhere, &wrong_account] {
        let refused = Store::open(url, seal()).await.unwrap_err();
        assert!(
            matches!(refused, StoreError::Unreachable { .. }),
            "{refused}"
        );
        let text = refused.to_string();
        assert!(text.contains("postgres://***@127.0.0.1:"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn a_wake_up_reaches_the_other_processes_also_after_their_connections_were_cut() {
    let site = Site::new();
    let (here, there) = (site.open().await, site.open().await);
    let mut queue = there.subscribe_queue();
    for number in 0..3 {
        // After a cut the listener may not be there yet; then everything rings once it is.
        queue.mark_unchanged();
        enqueue(&here, number, 0).await;
        tokio::time::timeout(Duration::from_mins(2), queue.changed())
            .await
            .expect("the other process is woken")
            .unwrap();
        site.cut_connections();
    }
    let builds = there.builds_by_target("image-").await.unwrap();
    assert_eq!(builds.len(), 3);
}

#[tokio::test]
async fn a_server_that_ends_and_comes_back_is_used_again() {
    let env = TestEnv::load().unwrap();
    let mut server = OwnServer::start(env.postgres().unwrap()).await.unwrap();
    let database = TestDatabase::create(&server.part).unwrap();
    let open = async || Store::open(&database.url, Seal::from_key(&KEY).unwrap()).await;
    let (here, there) = (open().await.unwrap(), open().await.unwrap());
    let mut queue = there.subscribe_queue();
    for (number, orderly) in [(1, true), (2, false)] {
        if orderly {
            server.stop().await.unwrap();
        } else {
            server.kill().await.unwrap();
        }
        assert!(!server.part.answers());
        server.start_again().await.unwrap();
        queue.mark_unchanged();
        enqueue(&here, number, 0).await;
        // The listener may come back later than what it was told; then everything rings.
        tokio::time::timeout(Duration::from_mins(2), queue.changed())
            .await
            .expect("the other process is woken")
            .unwrap();
        let builds = there.builds_by_target("image-").await.unwrap();
        assert_eq!(builds.len(), number);
    }
}

#[tokio::test]
async fn processes_are_there_until_they_fall_silent() {
    let site = Site::new();
    let store = site.open().await;
    store.replica_heartbeat("one", at(0)).await.unwrap();
    store.replica_heartbeat("two", at(5)).await.unwrap();
    store.replica_heartbeat("one", at(20)).await.unwrap();
    let silence = Duration::from_secs(10);
    let live = store.live_replicas(silence, at(25)).await.unwrap();
    assert_eq!(live, ["one".to_owned()].into());
    store.remove_replica("one").await.unwrap();
    assert!(
        store
            .live_replicas(silence, at(25))
            .await
            .unwrap()
            .is_empty()
    );
}

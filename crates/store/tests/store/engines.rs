//! Engines come, change and go; builds find a place on them, and no engine gets more than it can.

use std::collections::{BTreeMap, HashMap};

use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    requeue::RequeueReason,
    settings::{DockerServerSettings, TlsMaterial},
};
use fastbuild_store::{
    CancelOutcome, CheckedHealth, DEFAULT_ENGINE, DiskUse, EngineChange, FencedError, Finished,
    HealthState, NewEngine, NewSettings, RemoveOutcome, Store,
};
use secrecy::ExposeSecret as _;

use crate::parts::{
    LEASE, REVISIONS, Site, at, callback, claim, engine_lost, enqueue, no_callback, success,
};

fn server(port: u16) -> DockerServerSettings {
    DockerServerSettings {
        host: "10.0.0.10".to_owned(),
        port,
        tls: None,
    }
}

fn engine(name: &str, port: u16, capacity: u32) -> NewEngine {
    NewEngine {
        name: name.to_owned(),
        server: server(port),
        capacity,
        labels: BTreeMap::new(),
    }
}

async fn add(store: &Store, name: &str, port: u16, capacity: u32) {
    let added = store
        .add_engine(engine(name, port, capacity), at(0))
        .await
        .unwrap();
    assert_eq!(added, EngineChange::Done);
}

fn found(name: &str, up: bool, seconds: i64, hopeless: Option<i64>) -> CheckedHealth {
    CheckedHealth {
        engine: name.to_owned(),
        up,
        since: at(seconds),
        given_up_at: hopeless.map(at),
        failure: (!up).then(|| {
            Failure::new(
                ReasonCode::EngineUnreachable,
                "连不上。",
                "It does not answer.",
            )
        }),
    }
}

#[tokio::test]
async fn an_engine_is_added_changed_drained_and_removed_and_keeps_its_history() {
    let site = Site::new();
    let store = site.open().await;
    let mut one = engine("one", 2376, 2);
    one.labels.insert("rack".to_owned(), "a7".to_owned());
    one.server.tls = Some(TlsMaterial {
        ca_pem: "the CA".to_owned(),
        cert_pem: "the certificate".to_owned(),
        key_pem: "the very private key".into(),
    });
    assert_eq!(
        store.add_engine(one.clone(), at(0)).await.unwrap(),
        EngineChange::Done
    );
    assert_eq!(
        store.add_engine(one.clone(), at(0)).await.unwrap(),
        EngineChange::Exists
    );
    assert_eq!(
        store
            .add_engine(engine("two", 2376, 1), at(0))
            .await
            .unwrap(),
        EngineChange::AddressTaken("one".to_owned())
    );
    assert_eq!(
        store
            .change_engine(engine("two", 1, 1), at(0))
            .await
            .unwrap(),
        EngineChange::NotFound
    );

    let settings = store.engine_settings("one").await.unwrap().unwrap();
    let tls = settings.server.tls.unwrap();
    assert_eq!(tls.key_pem.expose_secret(), "the very private key");
    assert!(!site.holds("the very private key"));
    assert!(site.holds("10.0.0.10"), "the search finds what is there");

    one.capacity = 5;
    one.server.tls = None;
    assert_eq!(
        store.change_engine(one, at(60)).await.unwrap(),
        EngineChange::Done
    );
    store.drain_engine("one", true, at(90)).await.unwrap();
    let disk = DiskUse {
        used_bytes: 7,
        cache_bytes: 3,
        at: 1,
    };
    store.note_disk("one", disk).await.unwrap();
    let listed = store.engines().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (
            listed[0].capacity,
            listed[0].draining,
            listed[0].tls,
            listed[0].running
        ),
        (5, true, false, 0)
    );
    assert_eq!(listed[0].labels["rack"], "a7");
    assert_eq!(listed[0].disk, Some(disk));
    assert_eq!(listed[0].health.state, HealthState::Unknown);
    let history = store.engine_history("one").await.unwrap();
    let seen: Vec<(Option<u32>, bool)> =
        history.iter().map(|row| (row.capacity, row.tls)).collect();
    assert_eq!(seen, [(Some(5), false), (Some(2), true)]);
    assert_eq!(history[0].id, listed[0].revision);

    assert_eq!(
        store.remove_engine("one", at(120)).await.unwrap(),
        RemoveOutcome::Removed
    );
    assert_eq!(
        store.remove_engine("one", at(120)).await.unwrap(),
        RemoveOutcome::NotFound
    );
    assert!(store.engines().await.unwrap().is_empty());
    assert!(store.engine_settings("one").await.unwrap().is_none());
    assert_eq!(store.engine_history("one").await.unwrap().len(), 2);
    add(&store, "one", 2377, 1).await;
    assert!(!store.engines().await.unwrap()[0].draining);
    assert_eq!(store.engine_history("one").await.unwrap().len(), 3);
}

#[tokio::test]
async fn the_default_engine_is_the_settings_docker_server() {
    let site = Site::new();
    let store = site.open().await;
    store.set_default_capacity(3, at(0)).await.unwrap();
    enqueue(&store, 1, 0).await;
    assert!(store.engines().await.unwrap().is_empty());
    assert!(
        store
            .claim("worker-1", LEASE, at(1))
            .await
            .unwrap()
            .is_none()
    );
    let new = NewSettings {
        docker_server: Some(server(2376)),
        ..NewSettings::default()
    };
    let revisions = store.add_settings(new, at(2)).await.unwrap();
    let listed = store.engines().await.unwrap();
    assert_eq!(
        (listed[0].name.as_str(), listed[0].capacity),
        (DEFAULT_ENGINE, 3)
    );
    assert_eq!(Some(listed[0].revision), revisions.docker_server);
    store.set_default_capacity(4, at(3)).await.unwrap();
    assert_eq!(store.engines().await.unwrap()[0].capacity, 4);
    // What somebody changed holds at the next start; the address stays a setting.
    let mut changed = engine(DEFAULT_ENGINE, 2376, 7);
    changed.labels.insert("rack".to_owned(), "b1".to_owned());
    assert_eq!(
        store.change_engine(changed, at(3)).await.unwrap(),
        EngineChange::Done
    );
    store.set_default_capacity(2, at(3)).await.unwrap();
    let listed = store.engines().await.unwrap();
    assert_eq!((listed[0].capacity, listed[0].port), (7, 2376));
    assert_eq!(Some(listed[0].revision), revisions.docker_server);
    let history = store.engine_history(DEFAULT_ENGINE).await.unwrap();
    let seen: Vec<Option<u32>> = history.iter().map(|row| row.capacity).collect();
    assert_eq!(seen, [Some(7), None]);
    let claimed = claim(&store, 4).await;
    assert_eq!(claimed.build.engine.as_deref(), Some(DEFAULT_ENGINE));
    assert_eq!(
        store
            .add_engine(engine("other", 2376, 1), at(5))
            .await
            .unwrap(),
        EngineChange::AddressTaken(DEFAULT_ENGINE.to_owned())
    );
}

#[tokio::test]
async fn no_engine_gets_more_builds_than_its_capacity() {
    let site = Site::new();
    let store = site.open().await;
    add(&store, "one", 1, 2).await;
    add(&store, "two", 2, 3).await;
    for number in 0..9 {
        enqueue(&store, number, 0).await;
    }
    let claimers = (0..8).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            let worker = format!("worker-{number}");
            while let Some(claimed) = store.claim(&worker, LEASE, at(1)).await.unwrap() {
                taken.push(claimed);
            }
            taken
        })
    });
    let mut taken = Vec::new();
    for claimer in claimers.collect::<Vec<_>>() {
        taken.extend(claimer.await.unwrap());
    }
    let mut places: HashMap<String, u32> = HashMap::new();
    for claimed in &taken {
        *places
            .entry(claimed.build.engine.clone().unwrap())
            .or_default() += 1;
    }
    assert_eq!(
        places,
        [("one".to_owned(), 2), ("two".to_owned(), 3)].into()
    );
    let running = store.engines().await.unwrap();
    assert_eq!(
        running.iter().map(|one| one.running).collect::<Vec<_>>(),
        [2, 3]
    );
    assert_eq!(
        store.remove_engine("two", at(2)).await.unwrap(),
        RemoveOutcome::InUse(3)
    );

    // Each build that ends makes room for one.
    let mut queue = store.subscribe_queue();
    queue.mark_unchanged();
    let first = &taken[0];
    crate::parts::run_up_to_the_push(&store, first.attempt, 2).await;
    store
        .finish(first.attempt, &success(), REVISIONS, &no_callback, at(3))
        .await
        .unwrap();
    assert!(queue.has_changed().unwrap());
    assert_eq!(claim(&store, 4).await.build.engine, first.build.engine);
    assert!(
        store
            .claim("worker-1", LEASE, at(4))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn engines_that_drain_or_do_not_answer_take_no_builds() {
    let site = Site::new();
    let store = site.open().await;
    add(&store, "one", 1, 9).await;
    add(&store, "two", 2, 9).await;
    for number in 0..6 {
        enqueue(&store, number, 0).await;
    }
    store.drain_engine("one", true, at(1)).await.unwrap();
    assert_eq!(claim(&store, 1).await.build.engine.as_deref(), Some("two"));
    store.drain_engine("one", false, at(1)).await.unwrap();
    store
        .note_health("worker-1", &found("two", false, 2, Some(62)), at(2))
        .await
        .unwrap();
    assert_eq!(claim(&store, 3).await.build.engine.as_deref(), Some("one"));
    let listed = store.engines().await.unwrap();
    assert_eq!(listed[0].health.state, HealthState::Unknown);
    assert_eq!(listed[1].health.state, HealthState::Down);
    assert_eq!(listed[1].health.since, Some(at(2)));
    assert_eq!(
        listed[1].health.failure.as_ref().unwrap().message.en,
        "It does not answer."
    );

    // None answers: builds wait, and are let through once waiting is over.
    store
        .note_health("worker-1", &found("one", false, 4, Some(64)), at(4))
        .await
        .unwrap();
    assert!(
        store
            .claim("worker-1", LEASE, at(63))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        store
            .claim("worker-1", LEASE, at(65))
            .await
            .unwrap()
            .is_some()
    );
    // Another process reaches one: this one leaves the queue to it.
    store
        .note_health("worker-2", &found("one", true, 66, None), at(66))
        .await
        .unwrap();
    assert!(
        store
            .claim("worker-1", LEASE, at(67))
            .await
            .unwrap()
            .is_none()
    );
    let other = store
        .claim("worker-2", LEASE, at(67))
        .await
        .unwrap()
        .unwrap();
    assert!(other.build.engine.is_some());
    let state = store.engines().await.unwrap()[0].health.state;
    assert_eq!(state, HealthState::Up);

    // It returned.
    store
        .note_health("worker-1", &found("one", true, 68, None), at(68))
        .await
        .unwrap();
    assert_eq!(claim(&store, 69).await.build.engine.as_deref(), Some("one"));
    store.forget_health(Some("worker-1")).await.unwrap();
    assert!(
        store
            .claim("worker-1", LEASE, at(70))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_lost_build_goes_to_another_engine_and_is_looked_for_on_the_first() {
    let site = Site::new();
    let store = site.open().await;
    add(&store, "one", 1, 1).await;
    add(&store, "two", 2, 1).await;
    let build = enqueue(&store, 1, 0).await;
    let first = claim(&store, 1).await;
    assert_eq!(
        store
            .finish(
                first.attempt,
                &engine_lost(),
                REVISIONS,
                &no_callback,
                at(2)
            )
            .await
            .unwrap(),
        Finished::Requeued(RequeueReason::EngineLost)
    );
    let second = claim(&store, 3).await;
    assert_ne!(first.build.engine, second.build.engine);
    assert!(matches!(
        store.heartbeat(first.attempt, LEASE, at(3)).await,
        Err(FencedError::Lost { .. })
    ));
    let lost_on = first.build.engine.unwrap();
    let leftovers = store.orphaned_images(&lost_on).await.unwrap();
    assert_eq!(leftovers.len(), 1);
    assert_eq!(
        (leftovers[0].build_id, &leftovers[0].image),
        (build.id, &build.target_image)
    );
    let second_engine = second.build.engine.clone().unwrap();
    assert!(
        store
            .orphaned_images(&second_engine)
            .await
            .unwrap()
            .is_empty()
    );
    // Lost there again after somebody looked: the record stays.
    store
        .record_orphaned_image(&lost_on, build.id, &build.target_image, at(4))
        .await
        .unwrap();
    store.forget_orphaned_image(&leftovers[0]).await.unwrap();
    let leftovers = store.orphaned_images(&lost_on).await.unwrap();
    assert_eq!(leftovers[0].since, at(4));
    store.forget_orphaned_image(&leftovers[0]).await.unwrap();
    assert!(store.orphaned_images(&lost_on).await.unwrap().is_empty());

    // One that is taken back and had been asked to stop leaves as much behind.
    let asked = store
        .request_cancel(build.id, &callback, at(4))
        .await
        .unwrap();
    assert_eq!(asked, CancelOutcome::Requested);
    let taken = store.requeue_orphans(true, &callback, at(5)).await.unwrap();
    assert_eq!(taken.ended.len(), 1);
    assert_eq!(
        store.orphaned_images(&second_engine).await.unwrap().len(),
        1
    );
}

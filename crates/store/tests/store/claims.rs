//! Tries of deliveries are claimed: none is made twice, none is lost, and no receiver takes the
//! room of the others.

use std::{collections::HashMap, time::Duration};

use fastbuild_store::{
    BuildId, ClaimRoom, ClaimedDelivery, Delivery, DeliveryOutcome, DeliveryStatus, NewDelivery,
    NewDeliveryAttempt, Page, Store,
};

use crate::parts::{Site, at, claim_due, headers, next_delivery, request, target, work_dir};

/// A delivery to this address, due at once; the number of its build.
async fn deliver_to(store: &Store, number: usize, url: &str, seconds: i64) -> BuildId {
    let task = store
        .enqueue(request(&target(number)), &work_dir, at(seconds))
        .await
        .unwrap()
        .id;
    let to = |_build: &fastbuild_store::Build| {
        Some(NewDelivery {
            url: url.to_owned(),
            headers: headers().into(),
            body: "{}".to_owned(),
        })
    };
    store.request_cancel(task, &to, at(seconds)).await.unwrap();
    task
}

async fn claim_within(store: &Store, room: &ClaimRoom, seconds: i64) -> Vec<ClaimedDelivery> {
    let lease = Duration::from_secs(10);
    store
        .claim_deliveries(room.clone(), lease, at(seconds))
        .await
        .unwrap()
}

fn answered(status: u16, seconds: i64) -> NewDeliveryAttempt {
    NewDeliveryAttempt {
        started_at: at(seconds),
        ended_at: at(seconds),
        request_headers: headers().into(),
        status: Some(status),
        body: format!("answer {status}"),
        error: None,
    }
}

async fn only(store: &Store) -> Delivery {
    let (rows, _) = store.deliveries(Page::ALL).await.unwrap();
    let [row] = rows.try_into().unwrap();
    row
}

/// Number, status and error of every try.
async fn tries(store: &Store, id: i64) -> Vec<(u32, Option<u16>, bool)> {
    let tries = store.delivery_tries(id).await.unwrap();
    tries
        .iter()
        .map(|row| (row.number, row.status, row.error.is_some()))
        .collect()
}

#[tokio::test]
async fn several_claimers_never_get_the_same_try() {
    let site = Site::new();
    let store = site.open().await;
    for number in 0..30 {
        deliver_to(&store, number, "http://platform.site/callback", 0).await;
    }
    let mut claimers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = site.open().await;
        claimers.spawn(async move {
            let room = ClaimRoom {
                free: 3,
                per_receiver: 99,
                under_way: HashMap::new(),
            };
            let mut mine = Vec::new();
            loop {
                let claimed = claim_within(&store, &room, 1).await;
                if claimed.is_empty() {
                    return mine;
                }
                mine.extend(claimed.into_iter().map(|claimed| claimed.delivery.id));
            }
        });
    }
    let mut all = claimers.join_all().await.concat();
    assert_eq!(all.len(), 30);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 30, "a try was claimed twice");
}

#[tokio::test]
async fn one_receiver_does_not_take_the_room_of_the_others() {
    let site = Site::new();
    let store = site.open().await;
    for number in 0..10 {
        deliver_to(&store, number, "http://slow.site:81/callback", 0).await;
    }
    deliver_to(&store, 10, "http://QUICK.site/callback?token=1", 1).await;
    let mut room = ClaimRoom {
        free: 64,
        per_receiver: 4,
        under_way: HashMap::new(),
    };
    let claimed = claim_within(&store, &room, 2).await;
    let to = |receiver: &str| {
        claimed
            .iter()
            .filter(|one| one.receiver == receiver)
            .count()
    };
    assert_eq!((to("slow.site"), to("quick.site")), (4, 1));

    // With the receiver full there is nothing to claim, and nothing to wait for.
    room.under_way.insert("slow.site".to_owned(), 4);
    assert_eq!(claim_within(&store, &room, 2).await, []);
    assert_eq!(store.next_delivery_at(&room, at(2)).await.unwrap(), None);
    room.under_way.insert("slow.site".to_owned(), 3);
    assert_eq!(
        store.next_delivery_at(&room, at(2)).await.unwrap(),
        Some(at(0))
    );
    assert_eq!(claim_within(&store, &room, 2).await.len(), 1);
    // And never more than there is room for in all.
    room.under_way.clear();
    room.free = 2;
    assert_eq!(claim_within(&store, &room, 2).await.len(), 2);
}

#[tokio::test]
async fn a_try_whose_process_ended_is_recorded_as_lost_and_followed_by_another() {
    let site = Site::new();
    let store = site.open().await;
    deliver_to(&store, 1, "http://platform.site/callback", 0).await;
    let [first] = claim_due(&store, 1).await.try_into().unwrap();
    assert_eq!(first.number, 1);
    assert_eq!(claim_due(&store, 10).await, []);
    assert_eq!(next_delivery(&store, 10).await, None);

    let [second] = claim_due(&store, 11).await.try_into().unwrap();
    assert_eq!((second.number, second.delivery.tries), (2, 1));
    let id = second.delivery.id;
    assert_eq!(tries(&store, id).await, [(1, None, true)]);

    // The first was only late: what came of it is noted, and decides nothing.
    let late = answered(500, 12);
    let recorded = store.record_delivery_attempt(id, 1, &late, DeliveryOutcome::GaveUp, at(12));
    assert!(!recorded.await.unwrap());
    assert_eq!(tries(&store, id).await, [(1, Some(500), false)]);
    assert_eq!(only(&store).await.status, DeliveryStatus::Pending);

    let taken = answered(200, 13);
    let recorded = store.record_delivery_attempt(id, 2, &taken, DeliveryOutcome::Delivered, at(13));
    assert!(recorded.await.unwrap());
    assert_eq!(
        tries(&store, id).await,
        [(1, Some(500), false), (2, Some(200), false)]
    );
    assert_eq!(only(&store).await.status, DeliveryStatus::Delivered);
    // A second word about a recorded try changes nothing.
    let recorded = store.record_delivery_attempt(id, 2, &late, DeliveryOutcome::GaveUp, at(14));
    assert!(!recorded.await.unwrap());
    assert_eq!(only(&store).await.status, DeliveryStatus::Delivered);
    assert_eq!(tries(&store, id).await[1], (2, Some(200), false));
}

#[tokio::test]
async fn leases_of_processes_that_ended_are_not_waited_for() {
    let site = Site::new();
    let store = site.open().await;
    deliver_to(&store, 1, "http://platform.site/callback", 0).await;
    assert_eq!(claim_due(&store, 1).await.len(), 1);
    store.release_deliveries(at(2)).await.unwrap();
    assert_eq!(claim_due(&store, 2).await[0].number, 2);
}

#[tokio::test]
async fn a_redelivery_asked_for_during_a_try_is_made_whatever_comes_of_the_try() {
    for (status, outcome) in [
        (500, DeliveryOutcome::GaveUp),
        (200, DeliveryOutcome::Delivered),
        (500, DeliveryOutcome::Retry { at: at(9999) }),
    ] {
        let site = Site::new();
        let store = site.open().await;
        deliver_to(&store, 1, "http://platform.site/callback", 0).await;
        let [running] = claim_due(&store, 1).await.try_into().unwrap();
        let id = running.delivery.id;
        assert!(store.redeliver(id, &headers(), at(2)).await.unwrap());
        // Not beside the one that runs.
        assert_eq!(claim_due(&store, 2).await, []);
        let tried = answered(status, 3);
        let recorded = store.record_delivery_attempt(id, 1, &tried, outcome, at(3));
        assert!(recorded.await.unwrap());
        let row = only(&store).await;
        assert_eq!(row.status, DeliveryStatus::Pending);
        assert_eq!(row.next_at, Some(at(2)));

        let [again] = claim_due(&store, 4).await.try_into().unwrap();
        assert_eq!((again.number, again.delivery.tries_on_schedule), (2, 0));
        let taken = answered(200, 5);
        let recorded =
            store.record_delivery_attempt(id, 2, &taken, DeliveryOutcome::Delivered, at(5));
        assert!(recorded.await.unwrap());
        assert_eq!(only(&store).await.status, DeliveryStatus::Delivered);
        assert_eq!(
            tries(&store, id).await,
            [(1, Some(status), false), (2, Some(200), false)]
        );
    }
}

#[tokio::test]
async fn one_that_cannot_be_read_does_not_hold_up_the_others() {
    let site = Site::new();
    let store = site.open().await;
    deliver_to(&store, 1, "http://platform.site/callback", 0).await;
    let good = deliver_to(&store, 2, "http://platform.site/callback", 1).await;
    site.sql("UPDATE deliveries SET headers = (SELECT canary FROM seal_checks) WHERE id = 1")
        .await;
    let claimed = claim_due(&store, 2).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].delivery.build_id, Some(good));
    assert_eq!(next_delivery(&store, 2).await, None);
}

#[tokio::test]
async fn callbacks_that_ended_long_ago_are_forgotten_with_their_tries() {
    let site = Site::new();
    let store = site.open().await;
    for number in 1..=4 {
        deliver_to(&store, number, "http://platform.site/callback", 0).await;
    }
    let claimed = claim_due(&store, 1).await;
    let outcomes = [
        DeliveryOutcome::Delivered,
        DeliveryOutcome::GaveUp,
        DeliveryOutcome::Retry { at: at(99) },
    ];
    for (one, outcome) in claimed.iter().zip(outcomes) {
        let tried = answered(200, 2);
        let recorded = store.record_delivery_attempt(one.delivery.id, 1, &tried, outcome, at(2));
        assert!(recorded.await.unwrap());
    }
    assert_eq!(store.prune_deliveries(at(2), 10).await.unwrap(), 0);
    assert_eq!(store.prune_deliveries(at(3), 1).await.unwrap(), 1);
    assert_eq!(store.prune_deliveries(at(3), 10).await.unwrap(), 1);
    // What is still to be sent, and what is being sent, stays however old it is.
    assert_eq!(store.prune_deliveries(at(9999), 10).await.unwrap(), 0);
    let (left, total) = store.deliveries(Page::ALL).await.unwrap();
    assert_eq!(total, 2);
    assert_eq!(left[1].id, claimed[2].delivery.id);
    assert_eq!(tries(&store, claimed[0].delivery.id).await, []);
    assert_eq!(tries(&store, claimed[2].delivery.id).await.len(), 1);
}

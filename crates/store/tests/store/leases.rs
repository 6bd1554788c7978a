//! Work that one process does for all.

use crate::parts::{LEASE, Site, at};

const WORK: &str = "sweeping the yard";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_ask_at_once_one_gets_the_work() {
    let site = Site::new();
    let store = site.open().await;
    for round in 0..10 {
        let name = format!("{WORK}, round {round}");
        let mut asking = tokio::task::JoinSet::new();
        for number in 0..8 {
            let (store, name) = (store.clone(), name.clone());
            asking.spawn(async move {
                let holder = format!("process {number}");
                store.acquire_lease(&name, &holder, LEASE, at(0)).await
            });
        }
        let held = asking.join_all().await;
        let held = held.into_iter().filter(|held| *held.as_ref().unwrap());
        assert_eq!(held.count(), 1);
    }
}

#[tokio::test]
async fn work_is_its_holders_until_the_time_is_over_or_it_is_let_go() {
    let site = Site::new();
    let store = site.open().await;
    let hold = async |holder: &str, seconds: i64| {
        let held = store.acquire_lease(WORK, holder, LEASE, at(seconds));
        held.await.unwrap()
    };
    assert!(hold("one", 0).await);
    assert!(!hold("two", 29).await);
    // The holder keeps it as long as it says so in time.
    assert!(hold("one", 20).await);
    assert!(!hold("two", 49).await);
    assert!(hold("two", 50).await);
    assert!(!hold("one", 51).await);
    // Who has lost it cannot give it away.
    store.release_lease(WORK, "one", at(51)).await.unwrap();
    assert!(!hold("one", 52).await);
    store.release_lease(WORK, "two", at(52)).await.unwrap();
    assert!(hold("one", 53).await);
    // Other work is another matter.
    let other = store.acquire_lease("something else", "two", LEASE, at(53));
    assert!(other.await.unwrap());
    // What a process held that died is forgotten long after its time.
    let two_days = 2 * 24 * 60 * 60;
    store
        .release_lease("something else", "two", at(two_days))
        .await
        .unwrap();
    assert!(hold("two", 54).await);
}

//! What a page costs, counted in the instructions of SQLite's virtual machine: the same on every
//! machine, however slow or busy.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use fastbuild_spec::state::BuildState;
use sea_orm::ConnectionTrait as _;

use crate::{BuildFilter, ImageFilter, Page, Seal, Store};

const ROWS: i64 = 100_000;
const PAGE: i64 = 10;
/// What any page of a list may cost that is not searched. Passing over half of the rows would cost
/// several times as much.
const BOUND: u64 = 40_000;

/// A store in memory, which has one connection, and the instructions that ran on it.
async fn counted() -> (Store, Arc<AtomicU64>) {
    let seal = Seal::from_key(&[7; 32]).unwrap();
    let store = Store::open("sqlite::memory:", seal).await.unwrap();
    let numbers = format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {ROWS})"
    );
    for statement in [
        "INSERT INTO builds (id, name, state, base_image, target_image, target_name, \
         target_tag, description, work_dir_name, callback_url, attempt, handed_back, \
         cancel_requested, last_event, created_at, updated_at) {numbers} \
         SELECT 1795426000000 + i * 731, '', iif(i % 100 = 0, 'BUILD_FAILED', 'PUSH_SUCCESS'), \
         'r/base:1', 'r/image-' || i || ':v1', 'r/image-' || i, 'v1', '', 'dir-' || i, '', 1, 0, 0, \
         1, i, i FROM n",
        "INSERT INTO images (build_id, name, tag, kind, image_id, size, description, ssh, \
         jupyter_lab, created_at, updated_at) {numbers} \
         SELECT i, 'r/image-' || i, 'v1', 'Customized', 'sha256:feed', 1, '', 0, 0, i, i FROM n",
    ] {
        let statement = statement.replace("{numbers}", &numbers);
        store.reader().execute_unprepared(&statement).await.unwrap();
    }
    let count = Arc::new(AtomicU64::new(0));
    let pool = store.reader().get_sqlite_connection_pool();
    assert_eq!(pool.options().get_max_connections(), 1);
    let mut connection = pool.acquire().await.unwrap();
    let counter = Arc::clone(&count);
    connection
        .lock_handle()
        .await
        .unwrap()
        .set_progress_handler(1, move || {
            counter.fetch_add(1, Ordering::Relaxed);
            true
        });
    drop(connection);
    (store, count)
}

async fn cost(count: &AtomicU64, ask: impl Future<Output = usize>) -> u64 {
    let before = count.load(Ordering::Relaxed);
    let rows = ask.await;
    assert_eq!(rows, usize::try_from(PAGE).unwrap());
    count.load(Ordering::Relaxed) - before
}

#[tokio::test]
async fn no_page_costs_more_for_being_far_from_the_first() {
    let (store, count) = counted().await;
    let last = ROWS / PAGE;
    for number in [1, 2, last / 4, last / 2, last - 1, last] {
        let page = Page { number, size: PAGE };
        let all = BuildFilter::default();
        let builds = async { store.builds(page, &all).await.unwrap().0.len() };
        let builds = cost(&count, builds).await;
        assert!(builds > 100, "nothing was counted: {builds}");
        assert!(builds < BOUND, "page {number} of builds costs {builds}");
        let all = ImageFilter::default();
        let images = async { store.images(page, &all).await.unwrap().0.len() };
        let images = cost(&count, images).await;
        assert!(images < BOUND, "page {number} of images costs {images}");
    }
}

#[tokio::test]
async fn no_page_of_a_search_costs_much_more_than_its_total() {
    let (store, count) = counted().await;
    for (name, state, found) in [
        (Some("image"), None, ROWS),
        (None, Some(BuildState::BuildFailed), ROWS / 100),
        (
            Some("r/IMAGE-"),
            Some(BuildState::PushSuccess),
            ROWS / 100 * 99,
        ),
    ] {
        let filter = BuildFilter {
            image_name: name.map(str::to_owned),
            states: state.map(|state| vec![state]),
        };
        let last = found / PAGE;
        let mut costs = Vec::new();
        for number in [1, 2, last / 4, last / 2, last / 4 * 3, last] {
            let page = Page { number, size: PAGE };
            let builds = async {
                let (builds, total) = store.builds(page, &filter).await.unwrap();
                assert_eq!(i64::try_from(total).unwrap(), found);
                builds.len()
            };
            costs.push(cost(&count, builds).await);
        }
        // Its total looks at every row, whichever page it is; the way to the page adds at most half
        // of that.
        let (first, largest) = (costs[0], costs.iter().max().unwrap());
        assert!(*largest < first * 2, "{filter:?}: {costs:?}");
    }
}

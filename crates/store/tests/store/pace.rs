//! Long lists: no page is slower for being far from the first.

use std::time::{Duration, Instant};

use fastbuild_store::{BuildFilter, ImageFilter, Page};

use crate::stories::lists::{PAGE, ROWS, long_lists, tasks};

/// The quickest of several answers, which the machine's other work disturbs least.
async fn quickest(mut ask: impl AsyncFnMut()) -> Duration {
    let mut quickest = Duration::MAX;
    for _ in 0..20 {
        let started = Instant::now();
        ask().await;
        quickest = quickest.min(started.elapsed());
    }
    quickest
}

#[tokio::test]
async fn the_last_page_takes_no_longer_than_the_first() {
    let (_site, store) = long_lists().await;
    let search = BuildFilter {
        image_name: Some("image".to_owned()),
        state: Some("SUCCESS".to_owned()),
    };
    let images = async |number: i64| {
        let page = Page { number, size: PAGE };
        let (images, _) = store.images(page, &ImageFilter::default()).await.unwrap();
        assert_eq!(images.len(), 10);
    };
    let builds = async |number: i64, filter: &BuildFilter| {
        assert_eq!(tasks(&store, number, filter).await.0.len(), 10);
    };
    let all = BuildFilter::default();
    let (last, last_found) = (ROWS / PAGE, ROWS / PAGE * 99 / 100);
    let pairs = [
        (
            "builds",
            quickest(async || builds(1, &all).await).await,
            quickest(async || builds(last, &all).await).await,
        ),
        (
            "images",
            quickest(async || images(1).await).await,
            quickest(async || images(last).await).await,
        ),
        (
            "builds that were searched for",
            quickest(async || builds(1, &search).await).await,
            quickest(async || builds(last_found, &search).await).await,
        ),
    ];
    for (list, first, last) in pairs {
        // Walking to the last page takes a hundred times as long; a busy machine does not.
        assert!(last < first * 4, "{list}: {first:?}, last {last:?}");
    }
}

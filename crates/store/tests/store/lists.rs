//! Long lists: every page is right.

use fastbuild_spec::state::BuildState;
use fastbuild_store::{BuildFilter, ImageFilter, Page, Store};

use crate::parts::Site;

/// As many as the lists are to carry.
pub(crate) const ROWS: i64 = 100_000;
pub(crate) const PAGE: i64 = 10;
/// A build every 731 milliseconds, so that blocks of keys are neither full nor empty.
const FIRST: i64 = 1_795_426_000_000;
const GAP: i64 = 731;

fn numbers() -> String {
    format!("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {ROWS})")
}

/// A site with that many builds that ended, every hundredth of them badly, and as many images.
pub(crate) async fn long_lists() -> (Site, Store) {
    let site = Site::new();
    let store = site.open().await;
    site.sql(&format!(
        "INSERT INTO builds (id, name, state, base_image, target_image, target_name, \
         target_tag, description, work_dir_name, callback_url, attempt, handed_back, \
         cancel_requested, last_event, created_at, updated_at) {} \
         SELECT {FIRST} + i * {GAP}, '', CASE WHEN i % 100 = 0 THEN 'BUILD_FAILED' ELSE 'PUSH_SUCCESS' END, 'r/base:1', \
         'registry.site/made/image-' || i || ':v1', 'registry.site/made/image-' || i, 'v1', \
         'one of many', 'dir-' || i, '', 1, 0, false, 1, i, i FROM n",
        numbers()
    ))
    .await;
    site.sql(&format!(
        "INSERT INTO images (build_id, name, tag, kind, image_id, size, description, ssh, \
         jupyter_lab, created_at, updated_at) {} \
         SELECT i, 'registry.site/made/image-' || i, 'v1', CASE WHEN i % 1000 = 0 THEN 'Base' ELSE 'Customized' END, \
         'sha256:feed', 1, '', false, false, i, i FROM n",
        numbers()
    ))
    .await;
    (site, store)
}

pub(crate) async fn tasks(store: &Store, number: i64, filter: &BuildFilter) -> (Vec<i64>, u64) {
    let page = Page { number, size: PAGE };
    let (builds, total) = store.builds(page, filter).await.unwrap();
    (builds.iter().map(|build| build.id).collect(), total)
}

/// What a page of these numbers, oldest first, must show.
fn expected(numbers: &[i64], page: i64) -> Vec<i64> {
    let (skip, take) = (usize::try_from((page - 1) * PAGE), usize::try_from(PAGE));
    numbers
        .iter()
        .rev()
        .skip(skip.unwrap())
        .take(take.unwrap())
        .copied()
        .collect()
}

async fn assert_pages(store: &Store, numbers: &[i64], filter: &BuildFilter) {
    let amount = i64::try_from(numbers.len()).unwrap();
    let last = (amount + PAGE - 1) / PAGE;
    for page in [1, 2, 103, last / 2, last / 2 + 1, last - 1, last, last + 1] {
        let (shown, total) = tasks(store, page, filter).await;
        assert_eq!(total, amount.unsigned_abs());
        assert_eq!(shown, expected(numbers, page), "page {page} of {last}");
    }
}

#[tokio::test]
async fn every_page_of_a_long_list_is_right_also_after_deletions() {
    let (site, store) = long_lists().await;
    let mut numbers: Vec<i64> = (0..ROWS).map(|row| FIRST + row * GAP).collect();
    let all = BuildFilter::default();
    assert_pages(&store, &numbers, &all).await;

    // A thousand in a row, and every seventh.
    let (from, to) = (FIRST + 40_000 * GAP, FIRST + 41_000 * GAP);
    let goes = |number: i64| (from..to).contains(&number) || (number - FIRST) / GAP % 7 == 0;
    site.sql(&format!(
        "DELETE FROM builds WHERE (id >= {from} AND id < {to}) \
         OR (id - {FIRST}) / {GAP} % 7 = 0"
    ))
    .await;
    numbers.retain(|number| !goes(*number));
    assert_pages(&store, &numbers, &all).await;

    let failed = BuildFilter {
        image_name: Some("MADE/image-".to_owned()),
        states: Some(vec![BuildState::BuildFailed]),
    };
    numbers.retain(|number| (number - FIRST) / GAP % 100 == 0);
    assert_pages(&store, &numbers, &failed).await;

    site.sql("DELETE FROM builds").await;
    assert_eq!(tasks(&store, 1, &all).await, (vec![], 0));
    assert_eq!(tasks(&store, 2, &failed).await, (vec![], 0));
}

#[tokio::test]
async fn images_are_paged_the_same_way() {
    let (_site, store) = long_lists().await;
    let names = async |number: i64, filter: &ImageFilter| {
        let page = Page { number, size: 2 };
        let (images, total) = store.images(page, filter).await.unwrap();
        let names: Vec<String> = images
            .into_iter()
            .map(|image| image.name.rsplit_once('-').unwrap().1.to_owned())
            .collect();
        (names.join(" "), total)
    };
    let all = ImageFilter::default();
    assert_eq!(names(1, &all).await, ("99999 99998".to_owned(), 100_000));
    assert_eq!(
        names(25_000, &all).await,
        ("50001 50000".to_owned(), 100_000)
    );
    assert_eq!(names(50_000, &all).await, ("1 0".to_owned(), 100_000));
    assert_eq!(names(50_001, &all).await, (String::new(), 100_000));
    let base = ImageFilter {
        kind: Some(fastbuild_store::ImageKind::Base),
        keyword: Some("V1".to_owned()),
    };
    assert_eq!(names(1, &base).await, ("99000 98000".to_owned(), 100));
    assert_eq!(names(50, &base).await, ("1000 0".to_owned(), 100));
}

//! Lists of a hundred thousand tasks over HTTP: every page has the right rows in the right order.

use sea_orm::{ConnectionTrait as _, Database};

use crate::support::installation::Installation;

const ROWS: i64 = 100_000;
const PAGE: i64 = 10;
/// The number of the first task, and how far the next is from it.
const FIRST: i64 = 1_795_426_000_000;
const GAP: i64 = 731;

/// A service with that many tasks that ended, every hundredth of them badly.
async fn with_many_tasks() -> Installation {
    let mut installation = Installation::unconfigured(&[]).await;
    installation.service.stop().await.unwrap();
    let database = installation.directory.path().join("fastbuild.db");
    let connection = Database::connect(format!("sqlite://{}", database.display()))
        .await
        .unwrap();
    connection
        .execute_unprepared(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {ROWS}) \
             INSERT INTO builds (id, name, state, base_image, target_image, target_name, \
             target_tag, description, work_dir_name, callback_url, attempt, handed_back, \
             cancel_requested, last_event, created_at, updated_at) \
             SELECT {FIRST} + i * {GAP}, 'task ' || i, \
             iif(i % 100 = 0, 'BUILD_FAILED', 'PUSH_SUCCESS'), 'r/base:1', \
             'registry.site/made/image-' || i || ':v1', 'registry.site/made/image-' || i, 'v1', \
             'one of many', 'dir-' || i, '', 1, 0, 0, 1, i, i FROM n"
        ))
        .await
        .unwrap();
    connection.close().await.unwrap();
    installation.service.restart_in_place().await.unwrap();
    installation
}

/// The rows of a page, by their place in the order they were made, and the total.
async fn page(installation: &Installation, number: i64, query: &str) -> (Vec<i64>, i64) {
    let path = format!("task/list-task?page={number}&page_size={PAGE}{query}");
    let answer = installation.client().get(&path).await.unwrap();
    let data = answer.data().unwrap();
    assert_eq!(data["page"]["current"], number);
    assert_eq!(data["page"]["page_size"], PAGE);
    let rows = data["task_list"].as_array().unwrap().iter().map(|task| {
        let place = (task["task_id"].as_i64().unwrap() - FIRST) / GAP;
        assert_eq!(task["name"], format!("task {place}"));
        place
    });
    (rows.collect(), data["page"]["total"].as_i64().unwrap())
}

#[tokio::test]
async fn every_page_of_a_hundred_thousand_tasks_is_the_right_one() {
    let installation = with_many_tasks().await;
    let last = ROWS / PAGE;
    for number in [1, 2, last / 2, last - 1, last] {
        let newest = ROWS - 1 - (number - 1) * PAGE;
        let expected: Vec<i64> = (0..PAGE).map(|row| newest - row).collect();
        assert_eq!(page(&installation, number, "").await, (expected, ROWS));
    }
    assert_eq!(page(&installation, last + 1, "").await, (vec![], ROWS));

    let failed = ROWS / 100;
    let last = failed / PAGE;
    let search = "&task_status=FAILED&image_name=made/image";
    for number in [1, last / 2, last] {
        let newest = failed - 1 - (number - 1) * PAGE;
        let expected: Vec<i64> = (0..PAGE).map(|row| (newest - row) * 100).collect();
        assert_eq!(
            page(&installation, number, search).await,
            (expected, failed)
        );
    }
    assert_eq!(
        page(&installation, last + 1, search).await,
        (vec![], failed)
    );
}

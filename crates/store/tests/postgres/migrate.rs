//! Moving a SQLite database to PostgreSQL, and a server that takes no connection.

use fastbuild_spec::{failure::Language, state::Step};
use fastbuild_store::{CopiedTable, Page, Seal, Store, StoreError, copy_to_postgres};
use tempfile::TempDir;

use crate::parts::{
    KEY, REVISIONS, Site, at, callback, claim, enqueue, log, run_up_to_the_push, success,
};

fn seal() -> Seal {
    Seal::from_key(&KEY).unwrap()
}

/// A SQLite database with something in it: a build that ended, with its log and callback, one that
/// runs, and some that wait.
async fn source(folder: &TempDir) -> (String, Store) {
    let url = format!("sqlite://{}", folder.path().join("fastbuild.db").display());
    let store = Store::open(&url, seal()).await.unwrap();
    store
        .add_settings(crate::stories::settings::whole_set(), at(0))
        .await
        .unwrap();
    enqueue(&store, 0, 0).await;
    let attempt = claim(&store, 0).await.attempt;
    store
        .append_events(attempt, vec![log(Step::Pull, "a line\n"); 1200], at(0))
        .await
        .unwrap();
    run_up_to_the_push(&store, attempt, 1).await;
    store
        .finish(attempt, &success(), REVISIONS, &callback, at(2))
        .await
        .unwrap();
    for number in 1..40 {
        enqueue(&store, number, 3).await;
    }
    claim(&store, 4).await;
    (url, store)
}

async fn migrate(source: &str, target: &str) -> Result<Vec<CopiedTable>, StoreError> {
    copy_to_postgres(source, target, &mut |_| {}).await
}

#[tokio::test]
async fn every_row_of_a_sqlite_database_moves_and_the_source_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (url, store) = source(&folder).await;
    store.close().await.unwrap();
    let before = std::fs::read(folder.path().join("fastbuild.db")).unwrap();
    let site = Site::new();
    let tables = migrate(&url, &site.url()).await.unwrap();
    let rows = |name: &str| tables.iter().find(|table| table.name == name).unwrap().rows;
    assert_eq!((rows("builds"), rows("build_requests")), (40, 40));
    assert_eq!((rows("deliveries"), rows("images")), (1, 1));
    assert!(rows("list_positions") > 0);
    assert_eq!(tables.last().unwrap().name, "seal_checks");
    assert_eq!(
        std::fs::read(folder.path().join("fastbuild.db")).unwrap(),
        before
    );

    // The same installation, with the same key: everything is there, and it goes on.
    let (old, new) = (Store::open(&url, seal()).await.unwrap(), site.open().await);
    assert_eq!(old.installation(), new.installation());
    let page = Page {
        number: 2,
        size: 25,
    };
    let all = fastbuild_store::BuildFilter::default();
    assert_eq!(
        old.builds(page, &all).await.unwrap(),
        new.builds(page, &all).await.unwrap()
    );
    assert_eq!(
        format!("{:?}", old.settings().await.unwrap()),
        format!("{:?}", new.settings().await.unwrap())
    );
    assert_eq!(
        old.deliveries(Page::ALL).await.unwrap(),
        new.deliveries(Page::ALL).await.unwrap()
    );
    let next = enqueue(&new, 900, 9).await;
    assert_eq!(next.row_id, 41);
    assert_eq!(claim(&new, 9).await.attempt.number, 1);
}

#[tokio::test]
async fn a_move_that_stopped_half_way_goes_on_and_a_changed_source_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (url, store) = source(&folder).await;
    let site = Site::new();
    // Breaks off in the middle, as if the connection went.
    Store::open(&site.url(), Seal::from_key(&[9; 32]).unwrap())
        .await
        .unwrap();
    site.sql("DELETE FROM seal_checks").await;
    site.refuse_inserts("events").await;
    migrate(&url, &site.url()).await.unwrap_err();
    site.take_inserts("events").await;
    migrate(&url, &site.url()).await.unwrap();
    // Once more changes nothing.
    migrate(&url, &site.url()).await.unwrap();

    enqueue(&store, 700, 9).await;
    let build = claim(&store, 9).await.build;
    site.sql("DELETE FROM seal_checks").await;
    let refused = migrate(&url, &site.url()).await.unwrap_err();
    assert!(
        refused.failure().to_string().contains("differ"),
        "{refused} {build:?}"
    );
}

#[tokio::test]
async fn a_database_of_another_installation_is_no_target() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _store) = source(&folder).await;
    let site = Site::new();
    site.open().await;
    let refused = migrate(&url, &site.url()).await.unwrap_err();
    assert!(
        refused.failure().to_string().contains("another FastBuild"),
        "{refused}"
    );
    let refused = migrate(&url, "sqlite:///tmp/x.db").await.unwrap_err();
    assert!(matches!(refused, StoreError::Copy(_)), "{refused}");
}

#[tokio::test]
async fn a_server_without_a_connection_left_is_named_in_its_own_words() {
    let site = Site::new();
    site.open().await;
    let url = site.url();
    let (name, password) = (format!("limited_{}", std::process::id()), "a-test-password");
    site.sql(&format!(
        "CREATE ROLE {name} LOGIN PASSWORD '{password}' CONNECTION LIMIT 0"
    ))
    .await;
    let (_, rest) = url.rsplit_once('@').unwrap();
    let limited = format!("postgres://{name}:{password}@{rest}");
    let refused = Store::open(&limited, seal()).await.unwrap_err();
    site.sql(&format!("DROP ROLE {name}")).await;
    let failure = refused.failure();
    for said in [refused.to_string(), failure.to_string()] {
        assert!(said.contains("too many connections for role"), "{said}");
        assert!(!said.contains(password), "{said}");
    }
    assert!(
        failure
            .sentence(Language::English)
            .contains("CONNECTION LIMIT")
    );
}

//! What an import must not do to the builds and callbacks that come after it.

use fastbuild_spec::{
    profile::{ImageConfig, ImageProfile, OsRelease},
    settings::CallbackHeaders,
};
use fastbuild_store::{DeliveryFilter, NewSettings, OldInstallation, Page, Store};
use sea_orm::{ConnectionTrait as _, Database};

use crate::parts::{Site, at, claim_due, next_delivery};

async fn import(store: &Store, statements: &str) {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("old.db");
    let connection = Database::connect(format!("sqlite://{}?mode=rwc", database.display()))
        .await
        .unwrap();
    connection.execute_unprepared(statements).await.unwrap();
    connection.close().await.unwrap();
    let old = OldInstallation {
        database,
        tls_dir: None,
        ini: NewSettings::default(),
        zone: jiff::tz::TimeZone::UTC,
    };
    let report = store
        .import_legacy(&old, &CallbackHeaders::new(), true, at(0))
        .await
        .unwrap();
    let taken: usize = report.tables.iter().map(|table| table.taken).sum();
    assert_eq!(taken, 1, "{report}");
}

#[tokio::test]
async fn an_imported_check_result_is_shown_and_never_planned_with() {
    let site = Site::new();
    let store = site.open().await;
    import(
        &store,
        "CREATE TABLE fb_image_check_result_table (primary_id INTEGER PRIMARY KEY, image_id TEXT, \
         image_name TEXT, result TEXT, create_time TEXT, update_time TEXT); \
         INSERT INTO fb_image_check_result_table VALUES (1, 'sha256:1', 'base:v1', '{}', \
         '2023-09-12 18:42:50', '2023-09-12 18:42:50');",
    )
    .await;
    assert_eq!(store.profiles(10).await.unwrap().len(), 1);
    assert!(store.profile("sha256:1").await.unwrap().is_none());
    assert!(store.profile_by_name("base:v1").await.unwrap().is_none());

    let probed = ImageProfile {
        image_id: "sha256:1".to_owned(),
        size: 1,
        architecture: "amd64".to_owned(),
        config: ImageConfig::default(),
        kernel: "probed".to_owned(),
        os: OsRelease::default(),
        package_manager: None,
        pythons: Vec::new(),
        externally_managed: false,
        has_venv: false,
        pips: Vec::new(),
        pip_mirrors: Vec::new(),
        conda: None,
        sshd: None,
        jupyter_lab: None,
        has_sudo: false,
    };
    store.put_profile(&probed, "base:v1", at(1)).await.unwrap();
    let found = store.profile("sha256:1").await.unwrap().unwrap();
    assert_eq!(found.profile.kernel, "probed");
    assert_eq!(store.profiles(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_imported_callback_is_history_and_is_not_sent() {
    let site = Site::new();
    let store = site.open().await;
    import(
        &store,
        "CREATE TABLE fb_callback_table (primary_id INTEGER PRIMARY KEY, url TEXT, headers TEXT, \
         state TEXT, result TEXT, create_time TEXT, update_time TEXT); \
         INSERT INTO fb_callback_table VALUES (1, 'http://p/cb', '{\"Authorization\": \"old\"}', \
         '{\"taskId\": 7}', '500', '2023-09-12 18:42:50', '2023-09-12 18:42:50');",
    )
    .await;
    assert!(next_delivery(&store, 9).await.is_none());
    let (rows, total) = store
        .delivery_history(Page::ALL, DeliveryFilter::default())
        .await
        .unwrap();
    assert_eq!((total, rows.len()), (1, 1));
    assert!(rows[0].tries.is_empty());

    // Old as it is, it stays.
    assert_eq!(store.prune_deliveries(at(9), 10).await.unwrap(), 0);

    // Until somebody wants it sent, with the headers of today.
    let today: CallbackHeaders = [("authorization".to_owned(), "new".to_owned())].into();
    let id = rows[0].delivery.id;
    assert!(store.redeliver(id, &today, at(1)).await.unwrap());
    assert!(!store.redeliver(id + 1, &today, at(1)).await.unwrap());
    let due = claim_due(&store, 1).await;
    assert_eq!(due[0].delivery.headers.expose(), &today);
    assert_eq!(due[0].delivery.tries_on_schedule, 0);
}

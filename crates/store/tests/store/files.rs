//! Where the database is and who may read it.

use std::os::unix::fs::PermissionsExt as _;

use fastbuild_store::{Seal, Store};

use crate::parts::{KEY, Site, claim, enqueue};

#[tokio::test]
async fn the_database_file_is_its_owners_alone() {
    let site = Site::new();
    let store = site.open().await;
    enqueue(&store, 1, 0).await;
    for entry in std::fs::read_dir(site.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
    }
}

#[tokio::test]
async fn other_databases_are_refused_with_a_sentence() {
    let seal = Seal::from_key(&KEY).unwrap();
    for url in [
        "postgres://me:hunter2@db.site/x",
        "sqlite://relative.db",
        "sqlite://",
        "x",
    ] {
        let refused = Store::open(url, seal.clone())
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.contains("sqlite:///absolute/path"), "{refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
    }
    let folder = "sqlite:///nowhere/at/all.db";
    let refused = Store::open(folder, seal.clone())
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("/nowhere/at/all.db"), "{refused}");
    let memory = Store::open("sqlite::memory:", seal).await.unwrap();
    enqueue(&memory, 1, 0).await;
    assert_eq!(claim(&memory, 0).await.attempt.number, 1);
}

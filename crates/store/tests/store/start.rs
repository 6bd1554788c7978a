//! Which starts are refused: a key without its database, a database without its key, a schema of a
//! newer version.

use std::path::PathBuf;

use fastbuild_spec::failure::Language;
use fastbuild_store::{Store, StoreError};

use crate::parts::{Site, enqueue};

fn key(site: &Site) -> PathBuf {
    site.folder.path().join("seal.key")
}

async fn start(site: &Site) -> Result<Store, StoreError> {
    Store::open_installation(&site.url(), &key(site)).await
}

#[tokio::test]
async fn the_first_start_makes_both_and_later_ones_use_them() {
    let site = Site::new();
    let store = start(&site).await.unwrap();
    let build = enqueue(&store, 1, 0).await;
    store.close().await.unwrap();
    assert!(key(&site).exists());
    let store = start(&site).await.unwrap();
    assert_eq!(store.build(build.id).await.unwrap(), Some(build));
}

#[tokio::test]
async fn a_key_without_its_database_is_refused_and_nothing_is_made() {
    let site = Site::new();
    start(&site).await.unwrap().close().await.unwrap();
    std::fs::remove_file(site.file()).unwrap();
    let refused = start(&site).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::DatabaseMissing { .. }),
        "{refused}"
    );
    assert!(!site.file().exists());
    let said = refused.failure().sentence(Language::English);
    for part in [
        site.file().display().to_string(),
        key(&site).display().to_string(),
        "fastbuild restore".to_owned(),
    ] {
        assert!(said.contains(&part), "{said}");
        assert!(refused.to_string().contains(&part), "{refused}");
    }
    // An empty file is no database either.
    std::fs::write(site.file(), "").unwrap();
    let refused = start(&site).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::DatabaseMissing { .. }),
        "{refused}"
    );
    // Who means to begin anew moves the key away.
    std::fs::remove_file(key(&site)).unwrap();
    start(&site).await.unwrap();
}

#[tokio::test]
async fn a_database_without_its_key_is_refused_and_no_key_is_made() {
    let site = Site::new();
    start(&site).await.unwrap().close().await.unwrap();
    let aside = site.folder.path().join("aside");
    std::fs::rename(key(&site), &aside).unwrap();
    let refused = start(&site).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::KeyMissing { .. }),
        "{refused}"
    );
    assert!(!key(&site).exists());
    std::fs::rename(aside, key(&site)).unwrap();
    start(&site).await.unwrap();
}

#[tokio::test]
async fn a_first_start_that_was_killed_before_its_key_was_in_place_is_repeated() {
    let site = Site::new();
    start(&site).await.unwrap().close().await.unwrap();
    let draft = site.folder.path().join("seal.key.draft");
    std::fs::rename(key(&site), &draft).unwrap();
    start(&site).await.unwrap();
    assert!(key(&site).exists());
    assert!(!draft.exists());
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_name() {
    let site = Site::new();
    site.open().await.close().await.unwrap();
    site.sql("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m0999_later', 0)")
        .await;
    let seal = fastbuild_store::Seal::from_key(&crate::parts::KEY).unwrap();
    let refused = Store::open(&site.url(), seal).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::NewerSchema { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("m0999_later"), "{refused}");
}

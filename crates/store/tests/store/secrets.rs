//! Secrets at rest.

use std::os::unix::fs::PermissionsExt as _;

use fastbuild_store::{Seal, Store, StoreError};

use crate::parts::{Site, at};

#[tokio::test]
async fn another_key_is_refused_when_the_store_opens() {
    let site = Site::new();
    site.open().await.close().await.unwrap();
    let refused = Store::open(&site.url(), Seal::from_key(&[8; 32]).unwrap())
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::WrongKey { .. }), "{refused}");
    assert!(
        refused.to_string().contains("restore the original key"),
        "{refused}"
    );
    site.open().await;
}

#[tokio::test]
async fn a_sealed_value_opens_only_where_it_belongs() {
    let site = Site::new();
    let store = site.open().await;
    store
        .add_settings(super::settings::whole_set(), at(0))
        .await
        .unwrap();
    // Whoever can write the database points the password at a registry of their own.
    site.sql("UPDATE setting_registries SET registry = 'evil.site'")
        .await;
    let refused = store.settings().await.unwrap_err();
    assert!(matches!(refused, StoreError::WrongKey { .. }), "{refused}");
}

#[test]
fn a_key_file_is_made_once_and_guarded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seal.key");
    Seal::load_or_create(&path).unwrap();
    let key = std::fs::read(&path).unwrap();
    assert_eq!(key.len(), 32);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    Seal::load_or_create(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), key);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "no draft is left"
    );

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = Seal::load_or_create(&path).unwrap_err();
    assert!(
        matches!(refused, StoreError::KeyFileOpenToOthers { mode: 0o640, .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("chmod 600"), "{refused}");

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    for length in [0, 31, 33, 4096] {
        std::fs::write(&path, vec![1; length]).unwrap();
        let refused = Seal::load_or_create(&path).unwrap_err();
        assert!(
            matches!(refused, StoreError::KeyLength { length: found, .. } if found == length),
            "{refused}"
        );
    }
    assert!(matches!(
        Seal::from_key(b"short"),
        Err(StoreError::KeyLength { length: 5, .. })
    ));
}

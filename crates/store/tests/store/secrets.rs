//! Secrets at rest.

use std::os::unix::fs::PermissionsExt as _;

use fastbuild_store::{Page, Seal, Store, StoreError};

use crate::parts::{Site, at, callback, claim, claim_due, enqueue, run_up_to_the_push, success};

#[tokio::test]
async fn no_secret_is_in_the_files_in_the_clear() {
    let site = Site::new();
    let store = site.open().await;
    store
        .add_settings(crate::settings::whole_set(), at(0))
        .await
        .unwrap();
    let build = enqueue(&store, 1, 0).await;
    let claimed = claim(&store, 0).await;
    run_up_to_the_push(&store, claimed.attempt, 1).await;
    store
        .finish(claimed.attempt, success(), callback(&build), at(2))
        .await
        .unwrap();
    let due = claim_due(&store, 2).await;
    assert_eq!(
        due[0].delivery.headers.expose()["Authorization"],
        "Bearer callback-token-1"
    );

    let secrets = [
        "Alkaid123456",
        "Harbor-password-1",
        "client-key-1",
        "callback-token-1",
    ];
    let holds = |bytes: &[u8], text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    let check_files = |when: &str| {
        let mut seen = Vec::new();
        for entry in std::fs::read_dir(site.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            for secret in secrets {
                assert!(
                    !holds(&bytes, secret),
                    "{secret} in {} {when}",
                    path.display()
                );
            }
            seen.extend(bytes);
        }
        // The search can find what is there.
        assert!(holds(&seen, "registry.site:5000/made/image-1"), "{when}");
    };
    check_files("while open");
    assert!(site.folder.path().join("fastbuild.db-wal").exists());

    let settings = store.settings().await.unwrap();
    let (registry, server) = (settings.registry, settings.docker_server);
    let deliveries = store.deliveries(Page::ALL).await.unwrap();
    let revisions = store.headers_history().await.unwrap();
    let printed = format!(
        "{store:?} {claimed:?} {due:?} {registry:?} {server:?} {deliveries:?} {revisions:?}"
    );
    for secret in secrets {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
    store.close().await.unwrap();
    check_files("after closing");
}

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
        .add_settings(crate::settings::whole_set(), at(0))
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

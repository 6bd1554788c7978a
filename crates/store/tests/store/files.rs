//! Where the database file is, who may read it, and what it holds.

use std::os::unix::fs::PermissionsExt as _;

use fastbuild_spec::state::Step;
use fastbuild_store::{Page, Seal, Store};

use crate::parts::{
    KEY, REVISIONS, Site, at, callback, claim, claim_due, enqueue, log, run_up_to_the_push, success,
};

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
        "mysql://me:hunter2@db.site/x",
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

#[tokio::test]
async fn no_secret_is_in_the_files_in_the_clear() {
    let site = Site::new();
    let store = site.open().await;
    store
        .add_settings(crate::stories::settings::whole_set(), at(0))
        .await
        .unwrap();
    enqueue(&store, 1, 0).await;
    let claimed = claim(&store, 0).await;
    run_up_to_the_push(&store, claimed.attempt, 1).await;
    store
        .finish(claimed.attempt, &success(), REVISIONS, &callback, at(2))
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
async fn everything_is_there_after_a_kill() {
    let site = Site::new();
    let store = site.open().await;
    let queued = enqueue(&store, 1, 0).await;
    let attempt = claim(&store, 0).await.attempt;
    store
        .append_events(attempt, vec![log(Step::Pull, "kept\n")], at(1))
        .await
        .unwrap();
    run_up_to_the_push(&store, attempt, 1).await;
    store
        .finish(attempt, &success(), REVISIONS, &callback, at(2))
        .await
        .unwrap();
    let waiting = enqueue(&store, 2, 3).await;

    // What a killed process leaves behind: its files as they are, nothing closed or written back.
    let after = Site::new();
    for suffix in ["", "-wal"] {
        let name = format!("fastbuild.db{suffix}");
        std::fs::copy(
            site.folder.path().join(&name),
            after.folder.path().join(&name),
        )
        .unwrap();
    }
    let reopened = after.open().await;
    for task in [queued.id, waiting.id] {
        assert_eq!(
            reopened.build(task).await.unwrap(),
            store.build(task).await.unwrap()
        );
        assert_eq!(
            reopened.events(task, 0, 100).await.unwrap(),
            store.events(task, 0, 100).await.unwrap()
        );
    }
    assert_eq!(claim_due(&reopened, 9).await.len(), 1);
    assert_eq!(claim(&reopened, 9).await.build.id, waiting.id);

    drop(store);
    let same_place = site.open().await;
    assert_eq!(claim(&same_place, 9).await.build.id, waiting.id);
}

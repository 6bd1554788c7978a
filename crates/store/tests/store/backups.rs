//! Backups: made beside a store that writes, refused where they would harm, put back.

use fastbuild_store::{Seal, StoreError, backup};

use crate::parts::{KEY, Site, at, enqueue};

fn seal() -> Seal {
    Seal::from_key(&KEY).unwrap()
}

#[tokio::test]
async fn a_backup_beside_a_store_that_writes_is_one_moment_of_it() {
    let site = Site::new();
    let store = site.open().await;
    let kept = enqueue(&store, 0, 0).await;
    let writing = store.clone();
    let writer = tokio::spawn(async move {
        for number in 1..200 {
            enqueue(&writing, number, 1).await;
        }
    });
    let file = site.folder.path().join("copy");
    let contents = backup::backup(&site.url(), &file).await.unwrap();
    writer.await.unwrap();
    assert!(contents.builds >= 1, "{contents:?}");

    let other = Site::new();
    let (restored, aside) = backup::restore(&file, &other.url(), &seal(), at(9))
        .await
        .unwrap();
    assert_eq!((restored, aside), (contents.clone(), None));
    let copy = other.open().await;
    assert_eq!(copy.build(kept.id).await.unwrap(), Some(kept));
    let shown = copy.builds_by_target("image-").await.unwrap();
    assert_eq!(shown.len() as u64, contents.builds);
    // Every build of that moment is there with its request.
    for build in &shown {
        assert!(copy.request(build.id).await.unwrap().is_some());
    }
    // The store itself goes on, and numbers are not given twice.
    assert_eq!(store.builds_by_target("image-").await.unwrap().len(), 200);
    let next = enqueue(&copy, 900, 0).await;
    assert!(!shown.iter().any(|build| build.row_id == next.row_id));
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_leaves_nothing_half_done() {
    let site = Site::new();
    let store = site.open().await;
    enqueue(&store, 1, 0).await;
    let file = site.folder.path().join("copy");
    std::fs::write(&file, "mine").unwrap();
    let refused = backup::backup(&site.url(), &file).await.unwrap_err();
    assert!(matches!(refused, StoreError::Copy(_)), "{refused}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    let nowhere = site.folder.path().join("none/copy");
    backup::backup(&site.url(), &nowhere).await.unwrap_err();
    let names: Vec<_> = std::fs::read_dir(site.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("part"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
    assert!(
        backup::backup("postgres://me@127.0.0.1/x", &file)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn what_is_damaged_or_of_another_key_is_not_restored() {
    let site = Site::new();
    let store = site.open().await;
    let here = enqueue(&store, 1, 0).await;
    let file = site.folder.path().join("copy");
    backup::backup(&site.url(), &file).await.unwrap();
    store.close().await.unwrap();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let refused = backup::restore(&file, &site.url(), &seal(), at(1))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, StoreError::CorruptFile { .. }),
        "{refused}"
    );
    std::fs::write(&file, &whole).unwrap();
    let other_key = Seal::from_key(&[8; 32]).unwrap();
    let refused = backup::restore(&file, &site.url(), &other_key, at(1))
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::WrongKey { .. }), "{refused}");
    let store = site.open().await;
    assert_eq!(store.build(here.id).await.unwrap(), Some(here.clone()));
    store.close().await.unwrap();

    // The former database is moved aside, not overwritten.
    let (_, aside) = backup::restore(&file, &site.url(), &seal(), at(1))
        .await
        .unwrap();
    assert!(aside.unwrap().exists());
    assert_eq!(site.open().await.build(here.id).await.unwrap(), Some(here));
}

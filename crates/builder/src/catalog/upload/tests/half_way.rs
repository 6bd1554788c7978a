//! That all files of an upload are in place or none, whatever happens on the way.

use super::{super::undo::Undo, *};

/// A folder with two files, and an upload that would replace one of them and add another.
async fn half_way(folders: &Folders) -> (PathBuf, Upload) {
    let mut before = begin(folders, "source", Some("apt"), Some("mine"));
    send(&mut before, "a.list", &[b"old a"]).await;
    send(&mut before, "z.list", &[b"old z"]).await;
    before.finish().await.unwrap();
    let mut upload = begin(folders, "source", Some("apt"), Some("mine"));
    send(&mut upload, "a.list", &[b"new a"]).await;
    send(&mut upload, "b.list", &[b"new b"]).await;
    send(&mut upload, "c.list", &[b"new c"]).await;
    (folders.source_dir.join("apt/mine"), upload)
}

/// The names and contents in a folder.
fn contents(folder: &Path) -> Vec<(String, String)> {
    let mut found: Vec<_> = files(folder)
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    found
}

fn old() -> Vec<(String, String)> {
    [("a.list", "old a"), ("z.list", "old z")]
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .to_vec()
}

#[tokio::test]
async fn a_process_that_dies_half_way_leaves_none_of_the_files() {
    // After how many of the three moves it dies.
    for moves in 0..=3 {
        let base = tempfile::tempdir().unwrap();
        let folders = made(base.path());
        let (folder, mut upload) = half_way(&folders).await;
        let arrived = std::mem::take(&mut upload.arrived);
        let planned = arrived.iter().map(|file| (file.name.as_str(), &file.file));
        let undo = Undo::begin(&folder, planned).unwrap();
        for file in arrived.into_iter().take(moves) {
            disk::put(&folder, file).unwrap();
        }
        // While it lives, nobody takes anything back.
        sweep(&folders);
        let names = contents(&folder);
        assert_eq!(names.iter().any(|(name, _)| name == "c.list"), moves == 3);
        drop(undo);

        let shown = crate::catalog::Listing::default()
            .catalog(&folders)
            .unwrap();
        assert!(
            shown
                .mirrors
                .iter()
                .all(|file| !file.file_name.starts_with('.'))
        );
        sweep(&folders);
        assert_eq!(contents(&folder), old(), "after {moves} moves");
        sweep(&folders);
        assert_eq!(contents(&folder), old());
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_moved_takes_the_others_back() {
    let base = tempfile::tempdir().unwrap();
    let folders = made(base.path());
    let (folder, upload) = half_way(&folders).await;
    // No file can take the place of a folder.
    fs::create_dir(folder.join("c.list")).unwrap();
    let failure = upload.finish().await.unwrap_err();
    assert_eq!(failure.code, ReasonCode::Internal);
    assert_eq!(contents(&folder), old());
    fs::remove_dir(folder.join("c.list")).unwrap();

    let mut again = begin(&folders, "source", Some("apt"), Some("mine"));
    send(&mut again, "a.list", &[b"new a"]).await;
    send(&mut again, "c.list", &[b"new c"]).await;
    again.finish().await.unwrap();
    let now = contents(&folder);
    assert_eq!(now.len(), 3, "{now:?}");
    assert_eq!(now[0].1, "new a");
}

#[tokio::test]
async fn the_next_upload_takes_back_what_the_last_left_half_done() {
    let base = tempfile::tempdir().unwrap();
    let folders = made(base.path());
    let (folder, mut upload) = half_way(&folders).await;
    let mut arrived = std::mem::take(&mut upload.arrived).into_iter();
    let planned = arrived
        .as_slice()
        .iter()
        .map(|file| (file.name.as_str(), &file.file));
    let undo = Undo::begin(&folder, planned).unwrap();
    disk::put(&folder, arrived.next().unwrap()).unwrap();
    disk::put(&folder, arrived.next().unwrap()).unwrap();
    drop(undo);
    // Somebody put a file of their own there since: it is theirs.
    fs::write(folder.join("own"), "own b").unwrap();
    fs::rename(folder.join("own"), folder.join("b.list")).unwrap();
    drop(arrived);

    let mut next = begin(&folders, "source", Some("apt"), Some("mine"));
    send(&mut next, "d.list", &[b"new d"]).await;
    next.finish().await.unwrap();
    let expected = [
        ("a.list", "old a"),
        ("b.list", "own b"),
        ("d.list", "new d"),
        ("z.list", "old z"),
    ];
    let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(contents(&folder), expected);
}

#[tokio::test]
async fn a_list_that_was_cut_off_undoes_nothing() {
    let base = tempfile::tempdir().unwrap();
    let folders = made(base.path());
    let (folder, upload) = half_way(&folders).await;
    drop(upload);
    fs::write(folder.join(".upload-undo"), "[{\"name\": \"a.li").unwrap();
    fs::hard_link(folder.join("a.list"), folder.join(".upload-0.kept")).unwrap();
    sweep(&folders);
    assert_eq!(contents(&folder), old());
}

#[tokio::test]
async fn uploads_to_one_folder_at_once_are_each_whole() {
    let base = tempfile::tempdir().unwrap();
    let folders = made(base.path());
    let mut uploads = tokio::task::JoinSet::new();
    for number in 0..8 {
        let mut upload = begin(&folders, "source", Some("apt"), Some("mine"));
        let text = format!("of {number}");
        for name in ["a.list", "b.list"] {
            send(&mut upload, name, &[text.as_bytes()]).await;
        }
        uploads.spawn(upload.finish());
    }
    for uploaded in uploads.join_all().await {
        uploaded.unwrap();
    }
    let found = contents(&folders.source_dir.join("apt/mine"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].1, found[1].1, "they are of two uploads");
}

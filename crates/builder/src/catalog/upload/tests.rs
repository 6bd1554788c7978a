//! Which names go where, and that a file is there whole or not at all.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{disk::sweep, place::MIRROR_LIMIT, *};
use crate::options::Folders;

fn folders(base: &Path) -> Folders {
    Folders {
        source_dir: base.join("source"),
        tools_dir: base.join("tools"),
        task_dir: base.join("task"),
    }
}

fn made(base: &Path) -> Folders {
    let folders = folders(base);
    fs::create_dir_all(folders.source_dir.join("apt")).unwrap();
    fs::create_dir_all(folders.tools_dir.join("python")).unwrap();
    folders
}

fn begin(
    folders: &Folders,
    file_type: &str,
    installer: Option<&str>,
    group: Option<&str>,
) -> Upload {
    let file_type = FileType::parse(file_type).unwrap();
    place::find(folders, 1000, file_type, installer, group)
        .unwrap()
        .begin()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

async fn send(upload: &mut Upload, name: &str, parts: &[&[u8]]) {
    let mut file = upload.file(name).await.unwrap();
    for part in parts {
        file.write(part).await.unwrap();
    }
    file.end().await.unwrap();
}

#[test]
fn a_place_is_named_whole_or_every_mistake_is() {
    let folders = folders(Path::new("/srv"));
    let folder = |file_type, installer, group| {
        let file_type = FileType::parse(file_type).unwrap();
        place::find(&folders, 1000, file_type, installer, group).map(|place| place.folder)
    };
    assert_eq!(
        folder("source", Some("apt"), Some("ali")),
        Ok(PathBuf::from("/srv/source/apt/ali"))
    );
    assert_eq!(
        folder("python", None, Some("")),
        Ok(PathBuf::from("/srv/tools/python"))
    );
    assert_eq!(
        folder("pip", None, None),
        Ok(PathBuf::from("/srv/tools/pip/pip3"))
    );
    assert_eq!(
        folder("pip", None, Some("pip2")),
        Ok(PathBuf::from("/srv/tools/pip/pip2"))
    );
    assert_eq!(
        folder("conda", None, None),
        Ok(PathBuf::from("/srv/tools/conda"))
    );
    let culprits = |installer, group| {
        let failure = folder("source", installer, group).unwrap_err();
        assert_eq!(failure.code, ReasonCode::SpecInvalid);
        failure.culprit.unwrap()
    };
    assert_eq!(culprits(None, None), "installer, type");
    assert_eq!(culprits(Some("apt"), Some("../x")), "type");
    assert_eq!(culprits(Some("apt"), Some("..")), "type");
    assert_eq!(culprits(Some("apt"), Some(".hidden")), "type");
    assert_eq!(culprits(Some("../../etc"), Some("ali")), "installer");
    for word in ["", "Source", "sources", "../x"] {
        assert_eq!(
            FileType::parse(word).unwrap_err().culprit.as_deref(),
            Some("file_type")
        );
    }
}

#[tokio::test]
async fn names_are_those_of_their_kind() {
    let base = tempfile::tempdir().unwrap();
    let folders = made(base.path());
    for (file_type, installer, taken, refused) in [
        (
            "source",
            Some("apt"),
            &["ubuntu-18.04.list", "debian-13.sources"][..],
            &["a.repo", ".list", "pip.conf"][..],
        ),
        (
            "source",
            Some("yum"),
            &["Centos-7.repo"],
            &["a.list", ".repo"],
        ),
        (
            "source",
            Some("pip"),
            &["pip.conf"],
            &["my-pip.conf", "pip.ini"],
        ),
        ("source", Some("conda"), &[".condarc"], &["condarc"]),
        (
            "python",
            None,
            &[
                "Python-3.8.10.tgz",
                "Python-3.12.0.tar.xz",
                "Python-3.9.1.tar.gz",
                "cpython-3.11.9+20240415-x86_64-unknown-linux-gnu-install_only.tar.gz",
                "cpython-3.11.9-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz",
            ],
            &["Python-3.8.10.zip", "python-3.8.10.tgz", "Python-", "x.tgz"],
        ),
        ("pip", None, &["get-pip.py"], &["get-pip.pyc", "evil.py"]),
        (
            "conda",
            None,
            &[
                "Miniconda3-py39_4.9.2-Linux-x86_64.sh",
                "Anaconda3-2023.09-0-Linux-x86_64.sh",
                "Miniforge3-Linux-x86_64.sh",
            ],
            &["install.sh", "Miniconda3-latest.exe"],
        ),
    ] {
        let group = installer.map(|_| "ali");
        let upload = || begin(&folders, file_type, installer, group);
        for name in taken {
            assert!(upload().file(name).await.is_ok(), "{file_type} {name}");
        }
        let attacks = taken.iter().flat_map(|name| {
            [
                format!("../{name}"),
                format!("../../{name}"),
                format!("/etc/{name}"),
                format!("a/{name}"),
                format!("a\\{name}"),
                format!("{name}\0"),
                format!("{name}\n"),
                format!("-{name}"),
                format!(" {name}"),
            ]
        });
        let refused = refused.iter().map(|name| (*name).to_owned());
        for name in attacks.chain(refused).chain([String::new(), "..".into()]) {
            let failure = upload().file(&name).await.err();
            let culprit = failure.and_then(|failure| failure.culprit);
            assert_eq!(culprit.as_deref(), Some("files"), "{file_type} {name:?}");
        }
    }
    assert_eq!(files(base.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn files_appear_together_once_all_have_arrived() {
    let base = tempfile::tempdir().unwrap();
    let folders = made(base.path());
    let mut upload = begin(&folders, "source", Some("apt"), Some("mine"));
    send(&mut upload, "a.list", &[b"ab", b"c"]).await;
    send(&mut upload, "b.sources", &[]).await;
    let twice = upload
        .file("a.list")
        .await
        .err()
        .and_then(|failure| failure.culprit);
    assert_eq!(twice.as_deref(), Some("files"));

    let folder = folders.source_dir.join("apt/mine");
    assert!(!folder.exists());
    let hidden = crate::catalog::list(&folders).unwrap();
    assert_eq!(hidden.mirrors, []);
    let uploaded = upload.finish().await.unwrap();
    assert_eq!(
        uploaded[0],
        UploadedFile {
            name: "a.list".into(),
            // Known from FIPS 180-2, appendix B.1.
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
            size: 3,
            replaced: false,
        }
    );
    assert_eq!(fs::read(folder.join("a.list")).unwrap(), b"abc");
    assert_eq!(fs::read(folder.join("b.sources")).unwrap(), b"");
    assert_eq!(files(base.path()).len(), 2);

    let mut again = begin(&folders, "source", Some("apt"), Some("mine"));
    send(&mut again, "a.list", &[b"new"]).await;
    assert!(again.finish().await.unwrap()[0].replaced);
    assert_eq!(fs::read(folder.join("a.list")).unwrap(), b"new");
    assert_eq!(files(base.path()).len(), 2);
}

#[tokio::test]
async fn a_file_that_cannot_be_moved_is_named_and_the_request_can_be_sent_again() {
    let base = tempfile::tempdir().unwrap();
    let folders = made(base.path());
    let folder = folders.source_dir.join("apt/mine");
    // No file can take the place of a folder.
    fs::create_dir_all(folder.join("b.list")).unwrap();
    let upload = async || {
        let mut upload = begin(&folders, "source", Some("apt"), Some("mine"));
        send(&mut upload, "a.list", &[b"a"]).await;
        send(&mut upload, "b.list", &[b"b"]).await;
        upload.finish().await
    };
    let failure = upload().await.unwrap_err();
    assert_eq!(failure.code, ReasonCode::Internal);
    assert_eq!(files(base.path()), [folder.join("a.list")]);
    fs::remove_dir(folder.join("b.list")).unwrap();
    let replaced: Vec<bool> = upload()
        .await
        .unwrap()
        .iter()
        .map(|file| file.replaced)
        .collect();
    assert_eq!(replaced, [true, false]);
}

#[tokio::test]
async fn uploads_of_one_file_at_once_leave_one_of_them_whole() {
    let base = tempfile::tempdir().unwrap();
    let folders = made(base.path());
    let mut uploads = tokio::task::JoinSet::new();
    for number in 0..8 {
        let mut upload = begin(&folders, "source", Some("apt"), Some("mine"));
        send(&mut upload, "a.list", &[format!("of {number}").as_bytes()]).await;
        uploads.spawn(upload.finish());
    }
    for uploaded in uploads.join_all().await {
        uploaded.unwrap();
    }
    let found = files(base.path());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(fs::read_to_string(&found[0]).unwrap().len(), "of 0".len());
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let base = tempfile::tempdir().unwrap();
    let folders = made(base.path());
    let mut upload = begin(&folders, "source", Some("apt"), Some("mine"));
    send(&mut upload, "a.list", &[b"whole"]).await;
    let mut half = upload.file("b.list").await.unwrap();
    half.write(b"half").await.unwrap();
    assert_eq!(files(base.path()).len(), 2);
    drop(half);
    drop(upload);
    assert_eq!(files(base.path()), Vec::<PathBuf>::new());
    assert!(!folders.source_dir.join("apt/mine").exists());

    let none = begin(&folders, "python", None, None)
        .finish()
        .await
        .unwrap_err();
    assert_eq!(none.culprit.as_deref(), Some("files"));
}

#[tokio::test]
async fn all_files_together_stay_within_the_limit() {
    let base = tempfile::tempdir().unwrap();
    let folders = made(base.path());
    let mut upload = begin(&folders, "python", None, None);
    send(&mut upload, "Python-3.8.10.tgz", &[&[0; 600]]).await;
    let mut second = upload.file("Python-3.8.11.tgz").await.unwrap();
    second.write(&[0; 400]).await.unwrap();
    assert!(matches!(
        second.write(&[0]).await,
        Err(PartError::TooLarge(_))
    ));
    drop(second);
    drop(upload);
    assert_eq!(files(base.path()), Vec::<PathBuf>::new());

    let mirrors = place::find(
        &folders,
        u64::MAX,
        FileType::Source,
        Some("apt"),
        Some("ali"),
    );
    assert_eq!(mirrors.unwrap().size_limit(), MIRROR_LIMIT);
}

#[tokio::test]
async fn only_what_nobody_writes_any_more_is_swept() {
    let base = tempfile::tempdir().unwrap();
    let folders = made(base.path());
    let abandoned = [
        folders.source_dir.join(".upload-a1.part"),
        folders.source_dir.join("apt/.upload-b2.part"),
        folders.tools_dir.join("python/.upload-c3.part"),
    ];
    let kept = [
        folders.source_dir.join("apt/x.list"),
        folders.tools_dir.join("python/Python-3.8.10.tgz"),
    ];
    for path in abandoned.iter().chain(&kept) {
        fs::write(path, "x").unwrap();
    }
    let mut upload = begin(&folders, "python", None, None);
    let mut alive = upload.file("Python-3.9.1.tgz").await.unwrap();
    alive.write(b"half").await.unwrap();

    sweep(&folders);
    for path in &abandoned {
        assert!(!path.exists(), "{}", path.display());
    }
    for path in &kept {
        assert!(path.exists(), "{}", path.display());
    }
    alive.end().await.unwrap();
    upload.finish().await.unwrap();
    assert_eq!(
        fs::read(folders.tools_dir.join("python/Python-3.9.1.tgz")).unwrap(),
        b"half"
    );
}

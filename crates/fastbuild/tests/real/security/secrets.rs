//! No secret of a build or a site is to be found anywhere it could be read.

use std::{fs, path::Path, process::Command};

use fastbuild_testkit::request::{Request, encrypted};

use crate::support::installation::{EngineKind, Installation};

const SSH: &str = "Sentinel-ssh-81f3";
const JUPYTER: &str = "Sentinel-lab-44c9";

/// Every file below a folder that holds one of the texts.
fn find_in_files(folder: &Path, texts: &[&str]) -> Vec<String> {
    let mut grep = Command::new("grep");
    grep.args([
        "--recursive",
        "--files-with-matches",
        "--text",
        "--fixed-strings",
    ]);
    for text in texts {
        grep.args(["--regexp", text]);
    }
    let output = grep.arg(folder).output().unwrap();
    // 0: found, 1: nothing found, 2: something could not be read.
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn no_secret_is_to_be_found() {
    // The most talkative log there is.
    let installation =
        Installation::configured_with(EngineKind::TlsEngine, &[("LOG__FILTER", "trace")]).await;
    let target = installation.target("1");
    let request = Request::new(&installation.base(&installation.env.images.python), &target)
        .ssh(SSH)
        .jupyter_lab(JUPYTER)
        .callback(&installation.callback_url());
    let task = installation.build(&request).await;
    let registry_password = installation.env.registry.user.password.clone();
    let client_key = fs::read_to_string(
        installation
            .env
            .engine_tls
            .tls_dir
            .as_ref()
            .unwrap()
            .join("key.pem"),
    )
    .unwrap();
    let key_line = client_key.lines().nth(1).unwrap();
    let (wire_ssh, wire_jupyter) = (encrypted(SSH), encrypted(JUPYTER));
    let secrets = [
        SSH,
        JUPYTER,
        &wire_ssh,
        &wire_jupyter,
        &registry_password,
        key_line,
    ];

    // The search itself must be able to find something: the target's name is everywhere.
    assert!(!find_in_files(installation.directory.path(), &[&target]).is_empty());
    // Database with its log, Dockerfile, request, step logs, service log.
    let found = find_in_files(installation.directory.path(), &secrets);
    assert!(found.is_empty(), "{found:#?}");

    let engine = &installation.env.engine_tls;
    let docker = |arguments: &[&str]| {
        let output = installation
            .env
            .docker(engine)
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    let mut texts = docker(&["history", "--no-trunc", &target]);
    texts.extend(docker(&["image", "inspect", &target]));
    // The layers, unpacked: docker save is a tar of tars.
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("image.tar");
    docker(&["save", "--output", &archive.display().to_string(), &target]);
    let unpacked = folder.path().join("layers");
    fs::create_dir(&unpacked).unwrap();
    let tar = Command::new("tar")
        .arg("-xf")
        .arg(&archive)
        .arg("-C")
        .arg(&unpacked)
        .status()
        .unwrap();
    assert!(tar.success());
    assert!(
        !find_in_files(&unpacked, &["hashed_password"]).is_empty(),
        "the layers were not searched"
    );
    let found = find_in_files(&unpacked, &secrets);
    assert!(found.is_empty(), "{found:#?}");

    for path in [
        format!("task/task-details_by_task_id?task_id={}", task["task_id"]),
        "task/list-task?page=1&page_size=10".to_owned(),
        format!("progress/details?task_id={}", task["task_id"]),
        "config/query-harbor".to_owned(),
        "config/query-harbor-all".to_owned(),
        "config/query-docker-server".to_owned(),
        "config/query-docker-server-all".to_owned(),
        "config/query-callback-all".to_owned(),
    ] {
        let answer = installation.client().get(&path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        texts.extend(answer.body.to_string().into_bytes());
    }
    let folder_name = task["work_dir_name"].as_str().unwrap();
    for file in [
        "pull.log",
        "check.log",
        "prepare.log",
        "build.log",
        "push.log",
        "Dockerfile",
    ] {
        let text = installation
            .client()
            .task_file(folder_name, file)
            .await
            .unwrap();
        assert!(!text.is_empty(), "{file} is empty");
        texts.extend(text.into_bytes());
    }
    let texts = String::from_utf8_lossy(&texts);
    for secret in secrets {
        assert!(!texts.contains(secret), "{secret} can be read");
    }
}

#[tokio::test]
async fn the_key_and_the_database_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    for file in ["seal.key", "fastbuild.db"] {
        let mode = fs::metadata(installation.directory.path().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

//! The catalog over HTTP: what `init` lays down is listed, what is uploaded is there whole or not at
//! all, and nothing goes anywhere else.

use std::{
    future::ready,
    path::{Path, PathBuf},
    time::Duration,
};

use fastbuild_testkit::wait::{eventually, when};
use serde_json::{Value, json};

use crate::support::{
    catalog::{catalog, files, own_catalog},
    http::{Http, Wire, send},
    installation::{Installation, options},
};

const TIMEOUT: Duration = Duration::from_secs(30);

async fn until(what: &str, condition: impl Fn() -> bool) {
    eventually(what, TIMEOUT, || ready(Ok(when(condition(), "not yet"))))
        .await
        .unwrap();
}

async fn listed(http: &Http, list: &str) -> Value {
    let reply = send(http.request(reqwest::Method::GET, &format!("file/{list}"))).await;
    reply.json()["data"].clone()
}

#[tokio::test]
async fn init_lays_down_the_starter_catalog_and_it_is_listed_in_order() {
    let installation = own_catalog(&[]).await;
    let http = Http::new(&installation.client().url);
    let empty = json!({"source_list": {"apt": [], "yum": [], "pip": [], "conda": []}});
    assert_eq!(listed(&http, "list-source").await, empty);
    let empty = json!({"software_list": {"python": [], "pip": [], "conda": []}});
    assert_eq!(listed(&http, "list-software").await, empty);

    let own = installation.directory.path().join("source/pip/ali");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("pip.conf"), "mine").unwrap();
    let options = options(&installation.env, &installation.directory)
        .variable("SOURCE_DIR", "")
        .variable("TOOLS_DIR", "");
    for _ in 0..2 {
        let output = options.command(&["init"]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.contains("starter catalog"), "{said}");
    }
    assert_eq!(
        std::fs::read_to_string(own.join("pip.conf")).unwrap(),
        "mine"
    );

    let lists = listed(&http, "list-source").await;
    let lists = &lists["source_list"];
    let groups = |kind: &str| -> Vec<&str> {
        let groups = lists[kind].as_array().unwrap().iter();
        groups
            .map(|group| group["type"].as_str().unwrap())
            .collect()
    };
    for kind in ["apt", "yum", "pip"] {
        assert_eq!(groups(kind), ["163", "ali", "qinghua", "ustc"], "{kind}");
    }
    assert_eq!(groups("conda"), ["ali", "qinghua", "ustc"]);
    let ali = &lists["apt"][1]["name"];
    assert_eq!(
        *ali,
        json!([
            "debian-10.list",
            "debian-11.list",
            "debian-12.list",
            "debian-13.sources",
            "ubuntu-18.04.list",
            "ubuntu-20.04.list",
            "ubuntu-22.04.list",
            "ubuntu-24.04.sources"
        ])
    );
}

#[tokio::test]
async fn uploads_of_every_type_are_in_place_and_listed() {
    let installation = own_catalog(&[]).await;
    let http = Http::new(&installation.client().url);
    for (query, name, place) in [
        (
            "file_type=source&installer=apt&type=mine",
            "a.list",
            "source/apt/mine",
        ),
        (
            "file_type=source&installer=yum&type=mine",
            "b.repo",
            "source/yum/mine",
        ),
        (
            "file_type=source&installer=conda&type=mine",
            ".condarc",
            "source/conda/mine",
        ),
        ("file_type=python", "Python-3.8.10.tgz", "tools/python"),
        ("file_type=pip", "get-pip.py", "tools/pip/pip3"),
        ("file_type=pip&type=pip2", "get-pip.py", "tools/pip/pip2"),
        (
            "file_type=conda",
            "Miniforge3-Linux-x86_64.sh",
            "tools/conda",
        ),
    ] {
        let reply = http.upload(query, &[(name, b"abc")]).await;
        let body = reply.json();
        assert_eq!(body["code"], 0, "{query}: {body}");
        assert_eq!(
            body["data"],
            json!({
                "complete upload filenames": [name],
                "files": [{
                    "name": name,
                    "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                    "size": 3,
                    "replaced": false
                }]
            }),
            "{query}"
        );
        let path = installation.directory.path().join(place).join(name);
        assert_eq!(std::fs::read(path).unwrap(), b"abc", "{query}");
    }
    let software = listed(&http, "list-software").await;
    assert_eq!(
        software["software_list"],
        json!({"python": ["Python-3.8.10.tgz"], "pip": ["get-pip.py"], "conda": ["Miniforge3-Linux-x86_64.sh"]})
    );
    let log = installation.service.log();
    assert!(
        log.contains("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        "{log}"
    );
}

#[tokio::test]
async fn several_files_are_all_taken_or_none() {
    let installation = own_catalog(&[]).await;
    let http = Http::new(&installation.client().url);
    let query = "file_type=source&installer=apt&type=mine";
    let refused = http
        .upload(
            query,
            &[("a.list", b"1"), ("b.list", b"2"), ("evil.sh", b"3")],
        )
        .await
        .json();
    assert_eq!(refused["code"], -1, "{refused}");
    assert!(
        refused["msg"].as_str().unwrap().contains("evil.sh"),
        "{refused}"
    );
    assert_eq!(catalog(&installation), Vec::<String>::new());

    let taken = http
        .upload(query, &[("a.list", b"1"), ("b.sources", b"2")])
        .await
        .json();
    assert_eq!(
        taken["data"]["complete upload filenames"],
        json!(["a.list", "b.sources"])
    );
    assert_eq!(
        catalog(&installation),
        ["apt/mine/a.list", "apt/mine/b.sources"]
    );
    let again = http.upload(query, &[("a.list", b"new")]).await.json();
    assert_eq!(again["data"]["files"][0]["replaced"], true, "{again}");
}

#[tokio::test]
async fn where_a_mirror_goes_may_stand_in_the_form_before_it() {
    let installation = own_catalog(&[]).await;
    let http = Http::new(&installation.client().url);
    let form = reqwest::multipart::Form::new()
        .text("installer", "yum")
        .text("type", "mine")
        .part(
            "files",
            reqwest::multipart::Part::bytes(b"x".to_vec()).file_name("c.repo"),
        );
    let request = http.request(reqwest::Method::POST, "file/upload?file_type=source");
    let body = send(request.multipart(form)).await.json();
    assert_eq!(body["code"], 0, "{body}");
    assert_eq!(catalog(&installation), ["yum/mine/c.repo"]);
}

#[tokio::test]
async fn what_may_not_be_uploaded_is_refused_by_its_name_and_leaves_nothing() {
    let installation = own_catalog(&[]).await;
    let http = Http::new(&installation.client().url);
    let wrong = http
        .upload("file_type=music", &[("a.list", b"1")])
        .await
        .json();
    assert_eq!(
        (&wrong["code"], &wrong["data"]),
        (&json!(-1), &json!("file_type error")),
        "{wrong}"
    );
    for (query, name, culprit) in [
        ("file_type=source", "a.list", "installer"),
        ("file_type=source&installer=apt", "a.list", "type"),
        ("file_type=source&installer=apt&type=../x", "a.list", "type"),
        ("file_type=source&installer=apt&type=/etc", "a.list", "type"),
        (
            "file_type=source&installer=../../etc&type=ali",
            "a.list",
            "installer",
        ),
        ("file_type=source&installer=apt&type=ali", "a.repo", "files"),
        ("file_type=python", "Python-3.8.10.zip", "files"),
        ("file_type=conda", "install.sh", "files"),
        ("file_type=pip&type=pip4", "get-pip.py", "type"),
        ("file_type=pip", "evil.py", "files"),
    ] {
        let body = http.upload(query, &[(name, b"1")]).await.json();
        assert_eq!(body["code"], -1, "{query} {name}: {body}");
        assert!(
            body["msg"].as_str().unwrap().contains(culprit),
            "{query}: {body}"
        );
    }
    assert_eq!(catalog(&installation), Vec::<String>::new());
}

#[tokio::test]
async fn names_with_paths_in_them_reach_nothing() {
    let installation = own_catalog(&[]).await;
    let victim = installation.directory.path().join("Python-3.8.10.tgz");
    for name in [
        "../Python-3.8.10.tgz",
        "../../Python-3.8.10.tgz",
        "../../../../../../../../tmp/Python-3.8.10.tgz",
        "/tmp/Python-fastbuild-was-here.tgz",
        "Python-/../../Python-3.8.10.tgz",
        "..\\\\Python-3.8.10.tgz",
        "Python-3.8.10.tgz/../x.tgz",
        "%2e%2e%2fPython-3.8.10.tgz",
        "..",
        ".upload-x.part",
    ] {
        let body = format!(
            "--edge\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\r\nx\r\n--edge--\r\n"
        );
        let mut wire = Wire::connect(installation.service.port).await;
        let sent = wire
            .write(upload_head("python", body.len()).as_bytes())
            .await;
        assert!(sent && wire.write(body.as_bytes()).await);
        let (status, answer) = wire.answer().await;
        assert_eq!(
            (status, &answer["code"]),
            (200, &json!(-1)),
            "{name}: {answer}"
        );
        assert!(
            answer["msg"].as_str().unwrap().contains("files"),
            "{name}: {answer}"
        );
    }
    assert_eq!(catalog(&installation), Vec::<String>::new());
    assert!(!victim.exists());
    assert!(!Path::new("/tmp/Python-fastbuild-was-here.tgz").exists());
}

fn upload_head(file_type: &str, length: usize) -> String {
    format!(
        "POST /api/fast-build/file/upload?file_type={file_type} HTTP/1.1\r\nHost: x\r\n\
         Content-Type: multipart/form-data; boundary=edge\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Begins an upload of two files on a raw connection: the first whole, the second half.
async fn half_an_upload(installation: &Installation) -> Wire {
    let mut wire = Wire::connect(installation.service.port).await;
    let part = |name: &str| {
        format!(
            "--edge\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\r\n"
        )
    };
    let body = format!(
        "{}whole\r\n{}{}",
        part("Python-3.8.10.tgz"),
        part("Python-3.8.11.tgz"),
        "half".repeat(10_000)
    );
    assert!(
        wire.write(upload_head("python", 10_000_000).as_bytes())
            .await
    );
    assert!(wire.write(body.as_bytes()).await);
    let folder = python_folder(installation);
    until("a file of the upload", || files(&folder).len() == 2).await;
    wire
}

fn python_folder(installation: &Installation) -> PathBuf {
    installation.directory.path().join("tools/python")
}

#[tokio::test]
async fn an_upload_whose_connection_is_cut_leaves_nothing() {
    let installation = own_catalog(&[]).await;
    let http = Http::new(&installation.client().url);
    let wire = half_an_upload(&installation).await;
    let software = listed(&http, "list-software").await;
    assert_eq!(software["software_list"]["python"], json!([]));
    drop(wire);
    until("an empty catalog", || catalog(&installation).is_empty()).await;
}

#[tokio::test]
async fn an_upload_whose_service_died_leaves_nothing_after_the_next_start() {
    let mut installation = own_catalog(&[]).await;
    let _wire = half_an_upload(&installation).await;
    installation.service.kill().unwrap();
    assert_eq!(catalog(&installation).len(), 2);
    installation.service.restart_in_place().await.unwrap();
    assert_eq!(catalog(&installation), Vec::<String>::new());
    let log = installation.service.log();
    assert!(log.contains("removed an abandoned upload"), "{log}");
}

#[tokio::test]
async fn a_start_beside_it_leaves_an_upload_under_way_alone() {
    let installation = own_catalog(&[]).await;
    let mut wire = half_an_upload(&installation).await;
    let tools = installation.directory.path().join("tools");
    let other =
        Installation::unconfigured(&[("SOURCE_DIR", ""), ("TOOLS_DIR", tools.to_str().unwrap())])
            .await;
    assert_eq!(catalog(&installation).len(), 2);
    drop(other);
    // The length it announced is filled up, so that its end comes where it said.
    let edge = "\r\n--edge--\r\n";
    let sent = 40_000
        + "whole\r\n".len()
        + 2 * "--edge\r\nContent-Disposition: form-data; name=\"files\"; filename=\"Python-3.8.10.tgz\"\r\n\r\n".len();
    let rest = vec![b'x'; 10_000_000 - sent - edge.len()];
    assert!(wire.write(&rest).await && wire.write(edge.as_bytes()).await);
    let (status, answer) = wire.answer().await;
    assert_eq!((status, &answer["code"]), (200, &json!(0)), "{answer}");
    assert_eq!(
        catalog(&installation),
        ["python/Python-3.8.10.tgz", "python/Python-3.8.11.tgz"]
    );
}

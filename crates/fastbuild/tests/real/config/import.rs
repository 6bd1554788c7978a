//! Moving from an old installation: its ini and its database, with rows that no longer make
//! sense, into a fresh service, read back over HTTP.

use std::{path::Path, process::Output};

use fastbuild_testkit::{env::TestEnv, service::Service};
use sea_orm::{ConnectionTrait as _, Database};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::installation::options;

const PASSWORD: &str = "Harbor\"12#345";
const LOGIN_PASSWORD: &str = "old-login-pass";
const HEADER_TOKEN: &str = "Bearer old-callback-token";

/// The old tables, by the columns the protocol's document names.
const TABLES: &str = "
CREATE TABLE fb_host_table (primary_id INTEGER PRIMARY KEY, host_ip VARCHAR, host_port INTEGER, create_time DATETIME, update_time DATETIME);
CREATE TABLE fb_harbor_table (primary_id INTEGER PRIMARY KEY, username VARCHAR, password VARCHAR, registry VARCHAR, registry_dns VARCHAR, create_time DATETIME, update_time DATETIME);
CREATE TABLE fb_docker_server_table (primary_id INTEGER PRIMARY KEY, host VARCHAR, port INTEGER, tls_verify BOOLEAN, client_cert_path VARCHAR, ca_path VARCHAR, client_key_path VARCHAR, create_time DATETIME, update_time DATETIME);
CREATE TABLE fb_task_table (primary_id INTEGER PRIMARY KEY, task_id BIGINT, name VARCHAR, create_time DATETIME, update_time DATETIME, request VARCHAR, state VARCHAR, base_image_name VARCHAR, image_name VARCHAR, target_image_name VARCHAR, description VARCHAR, task_work_dir VARCHAR, dockerfile_path VARCHAR, image_build_log_path VARCHAR, work_dir_name VARCHAR, callback_url VARCHAR, callback_times INTEGER, pid VARCHAR);
CREATE TABLE fb_progress_table (primary_id INTEGER PRIMARY KEY, task_id BIGINT, task_name VARCHAR, create_time DATETIME, update_time DATETIME, action VARCHAR, status VARCHAR, target_image_name VARCHAR, base_image_name VARCHAR, start_time DATETIME, end_time DATETIME, duration INTEGER, log_path VARCHAR, log_url VARCHAR, dockerfile_path VARCHAR, dockerfile_url VARCHAR);
CREATE TABLE fb_image_table (primary_id INTEGER PRIMARY KEY, task_id BIGINT, create_time DATETIME, update_time DATETIME, name VARCHAR, tag VARCHAR, id VARCHAR, type VARCHAR, description VARCHAR, size VARCHAR, interaction VARCHAR);
CREATE TABLE fb_image_check_result_table (primary_id INTEGER PRIMARY KEY, image_id VARCHAR, image_name VARCHAR, result TEXT, create_time DATETIME, update_time DATETIME);
CREATE TABLE fb_image_life_table (primary_id INTEGER PRIMARY KEY, image_name VARCHAR, image_type VARCHAR, generator_time DATETIME, delete_time DATETIME, create_time DATETIME, update_time DATETIME);
CREATE TABLE fb_callback_table (primary_id INTEGER PRIMARY KEY, url VARCHAR, headers TEXT, state TEXT, result TEXT, create_time DATETIME, update_time DATETIME);
";

const T: &str = "'2023-09-12 18:42:50.645600', '2023-09-12 18:43:51.000001'";

fn rows(tls: &Path) -> String {
    let tls = tls.display();
    let id = "e682b1caa2a13f2eaa3dbdec92e96159dc1ab3fba6a2262382cfc1de2657f26d";
    let result = json!({
        "py/object": "data.image_descriptor.ImageDescriptor",
        "os": {"py/object": "x", "name": "Ubuntu", "available": true, "version": "18.04.6 LTS (Bionic Beaver)"},
        "python": {"py/object": "y", "name": "python", "available": true, "version": ["python3(Python 3.6.9)"]},
    });
    format!(
        "
INSERT INTO fb_host_table VALUES (1, 'no host!', 48001, {T}), (2, '10.0.0.88', 48001, {T});
INSERT INTO fb_harbor_table VALUES (1, 'admin', '{PASSWORD}', 'http://172.27.213.154:30003', '', {T});
INSERT INTO fb_docker_server_table VALUES (1, '10.0.0.7', 2376, 1, '{tls}/cert.pem', '{tls}/ca.pem', '{tls}/key.pem', {T});
INSERT INTO fb_task_table (primary_id, task_id, name, create_time, update_time, state, base_image_name, image_name, target_image_name, description, work_dir_name, callback_url, pid) VALUES
  (1, 1694515370645, 'first', {T}, 'PUSH_SUCCESS', 'h/base/ubuntu:18.04', 'h/a:1', 'h/a:1', 'good', '2023-09-12-18-42-50-645600', 'http://p/cb', '77'),
  (2, 1694515370646, '', {T}, 'PUSH_FAILED', 'h/base/ubuntu:18.04', 'h/b:1', NULL, NULL, '../../etc', NULL, NULL),
  (3, 1694515370647, '', {T}, 'STARTED', 'h/base/ubuntu:18.04', 'h/c', 'h/c', '', '2023-09-12-18-42-50-645601', 'http://me:{LOGIN_PASSWORD}@p/cb', NULL),
  (4, NULL, 'no number', {T}, 'PUSH_SUCCESS', 'x', 'x', 'x', '', 'd4', '', NULL),
  (5, 1694515370649, 'bad times', 'yesterday', NULL, 'PUSH_SUCCESS', 'x', 'x', 'x', '', 'd5', '', NULL),
  (6, 1694515370650, 'half a time', 'yesterday', '2023-09-12 18:43:51', 'BUILD_ABORT', 'x', 'X Y', 'X Y', '', 'd6', '', NULL),
  (7, 1694515370645, 'twice', {T}, 'PUSH_SUCCESS', 'x', 'x', 'x', '', 'd7', '', NULL),
  (8, 1694515370652, 'odd', {T}, 'DREAMING', 'x', 'x', 'x', '', 'd8', '', NULL);
INSERT INTO fb_progress_table (primary_id, task_id, create_time, update_time, action, status, start_time, end_time, duration) VALUES
  (1, 1694515370645, {T}, 'pull', 'success', {T}, 90),
  (2, 1694515370645, {T}, 'build', 'fail', {T}, 9220),
  (3, 1694515370645, {T}, 'build', 'success', {T}, NULL),
  (4, 1, {T}, 'pull', 'success', {T}, 90),
  (5, 1694515370645, {T}, 'dance', 'success', {T}, 90),
  (6, 1694515370645, {T}, 'push', 'success', NULL, 'x', 'many');
INSERT INTO fb_image_table VALUES
  (1, 0, {T}, 'h/base/ubuntu', '18.04', '{id}', 'Base', '预置镜像', '0.4G', ''),
  (2, 1694515370645, {T}, 'h/a', '1', '{id}', 'Customized', 'good', '1.43G', 'JupyterLab, WebSSH'),
  (3, 1694515370645, {T}, 'h/a', '1', '{id}', 'Customized', 'newer', NULL, 'WebSSH'),
  (4, 0, {T}, '../containers/x', '1', '{id}', 'Base', '', '0.4G', ''),
  (5, 0, {T}, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO fb_image_check_result_table VALUES
  (1, 'sha256:{id}', 'h/base/ubuntu:18.04', '{result}', {T}),
  (2, 'sha256:{id}', 'h/base/broken:1', '{{not json', {T});
INSERT INTO fb_image_life_table VALUES
  (1, 'h/base/ubuntu:18.04', 'pull', '2023-09-12 18:42:50', NULL, {T}),
  (2, 'h/a:1', 'build', '2023-09-12 18:42:50', '2023-10-12 18:42:50', {T}),
  (3, 'h/a:1', 'eaten', NULL, NULL, {T});
INSERT INTO fb_callback_table VALUES
  (1, 'http://p/cb', '{{\"X-BizType\": \"DROS\", \"Authorization\": \"{HEADER_TOKEN}\"}}', '{{\"imageName\": \"h/a:1\", \"taskId\": 1694515370645, \"state\": \"PUSH_SUCCESS\"}}', '200', {T}),
  (2, 'http://p/cb', NULL, 'PUSH_SUCCESS', '200', {T}),
  (3, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, 'http://me:{LOGIN_PASSWORD}@p/cb', '{{}}', '{{\"taskId\": 1694515370646}}', 'http://me:{LOGIN_PASSWORD}@p/cb said hello', {T}),
  (5, 'me:{LOGIN_PASSWORD}@p/cb', '{{}}', '{{\"taskId\": 1694515370646}}', '500', {T});
"
    )
}

/// An old installation in a folder: its ini, database and TLS files.
async fn old_installation(folder: &Path) {
    let tls = folder.join("tls");
    std::fs::create_dir(&tls).unwrap();
    for name in ["ca", "cert", "key"] {
        let pem = format!("-----BEGIN {name}-----\nold-{name}-material\n-----END {name}-----\n");
        std::fs::write(tls.join(format!("{name}.pem")), pem).unwrap();
    }
    let database = folder.join("old.db");
    let url = format!("sqlite://{}?mode=rwc", database.display());
    let connection = Database::connect(url).await.unwrap();
    connection.execute_unprepared(TABLES).await.unwrap();
    connection.execute_unprepared(&rows(&tls)).await.unwrap();
    connection.close().await.unwrap();
    let ini = format!(
        "[fb]\nsource_dir = /srv/old/source\ntools_dir = /srv/old/tools\ntask_dir = /srv/old/task\n\
         host = 10.0.0.1\nport = 48001\n[db]\nfile = sqlite:///{}\n\
         [callback]\nheaders = {{\"X-BizType\": \"OLD\", \"Authorization\": \"{HEADER_TOKEN}\"}}\n\
         [aes]\nkey = 1234567890123456\niv = 0000000000000000\n",
        database.display()
    );
    std::fs::write(folder.join("old.ini"), ini).unwrap();
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The lines of a report that belong to one table.
fn of<'a>(report: &'a str, table: &str) -> Vec<&'a str> {
    let mut lines = report.lines().skip_while(|line| !line.starts_with(table));
    let first = lines.next().unwrap();
    std::iter::once(first)
        .chain(lines.take_while(|line| line.starts_with("  ")))
        .map(str::trim)
        .collect()
}

struct Move {
    env: TestEnv,
    folder: TempDir,
    base: TempDir,
}

impl Move {
    async fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        old_installation(folder.path()).await;
        Self {
            env: TestEnv::load().unwrap(),
            folder,
            base: tempfile::tempdir().unwrap(),
        }
    }

    fn import(&self, more: &[&str]) -> Output {
        let ini = self.folder.path().join("old.ini");
        let mut arguments = vec!["import-legacy", "--ini", ini.to_str().unwrap()];
        arguments.extend(more);
        options(&self.env, &self.base)
            .command(&arguments)
            .output()
            .unwrap()
    }
}

#[tokio::test]
async fn an_old_installation_is_moved_and_every_row_left_behind_is_named() {
    let moved = Move::begin().await;
    let before = std::fs::read(moved.folder.path().join("old.db")).unwrap();

    let dry = moved.import(&[]);
    assert!(dry.status.success(), "{}", text(&dry));
    let report = text(&dry);
    assert!(report.contains("dry run: nothing was written"), "{report}");
    assert!(!moved.base.path().join("fastbuild.db").exists());
    assert!(!moved.base.path().join("seal.key").exists());

    let applied = moved.import(&["--apply"]);
    assert!(applied.status.success(), "{}", text(&applied));
    let done = text(&applied);
    assert_eq!(
        done.rsplit_once("\nDone.").unwrap().0,
        report.rsplit_once("\nThis was").unwrap().0,
        "the dry run told something else"
    );
    for secret in [
        PASSWORD,
        LOGIN_PASSWORD,
        HEADER_TOKEN,
        "old-key-material",
        "1234567890123456",
    ] {
        assert!(!done.contains(secret), "{done}");
    }
    insta::assert_snapshot!(of(&done, "fb_host_table").join("\n"), @r#"
    fb_host_table (the service's address): 2 found, 1 taken, 1 skipped
    skipped row 1: host_ip is no IP address or host name: "no host!"
    "#);
    insta::assert_snapshot!(of(&done, "fb_task_table").join("\n"), @r#"
    fb_task_table (builds): 8 found, 4 taken, 4 skipped
    skipped row 7: a build with this task_id is there already
    skipped row 5: create_time is no time: "yesterday", and update_time is empty
    skipped row 8: state is unknown: "DREAMING"
    skipped row 4: task_id is empty
    note on row 3: callback_url held a login, which is left out
    note on row 6: create_time is no time: "yesterday"; update_time stands for it
    note on row 3: it had not ended (STARTED) and is taken as BUILD_ABORT
    note on row 2: work_dir_name is empty, taken or no folder's name; it got one of its own
    "#);
    insta::assert_snapshot!(of(&done, "fb_progress_table").join("\n"), @r#"
    fb_progress_table (steps of builds): 6 found, 3 taken, 3 skipped
    skipped row 2: a newer row tells of the same step
    skipped row 5: action is unknown: "dance"
    skipped row 4: its task was not taken
    note on row 6: end_time is no time: "x"; the row's own time stands for it
    note on row 6: start_time is empty; the row's own time stands for it
    "#);
    insta::assert_snapshot!(of(&done, "fb_image_table").join("\n"), @r#"
    fb_image_table (images): 5 found, 2 taken, 3 skipped
    skipped row 2: a newer row has the same name, tag and type
    skipped row 4: name and tag are no image's: "../containers/x:1"
    skipped row 5: name is empty
    note on row 3: size is not known: ""
    "#);
    insta::assert_snapshot!(of(&done, "fb_callback_table").join("\n"), @r#"
    fb_callback_table (callback history): 5 found, 2 taken, 3 skipped
    skipped row 2: state is no JSON object: "PUSH_SUCCESS"
    skipped row 3: url is empty
    skipped row 5: url is no address, and may hold a login
    note on row 4: result does not tell whether it arrived; it is kept as unknown, and is not sent again with those that failed
    note on row 4: url held a login; it is kept sealed, as the header Authorization
    "#);
    for note in [
        "source_dir = \"/srv/old/source\"",
        "tools_dir = \"/srv/old/tools\"",
        "[aes]",
    ] {
        assert!(done.contains(note), "{note}: {done}");
    }

    let again = text(&moved.import(&["--apply"]));
    for line in again.lines().filter(|line| line.contains(" found, ")) {
        assert!(line.contains(" 0 taken"), "taken twice: {line}");
    }
    let after = std::fs::read(moved.folder.path().join("old.db")).unwrap();
    assert!(before == after, "the old database was changed");
}

#[tokio::test]
async fn what_was_moved_is_there_over_http() {
    let moved = Move::begin().await;
    assert!(moved.import(&["--apply"]).status.success());
    let service = Service::start(options(&moved.env, &moved.base))
        .await
        .unwrap();
    let get = async |path: &str| -> Value {
        let answer = service.client.get(path).await.unwrap();
        answer
            .data()
            .unwrap_or_else(|error| panic!("{path}: {error}"))
            .clone()
    };
    let host = get("config/query-host").await;
    assert_eq!(
        (&host["host_ip"], &host["host_port"]),
        (&json!("10.0.0.88"), &json!(48001))
    );
    let harbor = get("config/query-harbor").await;
    assert_eq!(harbor["registry"], "172.27.213.154:30003");
    assert_eq!(harbor["username"], "admin");
    let server = get("config/query-docker-server").await;
    assert_eq!(
        (&server["host"], &server["tls_verify"]),
        (&json!("10.0.0.7"), &json!(true))
    );

    let tasks = get("task/list-task?page=1&page_size=-1").await;
    let shown: Vec<(i64, &str, &str)> = tasks["task_list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| {
            (
                task["task_id"].as_i64().unwrap() - 1_694_515_370_640,
                task["detail_state"].as_str().unwrap(),
                task["target_image_name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (10, "BUILD_ABORT", "X Y"),
            (7, "BUILD_ABORT", "h/c:latest"),
            (6, "PUSH_FAILED", "h/b:1"),
            (5, "PUSH_SUCCESS", "h/a:1"),
        ]
    );
    let task = service.client.task(1_694_515_370_645).await.unwrap();
    assert_eq!(task["create_time"], "2023-09-12T18:42:50.645600");
    assert_eq!(task["work_dir_name"], "2023-09-12-18-42-50-645600");
    assert_eq!(task["pid"], "77");
    let odd = service.client.task(1_694_515_370_646).await.unwrap();
    assert_eq!(odd["work_dir_name"], "legacy-1694515370646");
    let steps = service.client.steps(1_694_515_370_645).await.unwrap();
    let steps: Vec<(&str, &str, i64)> = steps
        .iter()
        .map(|step| {
            (
                step["action"].as_str().unwrap(),
                step["status"].as_str().unwrap(),
                step["duration"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        steps,
        [
            ("pull", "success", 90),
            ("build", "success", 60354),
            ("push", "success", 60354)
        ]
    );

    let images = get("image/list-image?page=1&page_size=10").await;
    let images = images["image_list"].as_array().unwrap();
    assert_eq!(images.len(), 2, "{images:#?}");
    assert_eq!(images[0]["description"], "newer");
    assert_eq!(images[0]["interaction"], "WebSSH");
    assert_eq!(
        (&images[1]["type"], &images[1]["size"]),
        (&json!("Base"), &json!("0.4G"))
    );
    let checked = get("check-result/all-check-result").await;
    assert_eq!(checked.as_array().unwrap().len(), 1, "{checked}");
    assert!(
        checked.to_string().contains("18.04.6 LTS (Bionic Beaver)"),
        "{checked}"
    );
    let lives = get("image-life/all").await;
    assert_eq!(lives.as_array().unwrap().len(), 2, "{lives}");

    let callbacks = get("config/query-callback-all").await;
    let told = &callbacks[0];
    assert_eq!(told["status"], "unknown", "{told}");
    assert_eq!(told["url"], "http://p/cb");
    assert_eq!(told["headers"]["Authorization"], "***");
    assert_eq!(told["result"], "http://***@p/cb said hello");
    let aborted = service.client.task(1_694_515_370_647).await.unwrap();
    assert_eq!(aborted["callback_url"], "http://p/cb");
    let failed = "callback/redeliver-failed?since=2020-01-01T00:00:00";
    let failed = service.client.post(failed).await.unwrap();
    assert_eq!(failed.data().unwrap()["delivery_ids"], json!([]));
    let callback = &callbacks[1];
    assert_eq!(callback["task_id"], 1_694_515_370_645_i64);
    assert_eq!(callback["status"], "delivered");
    assert_eq!(callback["state"]["imageName"], "h/a:1");
    assert_eq!(callback["headers"]["Authorization"], "***");

    let everything = format!("{harbor}{server}{tasks}{callbacks}{}", service.log());
    let database = std::fs::read(moved.base.path().join("fastbuild.db")).unwrap();
    let log = std::fs::read(moved.base.path().join("fastbuild.db-wal")).unwrap_or_default();
    for secret in [PASSWORD, LOGIN_PASSWORD, HEADER_TOKEN, "old-key-material"] {
        assert!(!everything.contains(secret), "{everything}");
        for bytes in [&database, &log] {
            let found = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} stands in the database in the clear");
        }
    }
}

#[tokio::test]
async fn a_newer_setting_of_this_service_stays_in_force() {
    let moved = Move::begin().await;
    let mut service = Service::start(options(&moved.env, &moved.base))
        .await
        .unwrap();
    let form = reqwest::multipart::Form::new()
        .text("fastbuild_host", "10.9.9.9")
        .text("fastbuild_port", "48001");
    let url = format!("{}/api/fast-build/config/update-host", service.client.url);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.post(url).multipart(form).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    service.stop().await.unwrap();

    let report = text(&moved.import(&["--apply"]));
    insta::assert_snapshot!(of(&report, "fb_host_table").join("\n"), @r#"
    fb_host_table (the service's address): 2 found, 0 taken, 2 skipped
    skipped row 1: host_ip is no IP address or host name: "no host!"
    skipped row 2: this installation has a newer setting of its own
    "#);
    service.restart_in_place().await.unwrap();
    let host = service.client.get("config/query-host").await.unwrap();
    assert_eq!(host.data().unwrap()["host_ip"], "10.9.9.9");
    // What this service had no setting of its own for was taken.
    let harbor = service.client.get("config/query-harbor").await.unwrap();
    assert_eq!(harbor.data().unwrap()["username"], "admin");
}

#[tokio::test]
async fn an_engine_whose_keys_are_gone_is_not_taken_without_them() {
    let moved = Move::begin().await;
    std::fs::remove_file(moved.folder.path().join("tls/key.pem")).unwrap();
    let report = text(&moved.import(&[]));
    let lines = of(&report, "fb_docker_server_table");
    assert!(lines[0].contains("0 taken, 1 skipped"), "{lines:?}");
    assert!(
        lines[1].contains("client_key_path") && lines[1].contains("update-docker-server"),
        "{lines:?}"
    );
}

#[test]
fn what_is_no_old_database_is_refused_with_a_sentence() {
    let env = TestEnv::load().unwrap();
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("no.db");
    std::fs::write(
        &file,
        "this is no database, whatever it is called, and it is long enough",
    )
    .unwrap();
    let run = |arguments: &[&str]| {
        let output = options(&env, &base).command(arguments).output().unwrap();
        assert!(!output.status.success(), "{}", text(&output));
        text(&output)
    };
    assert!(run(&["import-legacy"]).contains("--db FILE"));
    let told = run(&["import-legacy", "--db", file.to_str().unwrap()]);
    assert!(told.contains("no.db cannot be imported"), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    let told = run(&["import-legacy", "--db", "/nowhere/old.db"]);
    assert!(told.contains("/nowhere/old.db"), "{told}");
}

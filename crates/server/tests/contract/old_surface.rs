//! What old front ends and platforms see otherwise than version 1 does: seven states, rows with names of their
//! own, their own ciphertext, refusals instead of server errors, bounded lists, and logs that end with the reason.

use std::time::Duration;

use fastbuild_spec::{
    event::{Event, Progress},
    failure::{Failure, ReasonCode},
    request::WireKey,
    state::{BuildState as S, Step},
};
use fastbuild_store::{AttemptId, AttemptOutcome, NewBaseImage, SettingsRevisions};
use http::Method;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::service::{Service, build_request};

const API: &str = "/api/fast-build";

/// Queues a build and takes it through these states.
async fn build_in(service: &Service, target: &str, states: &[S]) -> AttemptId {
    service.queue(target).await;
    let claimed = service
        .store
        .claim("worker-7", Duration::from_mins(1), service.now())
        .await
        .unwrap()
        .unwrap();
    for state in states {
        service
            .store
            .transition(claimed.attempt, *state, service.now())
            .await
            .unwrap();
    }
    claimed.attempt
}

/// Ends a build with a failure of a step.
async fn fail(service: &Service, attempt: AttemptId, state: S, failure: Failure) {
    let end = AttemptOutcome::Failed(state, failure);
    service
        .store
        .finish(
            attempt,
            &end,
            SettingsRevisions::default(),
            &|_| None,
            service.now(),
        )
        .await
        .unwrap();
}

/// Target, shown and exact state of the tasks that a filter finds.
async fn filtered(service: &Service, status: &str) -> Vec<String> {
    let path = format!("{API}/task/list-task?page=1&page_size=10&task_status={status}");
    let answer = service.get(&path).await.json();
    let text = |task: &Value, name: &str| task[name].as_str().unwrap().to_owned();
    let tasks = answer["data"]["task_list"].as_array().unwrap().iter();
    tasks
        .map(|task| {
            let name = text(task, "image_name");
            let name = name.rsplit('/').next().unwrap().to_owned();
            format!(
                "{name} {} {}",
                text(task, "state"),
                text(task, "detail_state")
            )
        })
        .collect()
}

#[tokio::test]
async fn old_callers_see_and_filter_by_the_states_they_know() {
    let service = Service::configured().await;
    let pulled = [S::PullSuccess];
    let built = [
        S::PullSuccess,
        S::CheckSuccess,
        S::PrepareSuccess,
        S::Building,
        S::BuildSuccess,
        S::CheckImageSizeSuccess,
    ];
    build_in(&service, "10.0.0.9/a/building:1", &built[..4]).await;
    build_in(&service, "10.0.0.9/a/pushing:1", &built).await;
    let refused = build_in(&service, "10.0.0.9/a/refused:1", &pulled).await;
    let failure = Failure::new(ReasonCode::MirrorMismatch, "不符。", "No fit.");
    fail(&service, refused, S::CheckFailed, failure).await;
    assert_eq!(
        filtered(&service, "STARTED").await,
        ["building:1 STARTED BUILDING"]
    );
    assert_eq!(
        filtered(&service, "BUILD_SUCCESS").await,
        ["pushing:1 BUILD_SUCCESS CHECK_IMAGE_SIZE_SUCCESS"]
    );
    let failed = ["refused:1 BUILD_FAILED CHECK_FAILED"];
    assert_eq!(filtered(&service, "build_failed").await, failed);
    assert_eq!(filtered(&service, "CHECK_FAILED").await, failed);
    assert_eq!(filtered(&service, "QUEUED").await, [""; 0]);
    assert_eq!(filtered(&service, "").await.len(), 3);
    let exact = service.get("/api/v1/builds?state=BUILDING").await.json();
    assert_eq!(exact["builds"][0]["state"], "BUILDING");
}

#[tokio::test]
async fn a_caller_gets_its_own_ciphertext_back_and_nobody_else_sees_it() {
    let service = Service::configured().await;
    let key = WireKey::new("c7e71f37dda040fd", "0000000000000000").unwrap();
    let (ssh, jupyter) = (
        key.encrypt("ssh-password-1"),
        key.encrypt("jupyter-password-1"),
    );
    let mut request = build_request("10.0.0.9/base/a:1");
    request.as_object_mut().unwrap().remove("image_data");
    request["webSSHSecret"] = json!(ssh);
    request["jupyterLabSecret"] = json!(jupyter);
    request["task_data"] = json!({
        "task_name": "nightly",
        "target_image_name": "10.0.0.9/team/a:1",
        "callback_url": "http://platform.example/callback"
    });
    let answer = service
        .send_json(&format!("{API}/task/build-image"), &request)
        .await
        .json();
    let data = &answer["data"];
    for name in ["webSSHSecret", "jupyterLabSecret", "task_data"] {
        assert_eq!(data[name], request[name], "{name}");
        assert_eq!(data["image_request"][name], request[name], "{name}");
    }
    let sent = &request["dockerfile_json"]["base_image"];
    assert_eq!(&data["dockerfile_json"]["base_image"], sent);

    let task_id = data["task_id"].as_i64().unwrap();
    let kept = std::path::Path::new(data["task_work_dir"].as_str().unwrap()).join("request.json");
    let mut seen = vec![std::fs::read_to_string(kept).unwrap()];
    for path in [
        format!("{API}/task/task-details_by_task_id?task_id={task_id}"),
        format!("{API}/task/list-task?page=1&page_size=10"),
        format!("/api/v1/builds/{task_id}"),
    ] {
        seen.push(service.get(&path).await.text);
    }
    for text in seen {
        for secret in [&ssh, &jupyter, "ssh-password-1", "jupyter-password-1"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn an_engine_that_is_away_is_a_sentence_in_the_envelope() {
    let service = Service::configured().await;
    for verb in ["pull-image", "check-image"] {
        let path = format!("{API}/task/{verb}?image_name=10.0.0.9/base/ubuntu:18.04");
        let answer = service.send(Method::POST, &path, "en").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let body = answer.json();
        assert_eq!(
            (&body["code"], &body["data"], &body["reason"]),
            (&json!(-1), &Value::Null, &json!("EngineUnreachable"))
        );
        assert!(
            answer.msg().starts_with("The Docker Engine at 127.0.0.1:1"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn every_row_of_the_images_has_an_id_of_its_own() {
    let service = Service::configured().await;
    let id = "e682b1caa2a13f2eaa3dbdec92e96159dc1ab3fba6a2262382cfc1de2657f26d";
    for (name, image_id) in [
        ("10.0.0.9/base/a:1", format!("sha256:{id}")),
        ("10.0.0.9/base/b:1", format!("sha256:{id}")),
        ("10.0.0.9/base/c:1", String::new()),
        ("10.0.0.9/base/d:1", String::new()),
    ] {
        let image = NewBaseImage {
            reference: name.parse().unwrap(),
            image_id,
            size: 1,
            description: String::new(),
        };
        service
            .store
            .put_base_image(&image, service.now())
            .await
            .unwrap();
    }
    for path in ["image/list-image?page=1&page_size=10", "image/list-all"] {
        let answer = service.get(&format!("{API}/{path}")).await.json();
        let data = &answer["data"];
        let rows = data
            .as_array()
            .or_else(|| data["image_list"].as_array())
            .unwrap();
        let shown: Vec<(&str, &str)> = rows
            .iter()
            .map(|row| {
                (
                    row["id"].as_str().unwrap(),
                    row["image_id"].as_str().unwrap(),
                )
            })
            .collect();
        let second = format!("{id}-2");
        assert_eq!(
            shown,
            [("-4", ""), ("-3", ""), (second.as_str(), id), (id, id)],
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_log_ends_with_the_reason_in_the_callers_language() {
    let service = Service::configured().await;
    let attempt = build_in(
        &service,
        "10.0.0.9/a/b:1",
        &[
            S::PullSuccess,
            S::CheckSuccess,
            S::PrepareSuccess,
            S::Building,
        ],
    )
    .await;
    let store = &service.store;
    store
        .step_started(attempt, Step::Pull, service.now())
        .await
        .unwrap();
    store
        .step_started(attempt, Step::Build, service.now())
        .await
        .unwrap();
    let text = "E: Unable to locate package nosuch\n".to_owned();
    let events = vec![Event::Progress {
        step: Step::Build,
        progress: Progress::Log { text },
    }];
    store
        .append_events(attempt, events, service.now())
        .await
        .unwrap();
    let build = store.build(attempt.build_id).await.unwrap().unwrap();
    let path = format!("/task/{}/build.log", build.work_dir_name);
    assert_snapshot!(service.get(&path).await.text, @"E: Unable to locate package nosuch");
    let failure = Failure::new(
        ReasonCode::PackageNotFound,
        "找不到软件包 nosuch。",
        "There is no package nosuch.",
    )
    .in_step(Step::Build, Vec::new());
    fail(&service, attempt, S::BuildFailed, failure).await;
    assert_snapshot!(service.get(&path).await.text, @"
    E: Unable to locate package nosuch
    找不到软件包 nosuch。请检查软件包的名称和版本，或更换包含它的镜像源。
    ");
    assert_snapshot!(service.send(Method::GET, &path, "en").await.text, @"
    E: Unable to locate package nosuch
    There is no package nosuch. Check the package's name and version, or choose a mirror that has it.
    ");
    let pull = format!("/task/{}/pull.log", build.work_dir_name);
    assert_eq!(service.get(&pull).await.text, "");
}

#[tokio::test]
async fn a_list_without_paging_answers_the_newest_thousand_and_says_so() {
    let service = Service::configured().await;
    for number in 0..1_001 {
        let image = NewBaseImage {
            reference: format!("10.0.0.9/base/a:{number}").parse().unwrap(),
            image_id: format!("sha256:{number:064x}"),
            size: 1,
            description: String::new(),
        };
        service
            .store
            .put_base_image(&image, service.now())
            .await
            .unwrap();
    }
    let all = service.get(&format!("{API}/image/list-all")).await;
    assert_snapshot!(all.msg(), @"success：仅返回最新的 1000 条记录。");
    let all = all.json();
    let rows = all["data"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["tag"]), (1_000, &json!("1000")));
    let path = format!("{API}/image/list-image?page=1&page_size=-1");
    let page = service.send(Method::GET, &path, "en").await;
    assert_snapshot!(page.msg(), @"success: these are the newest 1000 rows only.");
    let page = page.json();
    assert_eq!(page["data"]["page"]["total"], 1_001);
    assert_eq!(page["data"]["image_list"].as_array().unwrap().len(), 1_000);
    let path = format!("{API}/image/list-image?page=2&page_size=1000");
    let last = service.get(&path).await;
    assert_eq!(last.msg(), "success");
    assert_eq!(
        last.json()["data"]["image_list"].as_array().unwrap().len(),
        1
    );
}

//! The lists of tasks, their progress, and forgetting them.

use std::time::Duration;

use fastbuild_spec::{
    failure::Failure,
    state::{BuildState, Step},
};
use fastbuild_store::{AttemptOutcome, ClaimedBuild, SettingsRevisions};
use http::Method;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::service::Service;

const API: &str = "/api/fast-build";

async fn claim(service: &Service) -> ClaimedBuild {
    let claimed = service
        .store
        .claim("worker-7", Duration::from_mins(1), service.now())
        .await;
    claimed.unwrap().unwrap()
}

async fn fail(service: &Service, claimed: &ClaimedBuild) {
    let end = AttemptOutcome::Failed(BuildState::PullFailed, Failure::build_cancelled());
    service
        .store
        .finish(
            claimed.attempt,
            &end,
            SettingsRevisions::default(),
            &|_| None,
            service.now(),
        )
        .await
        .unwrap();
}

/// The targets a list names.
async fn targets(service: &Service, path: &str) -> Vec<String> {
    let answer = service.get(&format!("{API}/task/{path}")).await.json();
    assert_eq!(
        (&answer["code"], &answer["msg"]),
        (&json!(0), &json!("success")),
        "{answer}"
    );
    let tasks = answer["data"].as_array().unwrap().iter();
    tasks
        .map(|task| task["target_image_name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn nothing_to_list_is_the_refusal_old_callers_know() {
    let service = Service::configured().await;
    for path in ["all-tasks", "running-tasks", "queued-tasks"] {
        let answer = service.get(&format!("{API}/task/{path}")).await;
        assert_eq!(
            (answer.status, answer.json()),
            (
                200,
                json!({"code": -1, "msg": "查询结果为空", "data": null, "reason": "NotFound"})
            ),
            "{path}"
        );
        let answer = service
            .send(Method::GET, &format!("{API}/task/{path}"), "en")
            .await;
        assert_eq!(answer.msg(), "There is nothing to list.");
    }
    let none = service
        .get(&format!(
            "{API}/task/task-detail-by-image-name?image_name=x"
        ))
        .await;
    assert_eq!(
        none.json(),
        json!({"code": 0, "msg": "success", "data": []})
    );
    let none = service
        .get(&format!("{API}/progress/running-tasks-progress"))
        .await;
    assert_eq!(
        none.json(),
        json!({"code": 0, "msg": "success", "data": {}})
    );
}

#[tokio::test]
async fn tasks_are_listed_by_how_they_stand_and_by_name() {
    let service = Service::configured().await;
    for target in [
        "10.0.0.9/base/a:1",
        "10.0.0.9/base/b:1",
        "10.0.0.9/made/c:2",
    ] {
        service.queue(target).await;
    }
    let first = claim(&service).await;
    fail(&service, &first).await;
    let second = claim(&service).await;
    assert_eq!(
        targets(&service, "all-tasks").await,
        [
            "10.0.0.9/made/c:2",
            "10.0.0.9/base/b:1",
            "10.0.0.9/base/a:1"
        ]
    );
    assert_eq!(
        targets(&service, "running-tasks").await,
        ["10.0.0.9/base/b:1"]
    );
    assert_eq!(
        targets(&service, "queued-tasks").await,
        ["10.0.0.9/made/c:2"]
    );
    let part = "task-detail-by-image-name?image_name=10.0.0.9/BASE/";
    assert_eq!(
        targets(&service, part).await,
        ["10.0.0.9/base/b:1", "10.0.0.9/base/a:1"]
    );

    // Every list shows the same task as the details do.
    let list = service
        .get(&format!("{API}/task/running-tasks"))
        .await
        .json();
    let task_id = second.build.id;
    let details = service
        .get(&format!(
            "{API}/task/task-details_by_task_id?task_id={task_id}"
        ))
        .await;
    assert_eq!(list["data"][0], details.json()["data"]);
}

#[tokio::test]
async fn the_progress_of_running_tasks_is_by_number() {
    let service = Service::configured().await;
    let task_id = service.queue("10.0.0.9/base/a:1").await;
    service.queue("10.0.0.9/base/b:1").await;
    let claimed = claim(&service).await;
    service
        .store
        .step_started(claimed.attempt, Step::Pull, service.now())
        .await
        .unwrap();
    let running = service
        .get(&format!("{API}/progress/running-tasks-progress"))
        .await
        .json();
    let details = service
        .get(&format!("{API}/progress/details?task_id={task_id}"))
        .await
        .json();
    assert_eq!(
        details["data"]["progress"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(
        running["data"],
        json!({task_id.to_string(): details["data"]["progress"]})
    );
    let status = service.get(&format!("{API}/progress/status")).await.json();
    assert_eq!(
        status,
        json!({"code": 0, "msg": "success", "data": ["pull", "check", "prepare", "build", "push"]})
    );
}

async fn delete(service: &Service, task_id: i64) -> Value {
    let path = format!("{API}/task/delete-task-by-task-id?task_id={task_id}");
    let answer = service.send(Method::DELETE, &path, "zh-CN").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn a_task_is_forgotten_with_its_files_once_it_has_ended() {
    let service = Service::configured().await;
    let task_id = service.queue("10.0.0.9/base/a:1").await;
    let answer = delete(&service, task_id).await;
    let refused = format!("任务id<{task_id}>任务仍在进行，无法删除");
    assert!(
        answer["msg"].as_str().unwrap().starts_with(&refused),
        "{answer}"
    );
    assert_eq!(
        (&answer["code"], &answer["data"]),
        (&json!(-1), &Value::Null)
    );

    let claimed = claim(&service).await;
    assert_eq!(delete(&service, task_id).await["code"], -1);
    fail(&service, &claimed).await;
    let task = service
        .get(&format!(
            "{API}/task/task-details_by_task_id?task_id={task_id}"
        ))
        .await;
    let task = task.json()["data"].clone();
    let folder = std::path::PathBuf::from(task["task_work_dir"].as_str().unwrap());
    assert!(folder.join("request.json").exists());
    assert_eq!(
        delete(&service, task_id).await,
        json!({"code": 0, "msg": "success", "data": "Folder deleted successfully"})
    );
    assert!(!folder.exists());
    assert!(folder.parent().unwrap().exists());

    let again = delete(&service, task_id).await;
    let unknown = format!("任务id<{task_id}>任务不存在");
    assert!(
        again["msg"].as_str().unwrap().starts_with(&unknown),
        "{again}"
    );
    assert_eq!((&again["code"], &again["data"]), (&json!(-1), &Value::Null));
    let progress = service
        .get(&format!("{API}/progress/details?task_id={task_id}"))
        .await;
    assert_eq!(progress.json()["data"], json!({}));
}

#[tokio::test]
async fn the_image_of_a_task_that_made_none_cannot_be_removed() {
    let service = Service::configured().await;
    let task_id = service.queue("10.0.0.9/base/a:1").await;
    let path = format!("{API}/task/delete-image-by-task-id?task_id={task_id}");
    let answer = service.send(Method::DELETE, &path, "en").await;
    assert_eq!(answer.status, 200);
    assert_snapshot!(answer.msg().replace(&task_id.to_string(), "N"), @"Task <N> has not ended yet and cannot be deleted. Wait for it to end, then try again.");
    let path = format!("{API}/task/delete-image-by-task-id?task_id=7");
    let answer = service.send(Method::DELETE, &path, "zh-CN").await;
    assert_snapshot!(answer.msg(), @"任务id<7>任务不存在。请检查名称或编号是否正确。");
}

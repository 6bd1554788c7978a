//! How builds go, and their files while they run.

use std::time::Duration;

use fastbuild_spec::{
    event::{Event, Progress},
    state::{Step, StepStatus},
};
use fastbuild_store::AttemptId;
use insta::assert_snapshot;
use jiff::SignedDuration;

use crate::service::Service;

fn line(step: Step, text: &str) -> Event {
    Event::Progress {
        step,
        progress: Progress::Log {
            text: text.to_owned(),
        },
    }
}

/// A build in the middle of its build step: its attempt and the name of its folder.
async fn running(service: &Service) -> (AttemptId, String) {
    service.queue("10.0.0.9/base/m1:1").await;
    let store = &service.store;
    let claimed = store
        .claim("worker-7", Duration::from_mins(1), service.now())
        .await
        .unwrap()
        .unwrap();
    let attempt = claimed.attempt;
    for step in [Step::Pull, Step::Check, Step::Prepare] {
        store
            .step_started(attempt, step, service.now())
            .await
            .unwrap();
        service.clock.advance(SignedDuration::from_millis(90));
        store
            .append_events(attempt, vec![line(step, "done\n")], service.now())
            .await
            .unwrap();
        store
            .step_finished(attempt, step, StepStatus::Success, service.now())
            .await
            .unwrap();
    }
    store
        .set_dockerfile(attempt, "FROM 10.0.0.9/base/ubuntu:18.04\n")
        .await
        .unwrap();
    store
        .step_started(attempt, Step::Build, service.now())
        .await
        .unwrap();
    service.clock.advance(SignedDuration::from_millis(1500));
    (attempt, claimed.build.work_dir_name)
}

#[tokio::test]
async fn steps_are_shown_as_callers_have_seen_them() {
    let service = Service::configured().await;
    let _stable = service.stable();
    let (attempt, _) = running(&service).await;
    let path = format!(
        "/api/fast-build/progress/details?task_id={}",
        attempt.build_id
    );
    let mut answer = service.get(&path).await.json();
    // Check looks as pull does.
    answer["data"]["progress"].as_array_mut().unwrap().remove(1);
    assert_snapshot!(serde_json::to_string_pretty(&answer).unwrap(), @r#"
    {
      "code": 0,
      "data": {
        "progress": [
          {
            "action": "pull",
            "base_image_name": "10.0.0.9/base/ubuntu:18.04",
            "create_time": "[time]",
            "duration": 90,
            "end_time": "[time]",
            "log_path": "[base]/task/[folder]/pull.log",
            "log_url": "http://10.0.0.88:48001/task/[folder]/pull.log",
            "primary_id": 1,
            "start_time": "[time]",
            "status": "success",
            "target_image_name": "10.0.0.9/base/m1:1",
            "task_id": 1795424864830,
            "task_name": "nightly",
            "update_time": "[time]"
          },
          {
            "action": "prepare",
            "base_image_name": "10.0.0.9/base/ubuntu:18.04",
            "create_time": "[time]",
            "dockerfile_path": "[base]/task/[folder]/Dockerfile",
            "dockerfile_url": "http://10.0.0.88:48001/task/[folder]/Dockerfile",
            "duration": 90,
            "end_time": "[time]",
            "log_path": "[base]/task/[folder]/prepare.log",
            "log_url": "http://10.0.0.88:48001/task/[folder]/prepare.log",
            "primary_id": 3,
            "start_time": "[time]",
            "status": "success",
            "target_image_name": "10.0.0.9/base/m1:1",
            "task_id": 1795424864830,
            "task_name": "nightly",
            "update_time": "[time]"
          },
          {
            "action": "build",
            "base_image_name": "10.0.0.9/base/ubuntu:18.04",
            "create_time": "[time]",
            "dockerfile_path": "[base]/task/[folder]/Dockerfile",
            "dockerfile_url": "http://10.0.0.88:48001/task/[folder]/Dockerfile",
            "duration": 1500,
            "end_time": null,
            "log_path": "[base]/task/[folder]/build.log",
            "log_url": "http://10.0.0.88:48001/task/[folder]/build.log",
            "primary_id": 4,
            "start_time": "[time]",
            "status": "running",
            "target_image_name": "10.0.0.9/base/m1:1",
            "task_id": 1795424864830,
            "task_name": "nightly",
            "update_time": "[time]"
          }
        ],
        "task_id": 1795424864830,
        "task_name": "nightly"
      },
      "msg": "success"
    }
    "#);
}

#[tokio::test]
async fn a_number_no_build_has_is_an_empty_object() {
    let service = Service::configured().await;
    let answer = service
        .get("/api/fast-build/progress/details?task_id=1")
        .await;
    assert_eq!(answer.text, r#"{"code":0,"data":{},"msg":"success"}"#);
}

#[tokio::test]
async fn a_log_is_readable_while_its_step_runs() {
    let service = Service::configured().await;
    let (attempt, folder) = running(&service).await;
    let path = format!("/task/{folder}/build.log");
    let before = service.get(&path).await;
    assert_eq!((before.status, before.text.as_str()), (200, ""));
    assert_eq!(before.header("content-type"), "text/plain; charset=utf-8");

    // More lines than are read at a time.
    let lines: Vec<String> = (0..1000)
        .map(|number| format!("第 {number} 行\n"))
        .collect();
    let events = lines.iter().map(|text| line(Step::Build, text)).collect();
    service
        .store
        .append_events(attempt, events, service.now())
        .await
        .unwrap();
    assert_eq!(service.get(&path).await.text, lines.concat());
    assert_eq!(
        service.get(&format!("/task/{folder}/pull.log")).await.text,
        "done\n"
    );
}

#[tokio::test]
async fn the_dockerfile_is_plain_text() {
    let service = Service::configured().await;
    let (_, folder) = running(&service).await;
    let answer = service.get(&format!("/task/{folder}/Dockerfile")).await;
    assert_eq!(answer.text, "FROM 10.0.0.9/base/ubuntu:18.04\n");
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
}

#[tokio::test]
async fn what_is_no_file_of_a_build_is_not_found() {
    let service = Service::configured().await;
    let (_, folder) = running(&service).await;
    for file in [
        "push.log",
        "request.json",
        "nothing.log",
        "%2e%2e%2ffastbuild.db",
        "%ff.log",
    ] {
        let answer = service.get(&format!("/task/{folder}/{file}")).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (404, &(-1).into()),
            "{file}"
        );
    }
    assert_eq!(service.get(&format!("/task/{folder}/")).await.status, 404);
    let _stable = service.stable();
    let answer = service
        .get("/task/2023-01-01-00-00-00-000000/Dockerfile")
        .await;
    assert_snapshot!(answer.shown(), @r#"
    404 {
      "code": -1,
      "data": null,
      "msg": "没有文件 /task/[folder]/Dockerfile，或该步骤尚未开始。请使用 progress/details 返回的 log_url 和 dockerfile_url。",
      "reason": "NotFound"
    }
    "#);
}

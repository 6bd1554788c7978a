//! Asking for builds, and looking at them.

use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    state::BuildState,
};
use fastbuild_store::{AttemptOutcome, SettingsRevisions};
use http::Method;
use insta::assert_snapshot;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::time::Duration;

use crate::service::{Service, build_request};

const BUILD: &str = "/api/fast-build/task/build-image";

#[tokio::test]
async fn nothing_is_built_before_the_site_is_configured() {
    let service = Service::start().await;
    let request = build_request("10.0.0.9/base/a:1").to_string();
    assert_snapshot!(service.post_text(BUILD, request).await.shown(), @r#"
    200 {
      "code": -1,
      "data": null,
      "msg": "服务尚未配置完成，缺少：host、Harbor、Docker server。请管理员调用 POST /api/fast-build/config/config-fastbuild 完成配置。",
      "reason": "NotConfigured"
    }
    "#);
    for verb in ["pull-image", "check-image"] {
        let path = format!("/api/fast-build/task/{verb}?image_name=10.0.0.9/base/ubuntu");
        let answer = service.send(Method::POST, &path, "en").await;
        assert_eq!(
            (answer.status, answer.json()["reason"].as_str()),
            (200, Some("NotConfigured"))
        );
    }
}

#[tokio::test]
async fn every_bad_field_of_a_request_is_named_in_one_answer() {
    let service = Service::configured().await;
    let mut request = build_request("10.0.0.9/base/UPPER:1");
    request["image_data"]["callback_url"] = json!("not a url");
    request["dockerfile_json"]["base_image"] = json!("a b");
    let installers = &mut request["dockerfile_json"]["image_installer_config"];
    installers["package_manager_installer_config"]["software_list"] =
        json!([{"name": "curl; touch /pwned", "version": ""}]);
    installers["pip_installer_config"]["software_list"] =
        json!([{"name": "--index-url=http://x", "version": ""}]);
    let answer = service.post_text(BUILD, request.to_string()).await;
    assert_eq!(
        (answer.status, answer.json()["reason"].as_str()),
        (200, Some("SpecInvalid"))
    );
    let msg = answer.msg();
    for field in [
        "target_image_name",
        "callback_url",
        "base_image",
        "package_manager_installer_config.software_list",
        "pip_installer_config.software_list",
    ] {
        assert!(msg.contains(field), "{field} is not named: {msg}");
    }
}

#[tokio::test]
async fn an_accepted_request_is_answered_as_callers_have_seen_it() {
    let service = Service::configured().await;
    let _stable = service.stable();
    let request = build_request("10.0.0.9/base/afterrestart:1");
    let answer = service.post_text(BUILD, request.to_string()).await;
    let mut body = answer.json();
    // These two are the request itself, which the crate that completes it shows.
    let completed = body["data"]["image_request"].take();
    let dockerfile_json = body["data"]["dockerfile_json"].take();
    assert_eq!(completed["dockerfile_json"], dockerfile_json);
    assert_eq!(dockerfile_json["base_image"], "10.0.0.9/base/ubuntu:18.04");
    assert_snapshot!(serde_json::to_string_pretty(&body).unwrap(), @r#"
    {
      "code": 0,
      "data": {
        "base_image_name": "10.0.0.9/base/ubuntu:18.04",
        "callback_url": "",
        "dockerfile_json": null,
        "image_descriptor": null,
        "image_request": null,
        "image_utils": {},
        "record": {},
        "state": "QUEUED",
        "target_image_desc": "d",
        "target_image_name": "10.0.0.9/base/afterrestart:1",
        "task_id": 1795424864830,
        "task_name": "nightly",
        "task_work_dir": "[base]/task/[folder]",
        "work_dir_name": "[folder]"
      },
      "msg": "为10.0.0.9/base/afterrestart:1镜像构建任务开启进程，请等待"
    }
    "#);

    let again = service.post_text(BUILD, request.to_string()).await;
    assert_eq!(
        (again.status, again.json()["reason"].as_str()),
        (200, Some("TargetTaken"))
    );
}

#[tokio::test]
async fn the_other_shape_of_a_request_is_accepted_as_well() {
    let service = Service::configured().await;
    let mut request = build_request("10.0.0.9/base/a:1");
    let image_data = request["image_data"].take();
    request.as_object_mut().unwrap().remove("image_data");
    request["webSSHSecret"] = image_data["webSSHSecret"].clone();
    request["jupyterLabSecret"] = image_data["jupyterLabSecret"].clone();
    request["task_data"] = json!({
        "task_name": "nightly",
        "target_image_name": "10.0.0.9:30003/base/a",
        "callback_url": "http://dros.example/callback"
    });
    let answer = service.send_json(BUILD, &request).await.json();
    assert_eq!(answer["code"], 0, "{answer}");
    assert_eq!(
        answer["data"]["target_image_name"],
        "10.0.0.9:30003/base/a:latest"
    );
    assert_eq!(
        answer["data"]["callback_url"],
        "http://dros.example/callback"
    );
}

#[tokio::test]
async fn a_task_has_every_field_callers_have_seen() {
    let service = Service::configured().await;
    let _stable = service.stable();
    let task_id = service.queue("10.0.0.9/base/a:1").await;
    let path = format!("/api/fast-build/task/task-details_by_task_id?task_id={task_id}");
    assert_snapshot!(service.get(&path).await.shown(), @r#"
    200 {
      "code": 0,
      "data": {
        "base_image_name": "10.0.0.9/base/ubuntu:18.04",
        "callback_times": null,
        "callback_url": "",
        "create_time": "[time]",
        "description": "d",
        "detail_state": "QUEUED",
        "dockerfile_path": "[base]/task/[folder]/Dockerfile",
        "image_build_log_path": "[base]/task/[folder]/build.log",
        "image_name": "10.0.0.9/base/a:1",
        "name": "nightly",
        "pid": null,
        "primary_id": 1,
        "request": "[base]/task/[folder]/request.json",
        "state": "QUEUED",
        "target_image_name": "10.0.0.9/base/a:1",
        "task_id": 1795424864830,
        "task_work_dir": "[base]/task/[folder]",
        "update_time": "[time]",
        "work_dir_name": "[folder]"
      },
      "msg": "success"
    }
    "#);
}

#[tokio::test]
async fn an_unknown_task_is_refused() {
    let service = Service::configured().await;
    let path = "/api/fast-build/task/task-details_by_task_id?task_id=1795426576286";
    assert_snapshot!(service.get(path).await.shown(), @r#"
    200 {
      "code": -1,
      "data": null,
      "msg": "任务id<1795426576286>任务不存在。请检查名称或编号是否正确。",
      "reason": "NotFound"
    }
    "#);
}

#[tokio::test]
async fn a_failed_task_says_why_in_the_callers_language() {
    let service = Service::configured().await;
    let task_id = service.queue("10.0.0.9/base/a:1").await;
    let claimed = service
        .store
        .claim("worker-7", Duration::from_mins(1), service.now())
        .await
        .unwrap()
        .unwrap();
    let failure = Failure::new(
        ReasonCode::BaseImageNotFound,
        "找不到基础镜像 10.0.0.9/base/ubuntu:18.04。",
        "The base image 10.0.0.9/base/ubuntu:18.04 does not exist.",
    );
    let end = AttemptOutcome::Failed(BuildState::PullFailed, failure);
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
    let path = format!("/api/fast-build/task/task-details_by_task_id?task_id={task_id}");
    let task = &service.send(Method::GET, &path, "en").await.json()["data"];
    assert_eq!(
        [&task["state"], &task["reason"], &task["pid"]],
        ["BUILD_FAILED", "BaseImageNotFound", "worker-7"]
    );
    assert_snapshot!(task["message"].as_str().unwrap(), @"The base image 10.0.0.9/base/ubuntu:18.04 does not exist. Check that the base image's name and tag exist in the registry.");
    assert_snapshot!(service.get(&path).await.json()["data"]["message"].as_str().unwrap(), @"找不到基础镜像 10.0.0.9/base/ubuntu:18.04。请检查基础镜像的名称和标签是否存在于仓库中。");
}

/// The page that was asked for, and the names on it.
async fn list(service: &Service, query: &str) -> (Value, Vec<String>) {
    let answer = service
        .get(&format!("/api/fast-build/task/list-task?{query}"))
        .await
        .json();
    let names = answer["data"]["task_list"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"))
        .iter()
        .map(|task| task["image_name"].as_str().unwrap().to_owned())
        .collect();
    (answer["data"]["page"].clone(), names)
}

#[tokio::test]
async fn tasks_are_listed_newest_first_a_page_at_a_time() {
    let service = Service::configured().await;
    let empty = service
        .get("/api/fast-build/task/list-task?page=1&page_size=10")
        .await;
    assert_snapshot!(empty.shown(), @r#"
    200 {
      "code": 0,
      "data": {
        "page": {
          "current": 1,
          "page_size": 10,
          "total": 0
        },
        "task_list": []
      },
      "msg": "success"
    }
    "#);

    for number in 1..=5 {
        service.clock.advance(SignedDuration::from_secs(1));
        service
            .queue(&format!("10.0.0.9:30003/base/tool-{number}:1"))
            .await;
    }
    let short = |names: Vec<String>| -> String {
        names
            .iter()
            .map(|name| name.rsplit_once('-').unwrap().1.trim_end_matches(":1"))
            .collect()
    };
    let (page, names) = list(&service, "page=1&page_size=2").await;
    assert_eq!(
        (page, short(names)),
        (
            json!({"current": 1, "total": 5, "page_size": 2}),
            "54".into()
        )
    );
    let (page, names) = list(&service, "page=3&page_size=2").await;
    assert_eq!(
        (page, short(names)),
        (
            json!({"current": 3, "total": 5, "page_size": 2}),
            "1".into()
        )
    );
    // No page is less than the first; no negative size leaves anything out.
    let (page, names) = list(&service, "page=0&page_size=2").await;
    assert_eq!(
        (page, short(names)),
        (
            json!({"current": 1, "total": 5, "page_size": 2}),
            "54".into()
        )
    );
    let (page, names) = list(&service, "page=1&page_size=-1").await;
    assert_eq!(
        (page, short(names)),
        (
            json!({"current": 1, "total": 5, "page_size": -1}),
            "54321".into()
        )
    );
    // Parts of names and states, in any case, unencoded; an empty filter is none.
    let (page, names) = list(
        &service,
        "page=1&page_size=9&image_name=10.0.0.9:30003/BASE/tool-3:1&task_status=",
    )
    .await;
    assert_eq!((&page["total"], short(names)), (&json!(1), "3".into()));
    let (page, _) = list(&service, "page=1&page_size=9&task_status=queued").await;
    assert_eq!(page["total"], 5);
    let (page, names) = list(&service, "page=1&page_size=9&task_status=PUSH_SUCCESS").await;
    assert_eq!((&page["total"], names.len()), (&json!(0), 0));
}

//! The list of images, their lives and check results, and what is refused before an engine is asked.

use fastbuild_spec::probe;
use fastbuild_store::{ImageSeen, LifetimeKind, NewBaseImage};
use http::Method;
use insta::assert_snapshot;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::service::Service;

const API: &str = "/api/fast-build";
const BASE: &str = "10.0.0.9:30003/base/ubuntu:18.04";
const ID: &str = "e682b1caa2a13f2eaa3dbdec92e96159dc1ab3fba6a2262382cfc1de2657f26d";

async fn register(service: &Service, name: &str, size: u64) {
    let new = NewBaseImage {
        reference: name.parse().unwrap(),
        image_id: format!("sha256:{ID}"),
        size,
        description: "预置镜像".to_owned(),
    };
    service
        .store
        .put_base_image(&new, service.now())
        .await
        .unwrap();
}

/// Takes a queued build to its pushed image.
async fn build(service: &Service, target: &str) -> i64 {
    use fastbuild_spec::state::BuildState as S;
    use fastbuild_store::{AttemptOutcome, FinishedImage, SettingsRevisions};

    let task_id = service.queue(target).await;
    let lease = std::time::Duration::from_mins(1);
    let claimed = service
        .store
        .claim("worker-7", lease, service.now())
        .await
        .unwrap()
        .unwrap();
    for state in [
        S::PullSuccess,
        S::CheckSuccess,
        S::PrepareSuccess,
        S::Building,
        S::BuildSuccess,
        S::CheckImageSizeSuccess,
    ] {
        service
            .store
            .transition(claimed.attempt, state, service.now())
            .await
            .unwrap();
    }
    let end = AttemptOutcome::Pushed(FinishedImage {
        id: format!("sha256:{ID}"),
        size: 1_430_000_000,
        digest: None,
        on_engine: true,
        build_reason: None,
    });
    let revisions = SettingsRevisions {
        docker_server: Some(1),
        ..SettingsRevisions::default()
    };
    service
        .store
        .finish(claimed.attempt, &end, revisions, &|_| None, service.now())
        .await
        .unwrap();
    task_id
}

#[tokio::test]
async fn an_image_has_every_field_of_the_protocol() {
    let service = Service::configured().await;
    let _stable = service.stable();
    register(&service, BASE, 404_000_000).await;
    assert_snapshot!(service.get(&format!("{API}/image/list-image?page=1&page_size=10")).await.shown(), @r#"
    200 {
      "code": 0,
      "data": {
        "image_list": [
          {
            "create_time": "[time]",
            "description": "预置镜像",
            "id": "e682b1caa2a13f2eaa3dbdec92e96159dc1ab3fba6a2262382cfc1de2657f26d",
            "image_id": "e682b1caa2a13f2eaa3dbdec92e96159dc1ab3fba6a2262382cfc1de2657f26d",
            "interaction": "",
            "name": "10.0.0.9:30003/base/ubuntu",
            "primary_id": 1,
            "size": "0.4G",
            "tag": "18.04",
            "task_id": 0,
            "type": "Base",
            "update_time": "[time]"
          }
        ],
        "page": {
          "current": 1,
          "page_size": 10,
          "total": 1
        }
      },
      "msg": "success"
    }
    "#);
    let task_id = build(&service, "10.0.0.9/made/tools:v1").await;
    let all = service.get(&format!("{API}/image/list-all")).await.json();
    let [made, base] = all["data"].as_array().unwrap().as_slice() else {
        panic!("{all}");
    };
    assert_eq!(base["type"], "Base");
    assert_eq!(
        (
            &made["type"],
            &made["task_id"],
            &made["size"],
            &made["name"],
            &made["tag"]
        ),
        (
            &json!("Customized"),
            &json!(task_id),
            &json!("1.43G"),
            &json!("10.0.0.9/made/tools"),
            &json!("v1")
        )
    );
    assert_eq!(
        (&made["description"], &made["image_id"]),
        (&json!("d"), &json!(ID))
    );
}

/// The page and the tags on it.
async fn list(service: &Service, query: &str) -> (Value, String) {
    let answer = service
        .get(&format!("{API}/image/list-image?{query}"))
        .await
        .json();
    let images = answer["data"]["image_list"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    let tags: Vec<&str> = images
        .iter()
        .map(|image| image["tag"].as_str().unwrap())
        .collect();
    (answer["data"]["page"].clone(), tags.join(" "))
}

#[tokio::test]
async fn images_are_listed_a_page_at_a_time_by_keyword_and_type() {
    let service = Service::configured().await;
    let empty = service
        .get(&format!("{API}/image/list-image?page=1&page_size=10"))
        .await
        .json();
    assert_eq!(
        empty["data"],
        json!({"page": {"current": 1, "total": 0, "page_size": 10}, "image_list": []})
    );
    for tag in ["one", "two", "three"] {
        register(&service, &format!("10.0.0.9/base/debian:{tag}"), 0).await;
    }
    build(&service, "10.0.0.9/made/tools:four").await;
    let page = |current: i64, total: i64, page_size: i64| json!({"current": current, "total": total, "page_size": page_size});
    assert_eq!(
        list(&service, "page=1&page_size=3").await,
        (page(1, 4, 3), "four three two".into())
    );
    assert_eq!(
        list(&service, "page=2&page_size=3").await,
        (page(2, 4, 3), "one".into())
    );
    assert_eq!(
        list(&service, "page=0&page_size=1").await,
        (page(1, 4, 1), "four".into())
    );
    assert_eq!(
        list(&service, "page=1&page_size=-1&image_type=Base&keyword=").await,
        (page(1, 3, -1), "three two one".into())
    );
    assert_eq!(
        list(&service, "page=1&page_size=9&image_type=Customized").await,
        (page(1, 1, 9), "four".into())
    );
    assert_eq!(
        list(&service, "page=1&page_size=9&keyword=10.0.0.9/BASE/").await,
        (page(1, 3, 9), "three two one".into())
    );
    assert_eq!(
        list(&service, "page=1&page_size=9&keyword=t&image_type=Base")
            .await
            .0,
        page(1, 2, 9)
    );
    assert_eq!(
        list(&service, "page=1&page_size=9&keyword=WO").await,
        (page(1, 1, 9), "two".into())
    );
    let answer = service
        .get(&format!(
            "{API}/image/list-image?page=1&page_size=9&image_type=base"
        ))
        .await;
    assert_snapshot!(answer.msg(), @"请求中有 1 处错误：image_type 的值“base”无效，应为 Base 或 Customized。请按提示修改请求中的字段后重新提交。");
}

#[tokio::test]
async fn lives_tell_when_images_came_and_went() {
    let service = Service::configured().await;
    let _stable = service.stable();
    let life = service.get(&format!("{API}/image-life/all")).await;
    assert_eq!(
        life.json(),
        json!({"code": 0, "msg": "success", "data": []})
    );
    let seen = ImageSeen {
        engine: "127.0.0.1:1",
        image: &BASE.parse().unwrap(),
        image_id: "sha256:feed",
        size: 1,
        pulled: true,
    };
    service.store.image_seen(seen, service.now()).await.unwrap();
    build(&service, "10.0.0.9/made/tools:v1").await;
    service.clock.advance(SignedDuration::from_secs(9));
    let now = service.now();
    service
        .store
        .image_removed("127.0.0.1:1", BASE, LifetimeKind::Pull, now, now)
        .await
        .unwrap();
    assert_snapshot!(service.get(&format!("{API}/image-life/all")).await.shown(), @r#"
    200 {
      "code": 0,
      "data": [
        {
          "create_time": "[time]",
          "delete_time": null,
          "generator_time": "[time]",
          "image_name": "10.0.0.9/made/tools:v1",
          "image_type": "build",
          "primary_id": 2,
          "update_time": "[time]"
        },
        {
          "create_time": "[time]",
          "delete_time": "[time]",
          "generator_time": "[time]",
          "image_name": "10.0.0.9:30003/base/ubuntu:18.04",
          "image_type": "pull",
          "primary_id": 1,
          "update_time": "[time]"
        }
      ],
      "msg": "success"
    }
    "#);
}

#[tokio::test]
async fn check_results_are_descriptors_as_text() {
    let service = Service::start().await;
    let all = format!("{API}/check-result/all-check-result");
    let none = service.get(&all).await.json();
    assert_eq!(
        none,
        json!({"code": 0, "msg": "获取全部检测结果成功", "data": []})
    );
    let output = "@@begin 1\n@@kernel Linux 6.1\n@@os ID=\"debian\"\n@@end 1\n";
    let parsed = probe::parse(
        output,
        "sha256:feed",
        1,
        "amd64",
        fastbuild_spec::profile::ImageConfig::default(),
    );
    let profile = parsed.unwrap_or_else(|error| panic!("{error:?}"));
    service
        .store
        .put_profile(&profile, BASE, service.now())
        .await
        .unwrap();
    let [row]: [Value; 1] = service.get(&all).await.json()["data"]
        .as_array()
        .unwrap()
        .clone()
        .try_into()
        .unwrap();
    let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "create_time",
            "image_id",
            "image_name",
            "primary_id",
            "result",
            "update_time"
        ]
    );
    assert_eq!(
        (&row["image_name"], &row["image_id"]),
        (&json!(BASE), &json!("sha256:feed"))
    );
    let result: Value = serde_json::from_str(row["result"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&result["image_name"], &result["kernel"]["name"]),
        (&json!(BASE), &json!("Linux"))
    );

    let path = format!("{API}/check-result/delete-all-check-result");
    let deleted = service.send(Method::DELETE, &path, "en").await.json();
    assert_eq!(
        deleted,
        json!({"code": 0, "msg": "All 1 check result(s) have been deleted.", "data": 1})
    );
    assert_eq!(service.get(&all).await.json()["data"], json!([]));
}

async fn delete(service: &Service, image: &str) -> (u16, Value) {
    let path = format!("{API}/image/delete-image-by-image-name?image_name={image}");
    let answer = service.send(Method::DELETE, &path, "en").await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn an_image_is_not_removed_by_a_wrong_name_or_while_a_build_uses_it() {
    let unconfigured = Service::start().await;
    assert_eq!(
        delete(&unconfigured, BASE).await.1["reason"],
        "NotConfigured"
    );

    let service = Service::configured().await;
    for name in ["../containers/x", "a/../b", "x?force=1", "a%00b"] {
        let (status, answer) = delete(&service, name).await;
        assert_eq!(
            (status, &answer["reason"]),
            (200, &json!("SpecInvalid")),
            "{name}: {answer}"
        );
    }
    service.queue("10.0.0.9/made/tools:v1").await;
    for used in ["10.0.0.9/base/ubuntu:18.04", "10.0.0.9/made/tools:v1"] {
        let (status, answer) = delete(&service, used).await;
        assert_eq!((status, &answer["code"]), (200, &json!(-1)), "{answer}");
        assert_eq!(
            (&answer["reason"], &answer["data"]),
            (&json!("InUse"), &Value::Null)
        );
        assert!(
            answer["msg"]
                .as_str()
                .unwrap()
                .starts_with(&format!("The image {used} cannot be removed: task <")),
            "{answer}"
        );
    }
    // Anything else is for the engine to say, and this one does not answer.
    let (status, answer) = delete(&service, "10.0.0.9/base/other:1").await;
    assert_eq!(
        (status, &answer["code"]),
        (500, &json!("EngineUnreachable"))
    );
}

#[tokio::test]
async fn cleaning_takes_a_sensible_number_of_days() {
    let service = Service::configured().await;
    let path = format!("{API}/system/auto_clean_image");
    assert_snapshot!(service.post(&path).await.msg(), @"请求中有 1 处错误：reserve_days 是必填项。请按提示修改请求中的字段后重新提交。");
    for days in ["-1", "36501", "99999999999"] {
        let answer = service
            .post(&format!("{path}?reserve_days={days}"))
            .await
            .json();
        assert_eq!(
            (&answer["code"], &answer["reason"]),
            (&json!(-1), &json!("SpecInvalid")),
            "{days}"
        );
    }
    // There is nothing to clean, so no engine is asked.
    let answer = service
        .send(Method::POST, &format!("{path}?reserve_days=7"), "en")
        .await
        .json();
    assert_eq!((&answer["code"], &answer["data"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn every_module_greets_without_an_envelope() {
    let service = Service::start().await;
    for module in [
        "task",
        "progress",
        "image",
        "image-life",
        "check-result",
        "file",
        "system",
        "config",
    ] {
        let answer = service.get(&format!("{API}/{module}/welcome")).await;
        assert_eq!(answer.status, 200, "{module}");
        let body = answer.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        assert!(
            body["message"].as_str().unwrap().starts_with("Welcome To "),
            "{body}"
        );
    }
    assert_eq!(
        service.get(&format!("{API}/")).await.json(),
        json!({"message": "Welcome To FastBuild"})
    );
}

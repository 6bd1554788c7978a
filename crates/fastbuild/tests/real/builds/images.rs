//! Base images that are registered, images that builds made, and how both are removed.

use fastbuild_testkit::{container, request::Request};
use serde_json::{Value, json};

use crate::support::installation::{EngineKind, Installation};

impl Installation {
    /// A base image that no other test uses: the registry's Debian with a label and a name of its
    /// own. Under its name alone it would be the image that other tests make containers from.
    pub(crate) fn own_base(&self, on: EngineKind) -> String {
        let (engine, debian) = (self.engine(on), self.base(&self.env.images.debian));
        let own = self.target("base");
        container::pull(&self.env, engine, &debian).unwrap();
        let docker = |arguments: &[&str]| {
            let output = self.env.docker(engine).args(arguments).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let made_from = docker(&["create", &debian, "true"]);
        let label = format!("LABEL org.example.test={}", self.token);
        docker(&["commit", "--change", &label, &made_from, &own]);
        docker(&["rm", &made_from]);
        docker(&["push", "--quiet", &own]);
        own
    }

    /// Whether an engine has an image of this name.
    pub(crate) fn engine_has(&self, on: EngineKind, image: &str) -> bool {
        container::inspect(&self.env, self.engine(on), image, "{{.Id}}").is_ok()
    }

    /// The row of an image in the list, by its full name.
    async fn listed(&self, image: &str) -> Option<Value> {
        let path = format!(
            "image/list-image?page=1&page_size=10&keyword={}",
            self.token
        );
        let answer = self.client().get(&path).await.unwrap();
        let images = answer.data().unwrap()["image_list"]
            .as_array()
            .cloned()
            .unwrap();
        images.into_iter().find(|row| {
            let (name, tag) = (row["name"].as_str().unwrap(), row["tag"].as_str().unwrap());
            format!("{name}:{tag}") == image
        })
    }

    /// The newest life of an image.
    pub(crate) async fn life(&self, image: &str) -> Option<Value> {
        let answer = self.client().get("image-life/all").await.unwrap();
        let lives = answer.data().unwrap().as_array().cloned().unwrap();
        lives.into_iter().find(|life| life["image_name"] == image)
    }

    async fn delete_image(&self, image: &str) -> fastbuild_testkit::client::Answer {
        let path = format!("image/delete-image-by-image-name?image_name={image}");
        self.client().delete(&path).await.unwrap()
    }
}

#[tokio::test]
async fn a_base_image_is_registered_by_its_name_and_taken_off_again() {
    let on = EngineKind::PlainEngine;
    let installation = Installation::configured(on).await;
    let base = installation.own_base(on);
    assert!(installation.listed(&base).await.is_none());
    let path = |image: &str| format!("image/register-base-image?image_name={image}");
    let answer = installation.client().post(&path(&base)).await.unwrap();
    let registered = answer.data().unwrap();
    let row = installation.listed(&base).await.unwrap();
    assert_eq!(&row, registered);
    let id =
        container::inspect(&installation.env, installation.engine(on), &base, "{{.Id}}").unwrap();
    assert_eq!(
        [
            &row["type"],
            &row["task_id"],
            &row["description"],
            &row["interaction"]
        ],
        [&json!("Base"), &json!(0), &json!("预置镜像"), &json!("")]
    );
    assert_eq!(format!("sha256:{}", row["id"].as_str().unwrap()), id);
    assert!(row["size"].as_str().unwrap().ends_with('G'), "{row}");

    // Registering again renews the row; a name of no image is refused.
    installation
        .client()
        .post(&path(&base))
        .await
        .unwrap()
        .data()
        .unwrap();
    let nothing = installation
        .client()
        .post(&path(&installation.target("nothing")))
        .await
        .unwrap();
    assert_eq!(
        nothing.body["reason"], "BaseImageNotFound",
        "{}",
        nothing.body
    );
    let list = installation.client().get("image/list-all").await.unwrap();
    assert_eq!(list.data().unwrap().as_array().map(Vec::len), Some(1));

    let deleted = installation.delete_image(&base).await;
    assert_eq!(deleted.data().unwrap(), "Image deleted successfully");
    assert!(
        deleted.message().contains("镜像仓库"),
        "{}",
        deleted.message()
    );
    assert!(installation.listed(&base).await.is_none());
    assert!(!installation.engine_has(on, &base));
    assert!(installation.registry_has(&base).await);
    let again = installation.delete_image(&base).await;
    assert_eq!(
        (again.status, &again.body["code"], &again.body["data"]),
        (200, &json!(-1), &Value::Null)
    );

    // The engine brings it back from the registry when it is registered anew.
    installation
        .client()
        .post(&path(&base))
        .await
        .unwrap()
        .data()
        .unwrap();
    assert!(installation.engine_has(on, &base));
    installation.delete_image(&base).await.data().unwrap();
}

#[tokio::test]
async fn configured_base_images_are_listed_and_learn_their_size_when_used() {
    let base = Installation::unconfigured(&[])
        .await
        .own_base(EngineKind::PlainEngine);
    let names = format!("[{base:?}]");
    let variables = [("BASE_IMAGES", names.as_str())];
    let installation = Installation::configured_with(EngineKind::PlainEngine, &variables).await;
    let rows = async || {
        let list = installation.client().get("image/list-all").await.unwrap();
        list.data().unwrap().as_array().cloned().unwrap()
    };
    let [row]: [Value; 1] = rows().await.try_into().unwrap();
    assert_eq!(
        [&row["type"], &row["image_id"], &row["size"]],
        [&json!("Base"), &json!(""), &json!("")]
    );
    let check = format!("task/check-image?image_name={base}");
    installation
        .client()
        .post(&check)
        .await
        .unwrap()
        .data()
        .unwrap();
    let [row]: [Value; 1] = rows().await.try_into().unwrap();
    assert_eq!(row["id"].as_str().map(str::len), Some(64), "{row}");
    assert!(row["size"].as_str().unwrap().ends_with('G'), "{row}");
    installation.delete_image(&base).await.data().unwrap();
}

#[tokio::test]
async fn an_image_is_removed_only_once_no_build_and_no_container_uses_it() {
    let on = EngineKind::PlainEngine;
    let installation = Installation::configured(on).await;
    let (base, target) = (installation.own_base(on), installation.target("1"));
    let request = Request::new(&base, &target)
        .system("apt", &["git"])
        .ssh("Alkaid123456");
    let task_id = installation.submit(&request).await;
    for image in [&base, &target] {
        let refused = installation.delete_image(image).await;
        assert_eq!(
            (refused.status, &refused.body["reason"]),
            (200, &json!("InUse")),
            "{}",
            refused.body
        );
        assert!(
            refused.message().contains(&task_id.to_string()),
            "{}",
            refused.message()
        );
    }
    let path = format!("task/delete-task-by-task-id?task_id={task_id}");
    let refused = installation.client().delete(&path).await.unwrap();
    let expected = format!("任务id<{task_id}>任务仍在进行，无法删除");
    assert!(refused.message().starts_with(&expected), "{}", refused.body);
    let task = installation
        .client()
        .wait_for_end(task_id, crate::support::installation::TIMEOUT)
        .await
        .unwrap();
    assert_eq!(task["detail_state"], "PUSH_SUCCESS", "{task:#}");

    let row = installation.listed(&target).await.unwrap();
    assert_eq!(
        [&row["type"], &row["task_id"], &row["interaction"]],
        [&json!("Customized"), &json!(task_id), &json!("WebSSH")]
    );
    assert_eq!(
        installation.life(&target).await.unwrap()["image_type"],
        "build"
    );
    assert_eq!(
        installation.life(&base).await.unwrap()["image_type"],
        "pull"
    );

    // A container that was made from it holds it, running or not.
    let created = installation
        .env
        .docker(installation.engine(on))
        .args(["create", &target])
        .output()
        .unwrap();
    let container = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    let held = installation.delete_image(&target).await;
    let removed = installation
        .env
        .docker(installation.engine(on))
        .args(["rm", &container])
        .output()
        .unwrap();
    assert!(removed.status.success());
    assert_eq!(held.body["reason"], "InUse", "{}", held.body);

    // By the task's number the engine loses it, and the list keeps it.
    let by_task = format!("task/delete-image-by-task-id?task_id={task_id}");
    assert_eq!(
        installation
            .client()
            .delete(&by_task)
            .await
            .unwrap()
            .data()
            .unwrap(),
        &json!(true)
    );
    assert!(!installation.engine_has(on, &target));
    assert!(installation.listed(&target).await.is_some());
    assert!(installation.life(&target).await.unwrap()["delete_time"].is_string());
    assert_eq!(
        installation.client().delete(&by_task).await.unwrap().body["code"],
        -1
    );

    // By its name the list loses it as well, and the name is free again; the registry keeps it.
    let deleted = installation.delete_image(&target).await;
    deleted.data().unwrap();
    assert!(deleted.message().contains("保留"), "{}", deleted.message());
    assert!(installation.listed(&target).await.is_none());
    assert!(installation.registry_has(&target).await);
    installation.delete_image(&base).await.data().unwrap();
    assert!(!installation.engine_has(on, &base));

    let forgotten = installation.client().delete(&path).await.unwrap();
    assert_eq!(forgotten.data().unwrap(), "Folder deleted successfully");
    assert!(installation.client().task(task_id).await.is_err());
    assert!(!std::path::Path::new(task["task_work_dir"].as_str().unwrap()).exists());
}

/// Gives an image of the parts' another name in the registry, by way of an engine that the service does not use.
fn name_in_registry(installation: &Installation, from: &str, to: &str) {
    let engine = &installation.env.engine_plain;
    container::pull(&installation.env, engine, from).unwrap();
    for arguments in [
        &["tag", from, to][..],
        &["push", "--quiet", to],
        &["rmi", to],
    ] {
        let mut docker = installation.env.docker(engine);
        let done = docker.args(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_base_image_whose_name_moved_in_the_registry_is_pulled_anew() {
    for on in [EngineKind::TlsEngine, EngineKind::ContainerdStore] {
        let installation = Installation::configured(on).await;
        let base = installation.target("base");
        let pull_log = async |name: &str| {
            let task = installation
                .build(&Request::new(&base, &installation.target(name)))
                .await;
            let folder = task["work_dir_name"].as_str().unwrap();
            installation
                .client()
                .task_file(folder, "pull.log")
                .await
                .unwrap()
        };
        let id = || {
            container::inspect(&installation.env, installation.engine(on), &base, "{{.Id}}")
                .unwrap()
        };
        // The registry and the engine are asked at the same time; whoever answers first says so.
        let is_the_same =
            |log: &str| log.contains("is what the registry has") || log.contains("is up to date");

        name_in_registry(
            &installation,
            &installation.base(&installation.env.images.debian),
            &base,
        );
        let log = pull_log("first").await;
        assert!(!is_the_same(&log), "{log}");
        let first = id();
        let log = pull_log("second").await;
        assert!(is_the_same(&log), "{log}");
        assert_eq!(id(), first);

        name_in_registry(
            &installation,
            &installation.base(&installation.env.images.app),
            &base,
        );
        let log = pull_log("third").await;
        assert!(!is_the_same(&log), "{log}");
        assert_ne!(id(), first);
    }
}

//! The web front end's whole flow, as a browser sends it: from a page of another origin, with `/` and
//! `:` in queries as they are, and with the bodies its forms make.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{
    http::{Http, Reply, send},
    installation::{EngineKind, Installation, TIMEOUT},
};

const ORIGIN: &str = "http://ui.example:3000";
/// The encrypted empty string, which the forms send for "not wanted".
const NONE: &str = "qkrhxQmWOe5kvpJpplvTuQ==";

/// A page of another origin.
struct Page(Http);

impl Page {
    async fn send(&self, request: RequestBuilder) -> Reply {
        let reply = send(
            request
                .header("Origin", ORIGIN)
                .header("Accept", "application/json, text/plain, */*")
                .header("Accept-Language", "zh-CN,zh;q=0.9,en;q=0.8"),
        )
        .await;
        // Without this header the browser keeps the answer from the page.
        let allowed = reply.header("access-control-allow-origin");
        assert!(
            ["*", ORIGIN].contains(&allowed),
            "{allowed:?}: {}",
            reply.text
        );
        reply
    }

    /// The data of an answer the front end takes for a success.
    async fn data(&self, request: RequestBuilder) -> Value {
        let reply = self.send(request).await;
        let body = reply.json();
        let succeeded = ["0", "200"].contains(&body["code"].to_string().trim_matches('"'));
        assert!(reply.status == 200 && succeeded, "{body}");
        body["data"].clone()
    }

    async fn get(&self, path: &str) -> Value {
        self.data(self.0.request(Method::GET, path)).await
    }

    /// Asks first, as browsers do before a request that is not simple (the Fetch standard).
    async fn ask_first(&self, method: Method, path: &str, headers: Option<&str>) {
        let mut request = self
            .0
            .request(Method::OPTIONS, path)
            .header("Access-Control-Request-Method", method.as_str());
        if let Some(headers) = headers {
            request = request.header("Access-Control-Request-Headers", headers);
        }
        let reply = self.send(request).await;
        assert!(
            (200..300).contains(&reply.status),
            "{method} {path}: {}",
            reply.status
        );
        let grants = |header: &str, wanted: &str| {
            let granted = reply.header(header).to_ascii_lowercase();
            granted
                .split(',')
                .any(|one| ["*", wanted].contains(&one.trim()))
        };
        let method = method.as_str().to_ascii_lowercase();
        assert!(
            grants("access-control-allow-methods", &method),
            "{method} {path}"
        );
        if let Some(headers) = headers {
            assert!(grants("access-control-allow-headers", headers), "{path}");
        }
    }
}

/// The body of the front end's form, with what it learnt from the lists and the check.
fn form(base: &str, target: &str, checked: &Value, mirror: &Value) -> Value {
    json!({
        "dockerfile_json": {
            "base_image": base,
            "maintainer": "admin",
            "image_installer_config": {
                "python_env": {
                    "present": checked["python"]["version"],
                    "target": "",
                    "install_loc": "/usr/local/dros/python"
                },
                "package_manager_installer_config": {
                    "installer_name": checked["package_manager"]["name"],
                    "install": {"present": checked["package_manager"]["version"], "target": ""},
                    "source": mirror,
                    "software_list": [{"name": "file", "version": ""}],
                    "python_version": []
                },
                "pip_installer_config": {
                    "installer_name": "pip",
                    "install": {"present": checked["pip"]["version"], "target": ""},
                    "source": {"installer_name": "", "type": "", "file_name": ""},
                    "software_list": [],
                    "python_version": []
                },
                "conda_installer_config": {
                    "installer_name": "conda",
                    "install": {"present": [], "target": ""},
                    "source": {"type": "", "file_name": ""},
                    "software_list": []
                }
            }
        },
        "image_data": {
            "target_image_name": target,
            "tag": "1",
            "image_desc": "从浏览器",
            "webSSHSecret": NONE,
            "jupyterLabSecret": NONE,
            "task_name": "",
            "callback_url": ""
        }
    })
}

#[tokio::test]
async fn a_browser_goes_all_the_way() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let page = Page(Http::new(&installation.client().url));
    let base = installation.base(&installation.env.images.debian);
    let target = installation.target("1");

    // The lists, before there is anything in them.
    let images = page
        .get("image/list-image?page=1&page_size=10&keyword=&image_type=")
        .await;
    assert_eq!(images["page"]["page_size"], 10, "{images}");
    let tasks = page.get("task/list-task?page=1&page_size=10").await;
    assert_eq!(tasks["task_list"], json!([]));

    // The check of a base image.
    let path = format!("task/check-image?image_name={base}");
    let checked = page.data(page.0.request(Method::POST, &path)).await;
    assert_eq!(checked["image_name"], base, "{checked}");
    assert_eq!(checked["package_manager"]["name"], "apt", "{checked}");

    // The form's choices.
    let sources = page.get("file/list-source").await;
    let sources = sources["source_list"].as_object().unwrap();
    for kind in ["apt", "yum", "pip", "conda"] {
        for group in sources[kind].as_array().unwrap() {
            assert!(
                group["type"].is_string() && group["name"].is_array(),
                "{group}"
            );
        }
    }
    let software = page.get("file/list-software").await;
    for kind in ["python", "pip", "conda"] {
        assert!(software["software_list"][kind].is_array(), "{software}");
    }

    // The build.
    page.ask_first(Method::POST, "task/build-image", Some("content-type"))
        .await;
    let no_mirror = json!({"type": "", "file_name": ""});
    let body = form(&base, &target, &checked, &no_mirror);
    page.data(page.0.request(Method::POST, "task/build-image").json(&body))
        .await;

    // The user presses the button until it is done.
    let tasks = page
        .get("task/list-task?page=1&page_size=10&image_name=&task_status=")
        .await;
    let row = &tasks["task_list"][0];
    assert_eq!(row["image_name"], target, "{tasks}");
    let task_id = row["task_id"].as_i64().unwrap();
    let ended = installation
        .client()
        .wait_for_end(task_id, TIMEOUT)
        .await
        .unwrap();
    assert_eq!(ended["state"], "PUSH_SUCCESS", "{ended:#}");
    let name = target.rsplit_once(':').unwrap().0;
    let query =
        format!("task/list-task?page=1&page_size=10&image_name={name}&task_status=PUSH_SUCCESS");
    let tasks = page.get(&query).await;
    let row = &tasks["task_list"][0];
    assert_eq!(tasks["page"]["total"], 1, "{tasks}");
    assert_eq!(
        (&row["base_image_name"], &row["description"]),
        (&json!(base), &json!("从浏览器"))
    );
    assert!(
        row.get("children").is_none(),
        "the table would nest them: {row}"
    );

    // Its steps, and their logs from the links.
    let progress = page
        .get(&format!("progress/details?task_id={task_id}"))
        .await;
    let steps = progress["progress"].as_array().unwrap();
    let actions: Vec<&str> = steps
        .iter()
        .map(|step| step["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["pull", "check", "prepare", "build", "push"]);
    for step in steps {
        assert_eq!(step["status"], "success", "{step}");
        let log_url = step["log_url"].as_str().unwrap();
        let log = page.send(page.0.request_url(Method::GET, log_url)).await;
        assert_eq!(log.status, 200, "{log_url}");
        assert!(
            log.header("content-type").starts_with("text/plain"),
            "{log_url}"
        );
        assert!(!log.text.is_empty(), "{log_url}");
    }
    let dockerfile_url = steps[2]["dockerfile_url"].as_str().unwrap();
    let dockerfile = page
        .send(page.0.request_url(Method::GET, dockerfile_url))
        .await;
    assert!(dockerfile.text.contains("FROM "), "{}", dockerfile.text);

    // The image is in its list, and both are deleted.
    let query =
        format!("image/list-image?page=1&page_size=10&keyword={name}&image_type=Customized");
    let images = page.get(&query).await;
    let image = &images["image_list"][0];
    assert_eq!(
        (&image["name"], &image["tag"]),
        (&json!(name), &json!("1")),
        "{images}"
    );
    assert_eq!(image["task_id"], task_id, "{images}");
    assert!(image.get("children").is_none(), "{image}");
    let path = format!("image/delete-image-by-image-name?image_name={target}");
    page.ask_first(Method::DELETE, &path, None).await;
    let deleted = page.data(page.0.request(Method::DELETE, &path)).await;
    assert!(deleted.is_string(), "{deleted}");
    assert_eq!(page.get(&query).await["image_list"], json!([]));
    let path = format!("task/delete-task-by-task-id?task_id={task_id}");
    page.ask_first(Method::DELETE, &path, None).await;
    page.data(page.0.request(Method::DELETE, &path)).await;
    assert_eq!(
        page.get("task/list-task?page=1&page_size=10").await["task_list"],
        json!([])
    );

    // Once more: refusals are sentences a page can show, not server errors.
    for path in [
        format!("task/delete-task-by-task-id?task_id={task_id}"),
        format!("image/delete-image-by-image-name?image_name={target}"),
    ] {
        let again = page.send(page.0.request(Method::DELETE, &path)).await;
        let body = again.json();
        assert_eq!(
            (again.status, &body["code"]),
            (200, &json!(-1)),
            "{path}: {body}"
        );
    }
}

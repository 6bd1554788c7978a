//! What a Docker Engine on plain TCP holds, asked over its API.

use std::time::{Duration, Instant};

use fastbuild_engine::{BUILD_LABEL, OWNER, OWNER_LABEL};
use fastbuild_testkit::parts::EnginePart;
use serde_json::{Value, json};

use crate::site::PATIENCE;

/// How often it is asked what it has.
const LOOK: Duration = Duration::from_millis(250);

/// A Docker Engine's API (1.39 and later).
pub(crate) struct EngineApi {
    client: reqwest::Client,
    url: String,
}

impl EngineApi {
    pub(crate) fn of(engine: &EnginePart) -> Self {
        Self {
            client: reqwest::Client::builder()
                .timeout(Duration::from_mins(2))
                .no_proxy()
                .build()
                .unwrap(),
            url: format!("http://{}:{}", engine.host, engine.port),
        }
    }

    async fn get(&self, path: &str, filters: &Value) -> Value {
        let request = self.client.get(format!("{}/{path}", self.url));
        let request = request.query(&[("all", "true"), ("filters", &filters.to_string())]);
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        answer.json().await.unwrap()
    }

    /// For which build an image was made: the value of its label.
    pub(crate) async fn label_of(&self, image: &str) -> String {
        let image = self.get(&format!("images/{image}/json"), &json!({})).await;
        let label = &image["Config"]["Labels"][BUILD_LABEL];
        label.as_str().unwrap().to_owned()
    }

    /// For which builds there are containers of ours, running or not.
    pub(crate) async fn labels_of_containers(&self) -> Vec<String> {
        self.labels("containers/json", &json!({"label": [ours()]}))
            .await
    }

    /// For which builds there are images of ours that have lost their names.
    pub(crate) async fn labels_of_nameless_images(&self) -> Vec<String> {
        let filters = json!({"label": [ours()], "dangling": ["true"]});
        self.labels("images/json", &filters).await
    }

    /// Waits until the engine has an image and nothing else of the installation that made it. A test
    /// says what it was `at` when that does not come.
    pub(crate) async fn wait_for_nothing_beside(&self, image: &str, at: &str) {
        let label = self.label_of(image).await;
        let installation = format!("{}/", label.split_once('/').unwrap().0);
        let until = Instant::now() + PATIENCE;
        loop {
            let mut left = self.labels_of_containers().await;
            left.extend(self.labels_of_nameless_images().await);
            left.retain(|label| label.starts_with(&installation));
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "{at}: {left:?} stay");
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn labels(&self, path: &str, filters: &Value) -> Vec<String> {
        let listed = self.get(path, filters).await;
        listed
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|one| Some(one["Labels"][BUILD_LABEL].as_str()?.to_owned()))
            .collect()
    }
}

fn ours() -> String {
    format!("{OWNER_LABEL}={OWNER}")
}

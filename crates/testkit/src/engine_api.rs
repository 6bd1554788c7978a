//! What a Docker Engine on plain TCP holds, asked over its API (1.40 and later).

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{env::EnginePart, fake_engine::BUILD_LABEL};

/// A Docker Engine's API. Others share the engine and take things away while a list is made, over
/// which it may fail: a list is to be asked for again.
#[derive(Debug, Clone)]
pub struct EngineApi {
    client: reqwest::Client,
    url: String,
}

impl EngineApi {
    /// That of an engine.
    ///
    /// # Errors
    /// When this machine cannot make an HTTP client.
    pub fn of(engine: &EnginePart) -> Result<Self> {
        Ok(Self {
            client: reqwest::Client::builder()
                .timeout(Duration::from_mins(2))
                .no_proxy()
                .build()?,
            url: format!("http://{}:{}", engine.host, engine.port),
        })
    }

    async fn get(&self, path: &str, filters: &Value) -> Result<Value> {
        let request = self.client.get(format!("{}/{path}", self.url));
        let request = request.query(&[("all", "true"), ("filters", &filters.to_string())]);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// For which build an image was made: the value of its label.
    ///
    /// # Errors
    /// When there is no such image, or it was made for none.
    pub async fn label_of(&self, image: &str) -> Result<String> {
        let image = self
            .get(&format!("images/{image}/json"), &json!({}))
            .await?;
        let label = image["Config"]["Labels"][BUILD_LABEL].as_str();
        Ok(label.context("an image without label")?.to_owned())
    }

    /// For which builds there are containers, running or not.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn labels_of_containers(&self) -> Result<Vec<String>> {
        let filters = json!({"label": [BUILD_LABEL]});
        self.labels("containers/json", &filters).await
    }

    /// For which builds there are images that have lost their names.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn labels_of_nameless_images(&self) -> Result<Vec<String>> {
        let filters = json!({"label": [BUILD_LABEL], "dangling": ["true"]});
        self.labels("images/json", &filters).await
    }

    /// For which builds there are images.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn labels_of_images(&self) -> Result<Vec<String>> {
        let filters = json!({"label": [BUILD_LABEL]});
        self.labels("images/json", &filters).await
    }

    async fn labels(&self, path: &str, filters: &Value) -> Result<Vec<String>> {
        let listed = self.get(path, filters).await?;
        let listed = listed.as_array().context("an answer that is no list")?;
        Ok(listed
            .iter()
            .filter_map(|one| Some(one["Labels"][BUILD_LABEL].as_str()?.to_owned()))
            .collect())
    }
}

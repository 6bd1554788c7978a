//! A caller of the service, as the platform is one: configures it, asks for images, follows them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::Value;

use crate::{
    env::{EnginePart, TestEnv},
    wait::{eventually, when},
};

/// How long one question to the callback receiver may wait for its answer.
const LONGEST_WAIT: Duration = Duration::from_mins(4);

/// A caller of one service.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// The service's address, `http://host:port`.
    pub url: String,
}

/// What the service answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: Value,
}

impl Answer {
    /// The `data` of an answer that succeeded.
    ///
    /// # Errors
    /// The whole answer when it is a refusal or a failure.
    pub fn data(&self) -> Result<&Value> {
        ensure!(
            self.status == 200 && self.body["code"] == 0,
            "the service answered {}: {}",
            self.status,
            self.body
        );
        Ok(&self.body["data"])
    }

    /// The sentence for a person, in a refusal and in a failure alike.
    pub fn message(&self) -> &str {
        self.body["msg"].as_str().unwrap_or_default()
    }
}

/// The fields of a `config-fastbuild` call.
#[derive(Debug, Clone)]
pub struct ConfigFields {
    /// Text fields by name.
    pub fields: Vec<(&'static str, String)>,
    /// The TLS archive's bytes.
    pub tls_archive: Option<Vec<u8>>,
}

impl ConfigFields {
    /// The fields that configure the given engine and the parts' registry, for a service on `port`.
    ///
    /// # Errors
    /// When the engine's client archive cannot be read.
    pub fn new(env: &TestEnv, engine: &EnginePart, port: u16) -> Result<Self> {
        let tls_archive = match engine.tls_dir {
            Some(_) => Some(std::fs::read(&env.certificates.client_tar)?),
            None => None,
        };
        Ok(Self {
            fields: vec![
                ("fastbuild_host", "127.0.0.1".to_owned()),
                ("fastbuild_port", port.to_string()),
                ("harbor_username", env.registry.user.username.clone()),
                ("harbor_password", env.registry.user.password.clone()),
                ("harbor_registry", env.registry.registry.clone()),
                ("harbor_registry_dns", env.registry.registry_dns.clone()),
                ("docker_host", engine.host.clone()),
                ("docker_port", engine.port.to_string()),
            ],
            tls_archive,
        })
    }

    /// The same fields with one of them set otherwise.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        for (field, old) in &mut self.fields {
            if *field == name {
                old.clone_from(&value);
            }
        }
        self
    }

    fn form(self) -> Form {
        let mut form = Form::new();
        for (name, value) in self.fields {
            form = form.text(name, value);
        }
        if let Some(archive) = self.tls_archive {
            form = form.part(
                "docker_tls_tar_file",
                Part::bytes(archive).file_name("client-tls.tar"),
            );
        }
        form
    }
}

impl Client {
    /// A caller of the service at `url`.
    ///
    /// # Errors
    /// When this machine cannot make an HTTP client.
    pub fn new(url: impl Into<String>) -> Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder()
                .timeout(Duration::from_mins(5))
                .no_proxy()
                .build()?,
            url: url.into(),
        })
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Answer> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = serde_json::from_str(&text)
            .with_context(|| format!("the service answered {status} and no JSON: {text}"))?;
        Ok(Answer { status, body })
    }

    /// Calls a path under `/api/fast-build/` with GET.
    ///
    /// # Errors
    /// When nothing or no JSON comes back.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.answer(self.http.get(format!("{}/api/fast-build/{path}", self.url)))
            .await
    }

    /// Calls a path under `/api/fast-build/` with POST and no body.
    ///
    /// # Errors
    /// When nothing or no JSON comes back.
    pub async fn post(&self, path: &str) -> Result<Answer> {
        self.answer(
            self.http
                .post(format!("{}/api/fast-build/{path}", self.url)),
        )
        .await
    }

    /// Calls a path under `/api/fast-build/` with DELETE.
    ///
    /// # Errors
    /// When nothing or no JSON comes back.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.answer(
            self.http
                .delete(format!("{}/api/fast-build/{path}", self.url)),
        )
        .await
    }

    /// Calls a path under `/api/fast-build/` with POST and a JSON body.
    ///
    /// # Errors
    /// When nothing or no JSON comes back.
    pub async fn post_json(&self, path: &str, body: &Value) -> Result<Answer> {
        self.answer(
            self.http
                .post(format!("{}/api/fast-build/{path}", self.url))
                .json(body),
        )
        .await
    }

    /// The builds whose target's name contains a text, as version 1 of the API shows them.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn builds_of(&self, image: &str) -> Result<Vec<Value>> {
        let list: Value = self
            .http
            .get(format!("{}/api/v1/builds", self.url))
            .query(&[("image", image)])
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        Ok(list["builds"].as_array().cloned().unwrap_or_default())
    }

    /// All events of a build, and the line that ends them. Waits for the build's end.
    ///
    /// # Errors
    /// When the answer is no success, or breaks off.
    pub async fn events(&self, task_id: i64) -> Result<Vec<Value>> {
        let text = self
            .http
            .get(format!("{}/api/v1/builds/{task_id}/events", self.url))
            .header("accept", "application/x-ndjson")
            .send()
            .await?
            .error_for_status()?
            .text()
            .await?;
        text.lines()
            .filter(|line| !line.is_empty())
            .map(|line| Ok(serde_json::from_str(line)?))
            .collect()
    }

    /// Calls a path under `/api/v1/`, with a JSON body where there is one, in English. An answer
    /// without a body is null.
    ///
    /// # Errors
    /// When nothing comes back, or what is no JSON.
    pub async fn v1(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut request = self
            .http
            .request(method, format!("{}/api/v1/{path}", self.url))
            .header("Accept-Language", "en");
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)
                .with_context(|| format!("the service answered {status} and no JSON: {text}"))?
        };
        Ok(Answer { status, body })
    }

    /// Configures the site.
    ///
    /// # Errors
    /// When nothing or no JSON comes back.
    pub async fn configure(&self, fields: ConfigFields) -> Result<Answer> {
        self.answer(
            self.http
                .post(format!(
                    "{}/api/fast-build/config/config-fastbuild",
                    self.url
                ))
                .multipart(fields.form()),
        )
        .await
    }

    /// Submits a build request.
    ///
    /// # Errors
    /// When nothing or no JSON comes back.
    pub async fn submit(&self, body: &Value) -> Result<Answer> {
        self.post_json("task/build-image", body).await
    }

    /// The record of a build.
    ///
    /// # Errors
    /// When there is no such build.
    pub async fn task(&self, task_id: i64) -> Result<Value> {
        let answer = self
            .get(&format!("task/task-details_by_task_id?task_id={task_id}"))
            .await?;
        Ok(answer.data()?.clone())
    }

    /// The steps of a build.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn steps(&self, task_id: i64) -> Result<Vec<Value>> {
        let answer = self
            .get(&format!("progress/details?task_id={task_id}"))
            .await?;
        Ok(answer.data()?["progress"]
            .as_array()
            .cloned()
            .unwrap_or_default())
    }

    /// A text under `/task/`, such as `build.log` or `Dockerfile` of a build; empty when there is
    /// none yet.
    ///
    /// # Errors
    /// When the service does not answer.
    pub async fn task_file(&self, work_dir_name: &str, file: &str) -> Result<String> {
        let response = self
            .http
            .get(format!("{}/task/{work_dir_name}/{file}", self.url))
            .send()
            .await?;
        if response.status().as_u16() == 404 {
            return Ok(String::new());
        }
        Ok(response.error_for_status()?.text().await?)
    }

    /// Waits until the build's record fulfils a condition and returns it.
    ///
    /// # Errors
    /// The last record seen when `limit` runs out.
    pub async fn wait_for_task(
        &self,
        task_id: i64,
        limit: Duration,
        condition: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        eventually(format!("build {task_id}"), limit, || async {
            let task = self.task(task_id).await?;
            Ok(when(condition(&task), task))
        })
        .await
    }

    /// Waits until the build has ended and returns its record.
    ///
    /// # Errors
    /// The last record seen when `limit` runs out.
    pub async fn wait_for_end(&self, task_id: i64, limit: Duration) -> Result<Value> {
        self.wait_for_task(task_id, limit, is_terminal).await
    }
}

/// Whether a build's record is in a state that nothing follows.
pub fn is_terminal(task: &Value) -> bool {
    task["state"]
        .as_str()
        .and_then(|state| state.parse::<fastbuild_spec::state::BuildState>().ok())
        .is_some_and(fastbuild_spec::state::BuildState::is_terminal)
}

/// Waits until the callback receiver has at least `count` callbacks for a token, and returns them,
/// oldest first. The receiver does the waiting: a caller that asked again and again would take the
/// processor from what it waits for.
///
/// # Errors
/// What it has when `limit` runs out.
pub async fn wait_for_callbacks(
    env: &TestEnv,
    token: &str,
    count: usize,
    limit: Duration,
) -> Result<Vec<Value>> {
    let client = Client::new(env.callback.url.clone())?;
    let started = Instant::now();
    let what = format!("{count} callbacks for {token}");
    eventually(what, limit, || async {
        let wait = limit.saturating_sub(started.elapsed()).min(LONGEST_WAIT);
        let url = format!(
            "{}/_received/{token}?at_least={count}&wait_seconds={}",
            env.callback.url,
            wait.as_secs_f64()
        );
        let response = client.http.get(url).send().await?.error_for_status()?;
        let received: Vec<Value> = response.json().await?;
        Ok(when(received.len() >= count, received))
    })
    .await
}

/// Tells the callback receiver how to answer requests for a token from now on.
///
/// # Errors
/// When the receiver does not answer.
pub async fn set_callback_mode(env: &TestEnv, token: &str, mode: &Value) -> Result<()> {
    let client = Client::new(env.callback.url.clone())?;
    client
        .http
        .put(format!("{}/_mode/{token}", env.callback.url))
        .json(mode)
        .send()
        .await?
        .error_for_status()?;
    Ok(())
}

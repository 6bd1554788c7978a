//! Those who ask for builds and cancel them, through any replica and in spite of everything: what
//! does not get through is asked again, elsewhere, under the same key.

use std::{
    ops::ControlFlow::{Break, Continue},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

use crate::wait::eventually;

/// How long one question may take; one that is held up for longer is asked elsewhere.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long a caller goes on asking.
const GIVE_UP_AFTER: Duration = Duration::from_mins(3);

/// A caller of all replicas. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller {
    http: reqwest::Client,
    replicas: Vec<String>,
}

/// What a request to cancel came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelAnswer {
    /// The build had been waiting and ended at once.
    Ended,
    /// It is being stopped.
    Requested,
    /// It had ended before.
    TooLate,
}

impl Caller {
    /// A caller of the replicas at these addresses, `http://host:port`.
    ///
    /// # Errors
    /// When this machine cannot make an HTTP client.
    pub fn new(replicas: Vec<String>) -> Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder()
                .timeout(TIMEOUT)
                .no_proxy()
                .build()?,
            replicas,
        })
    }

    /// Asks one replica after the other, beginning with the one of this number, until one gives an
    /// answer that is not about its own troubles.
    async fn persist(
        &self,
        first: usize,
        path: &str,
        ask: impl Fn(&reqwest::Client, String) -> RequestBuilder,
    ) -> Result<(StatusCode, String)> {
        let mut replicas = self
            .replicas
            .iter()
            .cycle()
            .skip(first % self.replicas.len());
        eventually(format!("an answer to {path}"), GIVE_UP_AFTER, || {
            let replica = replicas.next().map_or("", String::as_str);
            let request = ask(&self.http, format!("{replica}{path}"));
            async {
                let answer = async {
                    let answer = request.send().await?;
                    Ok::<_, reqwest::Error>((answer.status(), answer.text().await?))
                };
                Ok(match answer.await {
                    Ok((status, text)) if !status.is_server_error() => Break((status, text)),
                    outcome => Continue(format!("{outcome:?}")),
                })
            }
        })
        .await
    }

    /// Asks for a build, once, however often that must be said; its number.
    ///
    /// # Errors
    /// A refusal, or what came last when none of the replicas answers.
    pub async fn submit(&self, first: usize, key: &str, document: &Value) -> Result<i64> {
        let (status, text) = self
            .persist(first, "/api/v1/builds", |http, url| {
                http.post(url).header("idempotency-key", key).json(document)
            })
            .await?;
        ensure!(
            status == StatusCode::ACCEPTED,
            "a build was refused with {status}: {text}"
        );
        let answer: Value = serde_json::from_str(&text)?;
        answer["id"].as_i64().context("a build without a number")
    }

    /// Cancels a build.
    ///
    /// # Errors
    /// An answer that is none to this question, or what came last when none of the replicas answers.
    pub async fn cancel(&self, first: usize, id: i64) -> Result<CancelAnswer> {
        let path = format!("/api/v1/builds/{id}/cancel");
        let (status, text) = self.persist(first, &path, reqwest::Client::post).await?;
        match status {
            StatusCode::OK => Ok(CancelAnswer::Ended),
            StatusCode::ACCEPTED => Ok(CancelAnswer::Requested),
            StatusCode::CONFLICT => Ok(CancelAnswer::TooLate),
            _ => bail!("the cancel of build {id} was answered with {status}: {text}"),
        }
    }

    /// Posts a JSON body that must be taken.
    ///
    /// # Errors
    /// A refusal, or what came last when none of the replicas answers.
    pub async fn post(&self, path: &str, body: &Value) -> Result<()> {
        let (status, text) = self
            .persist(0, path, |http, url| http.post(url).json(body))
            .await?;
        ensure!(
            status.is_success(),
            "{path} was refused with {status}: {text}"
        );
        Ok(())
    }

    /// What is said of a build.
    ///
    /// # Errors
    /// A refusal, or what came last when none of the replicas answers.
    pub async fn build(&self, id: i64) -> Result<Value> {
        let path = format!("/api/v1/builds/{id}");
        let (status, text) = self.persist(0, &path, reqwest::Client::get).await?;
        ensure!(
            status.is_success(),
            "{path} was answered with {status}: {text}"
        );
        Ok(serde_json::from_str(&text)?)
    }

    /// All events of a build that has ended, in order.
    ///
    /// # Errors
    /// A refusal, or what came last when none of the replicas answers.
    pub async fn events(&self, id: i64) -> Result<Vec<Value>> {
        let path = format!("/api/v1/builds/{id}/events");
        let (status, text) = self
            .persist(1, &path, |http, url| {
                http.get(url).header("accept", "application/x-ndjson")
            })
            .await?;
        ensure!(
            status.is_success(),
            "{path} was answered with {status}: {text}"
        );
        text.lines()
            .filter(|line| !line.is_empty())
            .map(|line| Ok(serde_json::from_str(line)?))
            .collect()
    }
}

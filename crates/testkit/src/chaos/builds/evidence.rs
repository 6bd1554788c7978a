//! What became of a run, gathered from those who know: the service, its database, the registry, the
//! engines and the receiver of callbacks, each asked past every proxy but the service itself.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fastbuild_spec::{
    callback::CallbackBody,
    failure::ReasonCode,
    state::{BuildState, Step, StepStatus},
};
use jiff::Timestamp;
use reqwest::{StatusCode, header::ACCEPT};
use serde::Deserialize;
use serde_json::Value;

use super::{cluster::Cluster, workload::Submission};
use crate::{
    chaos::{
        caller::{Caller, CancelAnswer},
        real_engine::EngineObject,
    },
    env::TestEnv,
    fake_engine::Push,
};

/// An order that the service took.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// What was asked for.
    pub submission: Submission,
    /// The build's number.
    pub id: i64,
    /// What the request to cancel it came to, if there was one.
    pub cancelled: Option<CancelAnswer>,
}

/// A callback that came.
#[derive(Debug, Clone)]
pub struct Callback {
    /// What it said.
    pub body: CallbackBody,
    /// Whether it was answered with success.
    pub taken: bool,
}

/// What became of a run.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// What became of each build.
    pub builds: Vec<BuildSeen>,
    /// Every push, with the engine that made it.
    pub pushes: Vec<(String, Push)>,
    /// What lies on engines, by their names.
    pub objects: Vec<(String, EngineObject)>,
    /// Builds that run on engines though none should, by their names.
    pub building: Vec<(String, usize)>,
    /// Rows of the database that should not be there, in words.
    pub rows: Vec<String>,
}

/// What became of a build.
#[derive(Debug, Clone)]
pub struct BuildSeen {
    /// What was asked for.
    pub submitted: Submitted,
    /// Its target image.
    pub target: String,
    /// Its record's state.
    pub state: BuildState,
    /// Why it failed, as its record says.
    pub reason: Option<ReasonCode>,
    /// The digest in its record.
    pub digest: Option<String>,
    /// How often it was begun.
    pub attempt: i64,
    /// The engine of its last attempt.
    pub engine: Option<String>,
    /// Its events, as a client that follows it gets them.
    pub events: Vec<EventSeen>,
    /// The digest that its target has in the registry.
    pub in_registry: Option<String>,
    /// Its callbacks.
    pub callbacks: Vec<Callback>,
}

/// A line of an event stream.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct EventSeen {
    /// `state`, `step`, ..., `result`, `end`.
    pub event: String,
    /// Its number.
    #[serde(default)]
    pub seq: Option<i64>,
    /// Which attempt it is of.
    #[serde(default)]
    pub attempt: Option<i64>,
    /// When it happened.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// The state that was reached.
    #[serde(default)]
    pub state: Option<BuildState>,
    /// The step it is about.
    #[serde(default)]
    pub step: Option<Step>,
    /// How that stands.
    #[serde(default, deserialize_with = "status")]
    pub status: Option<StepStatus>,
}

/// How a step stands; other events have a status of another kind.
fn status<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<StepStatus>, D::Error> {
    let value = Value::deserialize(source)?;
    Ok(serde_json::from_value(value).ok())
}

/// For which build, and which attempt at it, something was made, as its label says:
/// `installation/process/build/attempt`. None for what was made to probe an image.
pub fn maker(label: &str) -> Option<(i64, i64)> {
    let mut fields = label.split('/').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// What should not be in the database once every build has ended, and how it is found.
const NOT_TO_BE: [(&str, &str); 5] = [
    (
        "lease",
        "SELECT id FROM builds WHERE lease_until IS NOT NULL",
    ),
    (
        "build that has not ended",
        "SELECT id, state FROM builds WHERE finished_at IS NULL",
    ),
    (
        "lane with waiting builds",
        "SELECT owner, queued FROM lanes WHERE queued <> 0",
    ),
    (
        "orphaned image to look for",
        "SELECT engine, build_id FROM orphaned_images",
    ),
    (
        "callback on its way",
        "SELECT build_id, status FROM deliveries WHERE status <> 'delivered'",
    ),
];

/// Asks everybody.
///
/// # Errors
/// When one of them does not answer.
pub async fn gather(
    cluster: &Cluster,
    caller: &Caller,
    submitted: &[Submitted],
) -> Result<Evidence> {
    let registry = Registry::new(&cluster.env)?;
    let engines = engines_of(cluster)?;
    let mut evidence = Evidence::default();
    for submitted in submitted {
        let row = caller.build(submitted.id).await?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let target = submitted
            .submission
            .target(&cluster.registry_name(), &cluster.token);
        let mut events = Vec::new();
        for event in caller.events(submitted.id).await? {
            let parsed = serde_json::from_value(event.clone());
            events.push(parsed.with_context(|| format!("the event {event}"))?);
        }
        let (_, path) = target.split_once('/').context("a target")?;
        evidence.builds.push(BuildSeen {
            state: serde_json::from_value(row["state"].clone())?,
            reason: serde_json::from_value(row["failure"]["code"].clone())?,
            digest: text(&row["image"]["digest"]),
            attempt: row["attempt"].as_i64().unwrap_or_default(),
            engine: engines
                .iter()
                .find(|(id, _)| *id == submitted.id)
                .map(|(_, engine)| engine.clone()),
            events,
            in_registry: registry.digest(path).await?,
            callbacks: callbacks_of(cluster, submitted)?,
            submitted: submitted.clone(),
            target,
        });
    }
    for engine in &cluster.engines {
        let pushes = engine.pushes().into_iter();
        evidence
            .pushes
            .extend(pushes.map(|push| (engine.name.clone(), push)));
    }
    look_again(cluster, &mut evidence)?;
    Ok(evidence)
}

/// The callbacks that came for a submission.
fn callbacks_of(cluster: &Cluster, submitted: &Submitted) -> Result<Vec<Callback>> {
    let token = submitted.submission.callback_token();
    let received = cluster.callbacks.received(Some(&token));
    received
        .into_iter()
        .map(|one| {
            let body: CallbackBody = serde_json::from_str(&one.body)?;
            ensure!(
                body.task_id == submitted.id,
                "a callback of build {} came for build {}",
                body.task_id,
                submitted.id
            );
            Ok(Callback {
                body,
                taken: one.was_taken(),
            })
        })
        .collect()
}

/// Asks again about what may take a while: what lies on the engines, and the database's rows.
///
/// # Errors
/// When one of them does not answer.
pub fn look_again(cluster: &Cluster, evidence: &mut Evidence) -> Result<()> {
    let installation = evidence
        .pushes
        .iter()
        .find_map(|(_, push)| push.label.split('/').next())
        .unwrap_or_default()
        .to_owned();
    evidence.objects.clear();
    evidence.building.clear();
    evidence.rows.clear();
    for engine in &cluster.engines {
        let objects = engine.objects(&installation)?.into_iter();
        evidence
            .objects
            .extend(objects.map(|object| (engine.name.clone(), object)));
        if engine.building() > 0 {
            evidence
                .building
                .push((engine.name.clone(), engine.building()));
        }
    }
    for (what, question) in NOT_TO_BE {
        for row in cluster.ask(question)? {
            evidence.rows.push(format!("a {what}: {row}"));
        }
    }
    let ordered = evidence.builds.len();
    let there = cluster.ask("SELECT id FROM builds")?.len();
    if there != ordered {
        let rows = format!("{there} builds where {ordered} were ordered");
        evidence.rows.push(rows);
    }
    Ok(())
}

/// The engine of each build's last attempt.
fn engines_of(cluster: &Cluster) -> Result<Vec<(i64, String)>> {
    let rows = cluster.ask("SELECT id, engine FROM builds WHERE engine IS NOT NULL")?;
    rows.iter()
        .map(|row| {
            let (id, engine) = row.split_once('|').context("a row of two columns")?;
            Ok((id.parse()?, engine.to_owned()))
        })
        .collect()
}

/// The registry, asked directly (OCI distribution specification).
struct Registry {
    http: reqwest::Client,
    env: TestEnv,
}

impl Registry {
    fn new(env: &TestEnv) -> Result<Self> {
        let authority = std::fs::read(&env.certificates.ca)?;
        Ok(Self {
            http: reqwest::Client::builder()
                .timeout(Duration::from_secs(30))
                .tls_certs_only([reqwest::Certificate::from_pem(&authority)?])
                .no_proxy()
                .build()?,
            env: env.clone(),
        })
    }

    /// The digest of an image there, `repository:tag`; none where there is no such image.
    async fn digest(&self, image: &str) -> Result<Option<String>> {
        let (repository, tag) = image.rsplit_once(':').context("a name with a tag")?;
        let registry = &self.env.registry;
        let url = format!(
            "https://{}/v2/{repository}/manifests/{tag}",
            registry.registry
        );
        let answer = self
            .http
            .head(url)
            .basic_auth(&registry.user.username, Some(&registry.user.password))
            .header(ACCEPT, "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json")
            .send()
            .await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        ensure!(
            answer.status().is_success(),
            "the registry answers {} about {image}",
            answer.status()
        );
        let digest = answer.headers().get("docker-content-digest");
        let digest = digest.context("a manifest without a digest")?.to_str()?;
        Ok(Some(digest.to_owned()))
    }
}

impl BuildSeen {
    /// When each attempt began, by its number.
    pub fn beginnings(&self) -> Vec<(i64, Timestamp)> {
        self.events
            .iter()
            .filter(|event| event.state == Some(BuildState::Started))
            .filter_map(|event| Some((event.attempt?, event.at?)))
            .collect()
    }

    /// The bodies of its callbacks.
    pub fn told(&self) -> impl Iterator<Item = &CallbackBody> {
        self.callbacks.iter().map(|callback| &callback.body)
    }
}

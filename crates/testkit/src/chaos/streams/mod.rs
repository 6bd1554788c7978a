//! Very many clients that follow one build, half of whom lose their connections again and again:
//! each must get every event once and in order, then the end, and the service must stay small.
//!
//! [`run`] starts a service with its defaults and a fake engine whose build says much, lets the
//! [`followers`] of the seed [`follow`] it, and puts what they got into a [`report`].

pub mod follow;
pub mod followers;
pub mod reading;
pub mod report;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::{follow::follow, followers::followers, report::Report};
use super::caller::Caller;
use crate::{
    client::ConfigFields,
    env::TestEnv,
    fake_engine::{Behaviour, FakeEngine, STEPS},
    memory::Memory,
    service::{Service, ServiceOptions},
};

/// How long a client may take to get a connection.
const TO_CONNECT: Duration = Duration::from_mins(1);

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The service's program.
    pub binary: PathBuf,
    /// What all that is drawn is drawn from.
    pub seed: u64,
    /// Clients that follow the build.
    pub clients: usize,
    /// Lines that the build says.
    pub lines: u32,
    /// How long it takes.
    pub lasts: Duration,
    /// Resident memory that the service may have at most, in megabytes.
    pub megabytes: f64,
}

/// Runs a plan.
///
/// # Errors
/// When a part does not start or the build is refused. Rules that were broken are no error: they
/// stand in the report.
pub async fn run(plan: Plan) -> Result<Report> {
    raise_open_files()?;
    let env = TestEnv::load()?;
    let directory = tempfile::tempdir()?;
    let options = ServiceOptions::new(&plan.binary, directory.path(), &env);
    let service = Service::start(options).await?;
    let script = Behaviour::new(&env, plan.lasts / STEPS)?.saying(plan.lines / STEPS);
    let engine = FakeEngine::start(script).await?;
    let fields = ConfigFields::new(&env, &env.engine_plain, service.port)?
        .with("docker_host", "127.0.0.1")
        .with("docker_port", engine.address.port().to_string());
    service.client.configure(fields).await?.data()?;
    let before = Memory::of(service.pid())?;

    let begun = Instant::now();
    let caller = Caller::new(vec![service.client.url.clone()])?;
    let build = caller
        .submit(0, "followed", &document(&env, directory.path()))
        .await?;
    let url = format!("{}/api/v1/builds/{build}/events", service.client.url);
    let http = reqwest::Client::builder()
        .connect_timeout(TO_CONNECT)
        .no_proxy()
        .build()?;
    let mut following = JoinSet::new();
    for follower in followers(plan.seed, plan.clients, plan.lasts) {
        let (http, url) = (http.clone(), url.clone());
        following.spawn(async move { (follower.clone(), follow(http, url, follower).await) });
    }
    let mut clients = following.join_all().await;
    clients.sort_by_key(|(follower, _)| follower.number);
    let took = begun.elapsed();
    let memory = Memory::of(service.pid())?;
    Ok(Report {
        events: last_number(&caller.events(build).await?)?,
        state: caller.build(build).await?["state"]
            .as_str()
            .map(str::to_owned),
        plan,
        clients,
        before,
        memory,
        took,
    })
}

/// The build to ask for: small, and under a name that no other run has.
fn document(env: &TestEnv, directory: &std::path::Path) -> Value {
    let token = directory.file_name().unwrap_or_default().to_string_lossy();
    let token = token.trim_start_matches('.').to_lowercase();
    json!({
        "base": env.image(&env.images.debian),
        "target": env.image(&format!("chaos/t{token}:followed")),
        "name": "followed",
    })
}

/// The number of the last event that a build has.
fn last_number(events: &[Value]) -> Result<i64> {
    let numbers = events.iter().filter_map(|event| event["seq"].as_i64());
    numbers.max().context("a build without events")
}

/// Lets this process have as many connections as the system grants: the usual limit, 1,024, is spent
/// by a thousand clients.
fn raise_open_files() -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(())
}

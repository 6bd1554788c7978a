//! How many builds a second can be taken from the queue.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use fastbuild_spec::{
    image_spec::{CondaSpec, ImageSpec, PipSpec, ServicePasswords, SystemSpec},
    limits::BuildLimits,
    settings::DockerServerSettings,
};
use fastbuild_store::{NewBuild, NewSettings, Store};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::database::{Database, Kind, at};

const ROUNDS: usize = 5;
const BUILDS: usize = 400;
/// They take turns.
const OWNERS: usize = 20;
const LEASE: Duration = Duration::from_secs(30);

/// Rounds of so many claimers that empty a queue, each on a new database.
pub(crate) async fn measure(kind: Kind, claimers: usize) -> Result<Value> {
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let database = Database::create(kind).await?;
        fill(&database.store).await?;
        let begun = Instant::now();
        let mut running = JoinSet::new();
        for number in 0..claimers {
            running.spawn(claim_all(
                database.store.clone(),
                format!("worker-{number}"),
            ));
        }
        let mut claimed = 0;
        while let Some(taken) = running.join_next().await {
            claimed += taken??;
        }
        let seconds = begun.elapsed().as_secs_f64();
        ensure!(claimed == BUILDS, "{claimed} of {BUILDS} builds were taken");
        rates.push(f64::from(u32::try_from(BUILDS)?) / seconds);
        database.store.close().await?;
    }
    rates.sort_by(f64::total_cmp);
    Ok(json!({
        "database": kind.name(),
        "claimers": claimers,
        "per_second": {
            "median": rates.get(ROUNDS / 2),
            "least": rates.first(),
            "greatest": rates.last(),
        },
    }))
}

/// Takes builds until there are none.
async fn claim_all(store: Store, worker: String) -> Result<usize> {
    let mut taken = 0;
    while store.claim(&worker, LEASE, at(2)?).await?.is_some() {
        taken += 1;
    }
    Ok(taken)
}

/// A queue, and an engine with room for all of it.
async fn fill(store: &Store) -> Result<()> {
    let engine = NewSettings {
        docker_server: Some(DockerServerSettings {
            host: "engine.site".to_owned(),
            port: 2376,
            tls: None,
        }),
        ..NewSettings::default()
    };
    store.add_settings(engine, at(0)?).await?;
    store
        .set_default_capacity(u32::try_from(BUILDS)?, at(0)?)
        .await?;
    for number in 0..BUILDS {
        let name_work_dir = move |_| format!("folder-{number}");
        store
            .enqueue(build(number)?, &name_work_dir, at(1)?)
            .await
            .context("a build could not be queued")?;
    }
    Ok(())
}

fn build(number: usize) -> Result<NewBuild> {
    Ok(NewBuild {
        name: format!("task {number}"),
        request: "{}".to_owned(),
        spec: ImageSpec {
            base: "registry.site:5000/base/debian:12".parse()?,
            target: format!("registry.site:5000/made/image-{number}:v1").parse()?,
            maintainer: String::new(),
            description: String::new(),
            python: None,
            system: SystemSpec::default(),
            pip: PipSpec::default(),
            conda: CondaSpec::default(),
            ssh: false,
            jupyter_lab: false,
            no_cache: false,
            env: BTreeMap::new(),
            labels: BTreeMap::new(),
        },
        passwords: ServicePasswords::default(),
        callback_url: String::new(),
        key: None,
        owner: format!("owner-{}", number % OWNERS),
        priority: 0,
        limits: BuildLimits {
            total: 600,
            silence: 60,
            push: 120,
        },
    })
}

//! A run: the orders come in while the faults happen; then everything settles and is judged.

pub mod check;
pub mod cluster;
pub mod evidence;
pub mod report;
pub mod schedule;
pub mod workload;

use std::{
    future::ready,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use self::{
    check::left_over,
    cluster::{Cluster, REPLICAS},
    evidence::{Evidence, Submitted, gather, look_again},
    report::Report,
    schedule::{PlannedFault, schedule},
    workload::{Submission, submissions},
};
use super::caller::Caller;
use crate::{
    callback_receiver::{CallbackReceiver, Mode},
    env::ImageNames,
    wait::within,
};

/// How long the builds may take to end after the last fault.
const TO_END: Duration = Duration::from_mins(8);
/// How long callbacks, leases and what lies on engines may take to be put in order after that.
const TO_SETTLE: Duration = Duration::from_mins(3);
/// The builds that have not ended.
const UNFINISHED: &str = "SELECT id FROM builds WHERE finished_at IS NULL";
/// Engines beside the fake ones.
const REAL_ENGINES: usize = 2;

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The service's program.
    pub binary: PathBuf,
    /// What all that is drawn is drawn from.
    pub seed: u64,
    /// Builds to ask for.
    pub builds: usize,
    /// Things that go wrong.
    pub faults: usize,
    /// Fake engines beside the real ones.
    pub fake_engines: usize,
}

/// Runs a plan; `tell` gets a line about each thing that happens.
///
/// # Errors
/// When a part does not start or come back, an order is refused, or nobody answers about it. Rules
/// that were broken are no error: they stand in the report.
pub async fn run(plan: Plan, tell: impl Fn(&str)) -> Result<Report> {
    let begun = Instant::now();
    let mut cluster = Cluster::start(&plan.binary, plan.fake_engines).await?;
    let engines = REAL_ENGINES + plan.fake_engines;
    let faults = schedule(plan.seed, plan.faults, REPLICAS, engines);
    let span = faults.iter().map(|one| one.after + one.lasts).sum();
    let caller = cluster.caller()?;
    let placing = tokio::spawn(place(
        submissions(plan.seed, plan.builds, span),
        ClientView::of(&cluster, caller.clone()),
    ));
    for (number, planned) in faults.iter().enumerate() {
        tokio::time::sleep(planned.after).await;
        tell(&described(begun, number, planned));
        cluster
            .suffer(planned)
            .await
            .with_context(|| format!("fault {number}: {planned:?}"))?;
    }
    let calm = Instant::now();
    let submitted = placing.await??;
    tell(&format!(
        "{:6.1} s  the last fault is over and {} builds were asked for",
        begun.elapsed().as_secs_f64(),
        submitted.len()
    ));
    let evidence = settle(&cluster, &caller, &submitted).await?;
    Ok(Report {
        took: begun.elapsed(),
        settled_after: calm.elapsed(),
        log: cluster.log(),
        plan,
        faults,
        evidence,
    })
}

fn described(begun: Instant, number: usize, planned: &PlannedFault) -> String {
    format!(
        "{:6.1} s  fault {number}: {:?} for {:?}",
        begun.elapsed().as_secs_f64(),
        planned.fault,
        planned.lasts
    )
}

/// What callers know of the site.
#[derive(Clone)]
struct ClientView {
    caller: Caller,
    registry: String,
    token: String,
    images: ImageNames,
    callbacks: Arc<CallbackReceiver>,
}

impl ClientView {
    fn of(cluster: &Cluster, caller: Caller) -> Self {
        Self {
            caller,
            registry: cluster.registry_name(),
            token: cluster.token.clone(),
            images: cluster.env.images.clone(),
            callbacks: cluster.callbacks.clone(),
        }
    }

    /// Asks for a build and, where that is ordered, cancels it.
    async fn place(self, submission: Submission) -> Result<Submitted> {
        let token = submission.callback_token();
        if submission.refused_first {
            let once = Mode {
                times: Some(1),
                ..Mode::status(503)
            };
            self.callbacks.set_mode(&token, once);
        }
        let callback = self.callbacks.url(&token);
        let document = submission.document(&self.registry, &self.token, &self.images, &callback);
        let key = format!("{}-{}", self.token, submission.number);
        let id = self
            .caller
            .submit(submission.number, &key, &document)
            .await?;
        let cancelled = match submission.cancel_after {
            Some(after) => {
                tokio::time::sleep(after).await;
                // Through the other replica.
                Some(self.caller.cancel(submission.number + 1, id).await?)
            }
            None => None,
        };
        Ok(Submitted {
            submission,
            id,
            cancelled,
        })
    }
}

/// Gives all orders, each at its time.
async fn place(submissions: Vec<Submission>, site: ClientView) -> Result<Vec<Submitted>> {
    let mut placing = JoinSet::new();
    for submission in submissions {
        tokio::time::sleep(submission.after).await;
        placing.spawn(site.clone().place(submission));
    }
    let mut submitted = Vec::new();
    while let Some(one) = placing.join_next().await {
        submitted.push(one??);
    }
    submitted.sort_by_key(|submitted| submitted.submission.number);
    Ok(submitted)
}

/// Waits, within bounds, until all builds have ended and nothing is left to do, and gathers what
/// became of them.
async fn settle(cluster: &Cluster, caller: &Caller, submitted: &[Submitted]) -> Result<Evidence> {
    // What is still there at the limit is no error here: the rules are checked afterwards.
    let ended = || cluster.ask(UNFINISHED).map(|rows| rows.is_empty());
    within(TO_END, || ready(ended())).await?;
    let mut evidence = gather(cluster, caller, submitted).await?;
    let mut settled = || {
        look_again(cluster, &mut evidence)?;
        Ok(left_over(&evidence).is_empty())
    };
    within(TO_SETTLE, || ready(settled())).await?;
    // Callbacks may have come meanwhile.
    gather(cluster, caller, submitted).await
}

//! A run: the orders come in while the faults happen; then everything settles and is judged.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use super::{
    callers::Caller,
    check::left_over,
    evidence::{Evidence, Placed, gather, look_again},
    orders::{Order, orders},
    receiver::{self, First},
    report::Report,
    schedule::{Planned, schedule},
    world::{REPLICAS, World},
};
use crate::parts::ImageNames;

/// How long the builds may take to end after the last fault.
const TO_END: Duration = Duration::from_mins(8);
/// How long callbacks, leases and what lies on engines may take to be put in order after that.
const TO_SETTLE: Duration = Duration::from_mins(3);
/// How often is looked whether it is so.
const LOOK: Duration = Duration::from_millis(500);
/// The builds that have not ended.
const UNFINISHED: &str = "SELECT task_id FROM builds WHERE finished_at IS NULL";
/// Engines beside the scripted ones.
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
    /// Scripted engines beside the real ones.
    pub scripted: usize,
}

/// Runs a plan; `tell` gets a line about each thing that happens.
///
/// # Errors
/// When a part does not start or come back, an order is refused, or nobody answers about it. Rules
/// that were broken are no error: they stand in the report.
pub async fn run(plan: Plan, tell: impl Fn(&str)) -> Result<Report> {
    let begun = Instant::now();
    let mut world = World::start(&plan.binary, plan.scripted).await?;
    let engines = REAL_ENGINES + plan.scripted;
    let faults = schedule(plan.seed, plan.faults, REPLICAS, engines);
    let span = faults.iter().map(|one| one.after + one.lasts).sum();
    let caller = world.caller()?;
    let placing = tokio::spawn(place(
        orders(plan.seed, plan.builds, span),
        Site::of(&world, caller.clone()),
    ));
    for (number, planned) in faults.iter().enumerate() {
        tokio::time::sleep(planned.after).await;
        tell(&described(begun, number, planned));
        world
            .suffer(planned)
            .await
            .with_context(|| format!("fault {number}: {planned:?}"))?;
    }
    let calm = Instant::now();
    let placed = placing.await??;
    tell(&format!(
        "{:6.1} s  the last fault is over and {} builds were asked for",
        begun.elapsed().as_secs_f64(),
        placed.len()
    ));
    let evidence = settle(&world, &caller, &placed).await?;
    Ok(Report {
        took: begun.elapsed(),
        settled_after: calm.elapsed(),
        log: world.log(),
        plan,
        faults,
        evidence,
    })
}

fn described(begun: Instant, number: usize, planned: &Planned) -> String {
    format!(
        "{:6.1} s  fault {number}: {:?} for {:?}",
        begun.elapsed().as_secs_f64(),
        planned.fault,
        planned.lasts
    )
}

/// What callers know of the site.
#[derive(Clone)]
struct Site {
    caller: Caller,
    registry: String,
    token: String,
    images: ImageNames,
    receiver: SocketAddr,
}

impl Site {
    fn of(world: &World, caller: Caller) -> Self {
        Self {
            caller,
            registry: world.registry_name(),
            token: world.token.clone(),
            images: world.parts.images.clone(),
            receiver: world.receiver.address,
        }
    }

    /// Asks for a build and, where that is ordered, cancels it.
    async fn place(self, order: Order) -> Result<Placed> {
        let first = if order.refused_first {
            First::Refused
        } else {
            First::Taken
        };
        let callback = receiver::url(self.receiver, order.number, first);
        let document = order.document(&self.registry, &self.token, &self.images, &callback);
        let key = format!("{}-{}", self.token, order.number);
        let id = self.caller.submit(order.number, &key, &document).await?;
        let cancelled = match order.cancel_after {
            Some(after) => {
                tokio::time::sleep(after).await;
                // Through the other replica.
                Some(self.caller.cancel(order.number + 1, id).await?)
            }
            None => None,
        };
        Ok(Placed {
            order,
            id,
            cancelled,
        })
    }
}

/// Gives all orders, each at its time.
async fn place(orders: Vec<Order>, site: Site) -> Result<Vec<Placed>> {
    let mut placing = JoinSet::new();
    for order in orders {
        tokio::time::sleep(order.after).await;
        placing.spawn(site.clone().place(order));
    }
    let mut placed = Vec::new();
    while let Some(one) = placing.join_next().await {
        placed.push(one??);
    }
    placed.sort_by_key(|placed| placed.order.number);
    Ok(placed)
}

/// Waits, within bounds, until all builds have ended and nothing is left to do, and gathers what
/// became of them.
async fn settle(world: &World, caller: &Caller, placed: &[Placed]) -> Result<Evidence> {
    let until = Instant::now() + TO_END;
    while !world.ask(UNFINISHED)?.is_empty() && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
    let mut evidence = gather(world, caller, placed).await?;
    let until = Instant::now() + TO_SETTLE;
    while !left_over(&evidence).is_empty() && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
        look_again(world, &mut evidence)?;
    }
    // Callbacks may have come meanwhile.
    gather(world, caller, placed).await
}

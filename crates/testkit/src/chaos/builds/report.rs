//! What a run came to, for a person.

use std::{collections::BTreeSet, fmt, time::Duration};

use fastbuild_spec::state::BuildState;

use super::{
    Plan,
    check::{Violation, on_the_wire, violations},
    evidence::{BuildSeen, Evidence},
    schedule::{Fault, PlannedFault},
};
use crate::chaos::{counted, write_verdict};

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// What was run.
    pub plan: Plan,
    /// What went wrong by plan.
    pub faults: Vec<PlannedFault>,
    /// What became of it.
    pub evidence: Evidence,
    /// How long all of it took.
    pub took: Duration,
    /// From the end of the last fault until the last build had ended and nothing was left.
    pub settled_after: Duration,
    /// What the replicas logged, line by line, each with its time in front.
    pub log: Vec<String>,
}

impl Report {
    /// Every rule that was broken.
    pub fn violations(&self) -> Vec<Violation> {
        violations(&self.evidence)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let builds = &self.evidence.builds;
        writeln!(out, "seed {}", self.plan.seed)?;
        let ends = counted(builds.iter().map(|build| match build.reason {
            Some(reason) => format!("{} ({reason})", build.state),
            None => build.state.to_string(),
        }));
        writeln!(out, "builds    {}: {ends}", builds.len())?;
        let attempts = counted(
            builds
                .iter()
                .map(|build| format!("{} attempts", build.attempt)),
        );
        writeln!(out, "attempts  {attempts}")?;
        let engines = counted(builds.iter().filter_map(|build| build.engine.clone()));
        writeln!(out, "engines   {engines}")?;
        let pushed = self.evidence.pushes.iter();
        let pushed = pushed.filter(|(_, push)| push.ended.is_some()).count();
        let named = builds.iter().filter(|build| {
            let pushed = |(_, push): &(_, crate::fake_engine::Push)| push.image == build.target;
            build.state == BuildState::PushSuccess && !self.evidence.pushes.iter().any(pushed)
        });
        writeln!(
            out,
            "pushes    {pushed}, and {} images named after an equal one",
            named.count()
        )?;
        let late = on_the_wire(&self.evidence);
        if let Some(latest) = late.iter().max() {
            writeln!(
                out,
                "          {} of lost attempts arrived after the next had begun, at most {} ms",
                late.len(),
                latest.as_millis()
            )?;
        }
        let surplus = builds
            .iter()
            .filter(|build| build.state != BuildState::PushSuccess && build.in_registry.is_some());
        writeln!(
            out,
            "          {} builds failed or were cancelled while the registry was taking their image",
            surplus.count()
        )?;
        let cancelled = builds.iter().filter_map(|build| build.submitted.cancelled);
        let cancelled = counted(cancelled.map(|answer| format!("{answer:?}")));
        writeln!(out, "cancels   {cancelled}")?;
        let callbacks = builds.iter().flat_map(|build| &build.callbacks);
        let callbacks = counted(callbacks.map(|one| {
            let how = if one.taken { "taken" } else { "refused" };
            how.to_owned()
        }));
        writeln!(out, "callbacks {callbacks}")?;
        let faults = counted(self.faults.iter().map(|planned| kind(planned.fault)));
        writeln!(out, "faults    {}: {faults}", self.faults.len())?;
        writeln!(
            out,
            "time      {:.0} s, of which {:.0} s after the last fault",
            self.took.as_secs_f64(),
            self.settled_after.as_secs_f64()
        )?;
        let violations = self.violations();
        write_verdict(out, &violations)?;
        let blamed: BTreeSet<i64> = violations
            .iter()
            .filter_map(|wrong| wrong.build.map(|(_, id)| id))
            .collect();
        for build in builds {
            if blamed.contains(&build.submitted.id) {
                self.write_story(build, out)?;
            }
        }
        Ok(())
    }
}

impl Report {
    /// What happened to a build: its events but for what it printed, and the replicas' own words.
    fn write_story(&self, build: &BuildSeen, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = build.submitted.id;
        writeln!(
            out,
            "build {id} on {:?}, {:?}:",
            build.engine, build.submitted.submission
        )?;
        let mut lines: Vec<String> = build
            .events
            .iter()
            .filter_map(|event| {
                let (at, attempt) = (event.at?, event.attempt?);
                let what = match (event.state, event.step, event.status) {
                    (Some(state), ..) => state.to_string(),
                    (None, Some(step), Some(status)) => format!("{step} {status}"),
                    _ => return None,
                };
                Some(format!("{at} attempt {attempt}: {what}"))
            })
            .collect();
        let number = id.to_string();
        let said = self.log.iter().filter(|line| line.contains(&number));
        lines.extend(said.cloned());
        lines.sort();
        lines
            .iter()
            .try_for_each(|line| writeln!(out, "    {line}"))
    }
}

fn kind(fault: Fault) -> String {
    match fault {
        Fault::Kill { .. } => "replica killed",
        Fault::Engine { .. } => "engine",
        Fault::Database { .. } => "database of one replica",
        Fault::DatabaseRestart => "database restarted",
        Fault::Registry { .. } => "registry",
    }
    .to_owned()
}

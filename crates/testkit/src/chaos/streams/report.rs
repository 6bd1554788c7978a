//! What the clients of a run got, for a person.

use std::{fmt, time::Duration};

use super::{Plan, follow::Seen, followers::Follower};
use crate::{chaos::write_verdict, memory::Memory};

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// What was run.
    pub plan: Plan,
    /// The number of the build's last event.
    pub events: i64,
    /// The state in which the build ended.
    pub state: Option<String>,
    /// Each client and what it got.
    pub clients: Vec<(Follower, Seen)>,
    /// The service's memory before there was a build.
    pub before: Memory,
    /// Its memory once all clients had ended.
    pub memory: Memory,
    /// From the request for the build until the last client had ended.
    pub took: Duration,
}

impl Report {
    /// Every rule that was broken.
    pub fn violations(&self) -> Vec<String> {
        let mut violations = Vec::new();
        if self.state.as_deref() != Some("PUSH_SUCCESS") {
            violations.push(format!("the build ended as {:?}", self.state));
        }
        for (follower, seen) in &self.clients {
            let mut wrong = |what: &str| violations.push(format!("{follower:?}: {what}"));
            seen.violations.iter().for_each(|what| wrong(what));
            if seen.violations.is_empty() && (seen.last, seen.ended) != (self.events, true) {
                wrong(&format!("it got {} of {} events", seen.last, self.events));
            }
        }
        if self.memory.greatest > self.plan.megabytes {
            violations.push(format!(
                "the service had {:.1} MB, more than {:.1}",
                self.memory.greatest, self.plan.megabytes
            ));
        }
        violations
    }

    fn connections(&self) -> usize {
        self.clients.iter().map(|(_, seen)| seen.connections).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = self.clients.len();
        let breaking = self.clients.iter();
        let breaking = breaking.filter(|(_, seen)| seen.connections > 1).count();
        writeln!(
            out,
            "seed {}, {:.0} s",
            self.plan.seed,
            self.took.as_secs_f64()
        )?;
        writeln!(
            out,
            "| clients | of them that came back | connections | events of the build | events received | memory before, MB | at the end, MB | at most, MB |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|---|")?;
        writeln!(
            out,
            "| {clients} | {breaking} | {} | {} | {} | {:.1} | {:.1} | {:.1} |",
            self.connections(),
            self.events,
            self.clients.iter().map(|(_, seen)| seen.last).sum::<i64>(),
            self.before.resident,
            self.memory.resident,
            self.memory.greatest,
        )?;
        write_verdict(out, &self.violations())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::streams::followers::Format;

    const MEMORY: Memory = Memory {
        resident: 50.0,
        greatest: 60.0,
    };

    fn kept() -> Report {
        let follower = Follower {
            number: 0,
            format: Format::Lines,
            comes: Duration::ZERO,
            breaks: Vec::new(),
        };
        let seen = Seen {
            last: 9,
            connections: 1,
            ended: true,
            violations: Vec::new(),
        };
        Report {
            plan: Plan {
                binary: "fastbuild".into(),
                seed: 7,
                clients: 1,
                lines: 4,
                lasts: Duration::from_secs(1),
                megabytes: 150.0,
            },
            events: 9,
            state: Some("PUSH_SUCCESS".to_owned()),
            clients: vec![(follower, seen)],
            before: MEMORY,
            memory: MEMORY,
            took: Duration::from_secs(2),
        }
    }

    /// What is wrong once something was changed.
    fn broken(change: impl FnOnce(&mut Report)) -> String {
        let mut report = kept();
        change(&mut report);
        report.violations().join("\n")
    }

    #[test]
    fn each_rule_is_seen_to_be_broken() {
        assert_eq!(broken(|_| {}), "");
        assert!(broken(|run| run.state = None).contains("ended as None"));
        assert!(broken(|run| run.events = 10).ends_with("it got 9 of 10 events"));
        assert!(broken(|run| run.clients[0].1.ended = false).ends_with("9 of 9 events"));
        let twice = broken(|run| run.clients[0].1.violations.push("twice".to_owned()));
        assert!(twice.ends_with(": twice"), "{twice}");
        let large = broken(|run| run.memory.greatest = 150.1);
        assert_eq!(large, "the service had 150.1 MB, more than 150.0");
    }
}

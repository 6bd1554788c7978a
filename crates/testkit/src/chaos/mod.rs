//! Chaos: a cluster of replicas, engines, a database and a registry whose connections and processes
//! fail by a schedule drawn from a seed, and rules that every build must keep.
//!
//! [`builds`] runs a workload under faults, [`streams`] follows one build with many clients, and
//! [`cancels`] cancels builds at any moment; `cargo xtask chaos` runs all three.

pub mod builds;
pub mod caller;
pub mod cancels;
pub mod real_engine;
pub mod streams;

use std::collections::BTreeMap;

/// Writes which rules were broken, or that none was.
fn write_verdict(
    out: &mut std::fmt::Formatter<'_>,
    violations: &[impl std::fmt::Display],
) -> std::fmt::Result {
    if violations.is_empty() {
        return writeln!(out, "every rule was kept");
    }
    writeln!(out, "{} rules were broken:", violations.len())?;
    violations
        .iter()
        .try_for_each(|wrong| writeln!(out, "  {wrong}"))
}

/// How often each came, the most frequent first.
fn counted(items: impl Iterator<Item = String>) -> String {
    let mut counts = BTreeMap::<String, usize>::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(item, count)| format!("{count} x {item}"))
        .collect();
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_most_often_is_first() {
        let items = ["b", "a", "b"].into_iter().map(str::to_owned);
        assert_eq!(counted(items), "2 x b, 1 x a");
        assert_eq!(counted(std::iter::empty()), "none");
    }
}

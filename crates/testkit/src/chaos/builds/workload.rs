//! What is asked of the service, and when: drawn from a seed, so that a run can be had again.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::env::ImageNames;
use crate::fake_engine::NO_SUCH_IMAGE;

/// Who asks.
const OWNERS: [&str; 2] = ["team-a", "team-b"];
/// Builds of one content that come one soon after the other.
const EQUALS: usize = 3;
/// Set apart from what else a seed decides, so that more faults do not change the orders.
const STREAM: u64 = 0x6f72_6465_7273;

/// One build to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Its number in the run, from 0; its target's tag.
    pub number: usize,
    /// Time since the order before it.
    pub after: Duration,
    /// What it is made from.
    pub base: Base,
    /// Orders of the same content make equal images under different names.
    pub content: usize,
    /// Whether a system package is installed.
    pub installs: bool,
    /// Whether it is built without any cache.
    pub afresh: bool,
    /// Who asks.
    pub owner: &'static str,
    /// Whether it is cancelled, and how long after it was asked for.
    pub cancel_after: Option<Duration>,
    /// Whether the receiver refuses the first try of its callback.
    pub refused_first: bool,
}

/// A base image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Plain Debian.
    Debian,
    /// Debian with Python.
    Python,
    /// Debian with an entrypoint.
    App,
    /// None that exists.
    Missing,
}

impl Base {
    /// Its name in the registry.
    fn name(self, images: &ImageNames) -> String {
        match self {
            Self::Debian => images.debian.clone(),
            Self::Python => images.python.clone(),
            Self::App => images.app.clone(),
            Self::Missing => format!("base/{NO_SUCH_IMAGE}:9"),
        }
    }
}

impl Submission {
    /// Names its callbacks at the receiver.
    pub fn callback_token(&self) -> String {
        self.number.to_string()
    }

    /// Its target in a registry.
    pub fn target(&self, registry: &str, token: &str) -> String {
        format!("{registry}/chaos/{token}:{}", self.number)
    }

    /// The build document to post.
    pub fn document(
        &self,
        registry: &str,
        token: &str,
        images: &ImageNames,
        callback_url: &str,
    ) -> Value {
        let mut document = json!({
            "base": format!("{registry}/{}", self.base.name(images)),
            "target": self.target(registry, token),
            "name": format!("chaos-{}", self.number),
            "owner": self.owner,
            "env": {"CONTENT": format!("{token}-{}", self.content)},
            "callback_url": callback_url,
            "no_cache": self.afresh,
        });
        if self.installs {
            document["system"] = json!({"manager": "apt", "packages": ["less"]});
            document["mirrors"] = json!({"system": "local/debian-12.list"});
        }
        document
    }
}

/// The orders of a run: `count` of them, spread over `span`.
pub fn submissions(seed: u64, count: usize, span: Duration) -> Vec<Submission> {
    let mut random = StdRng::seed_from_u64(seed ^ STREAM);
    let mean = span / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    let mut submissions = Vec::<Submission>::with_capacity(count);
    for number in 0..count {
        let base = match random.random_range(0..12) {
            0 => Base::Missing,
            1..=3 => Base::Python,
            4..=5 => Base::App,
            _ => Base::Debian,
        };
        let after = mean.mul_f64(random.random_range(0.2..1.8));
        let submission = Submission {
            number,
            after,
            base,
            content: number,
            installs: base != Base::Missing && random.random_bool(0.4),
            afresh: random.random_bool(0.1),
            owner: OWNERS[random.random_range(0..OWNERS.len())],
            cancel_after: random
                .random_bool(0.15)
                .then(|| Duration::from_millis(random.random_range(0..6_000))),
            refused_first: random.random_bool(0.2),
        };
        // Now and then several of one content come at once.
        let equals_one = number % 8 > 8 - EQUALS;
        submissions.push(match submissions.last() {
            Some(before) if equals_one && before.base != Base::Missing => Submission {
                after: after / 10,
                base: before.base,
                content: before.content,
                installs: before.installs,
                afresh: false,
                ..submission
            },
            _ => submission,
        });
    }
    submissions
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_mins(1);

    #[test]
    fn a_seed_gives_the_same_orders_however_many_follow() {
        assert_eq!(submissions(7, 20, SPAN), submissions(7, 20, SPAN));
        assert_ne!(submissions(7, 20, SPAN), submissions(8, 20, SPAN));
    }

    #[test]
    fn there_is_something_of_everything() {
        let submissions = submissions(1, 200, SPAN);
        let some = |fits: fn(&Submission) -> bool| submissions.iter().any(fits);
        assert!(some(|submission| submission.base == Base::Missing));
        assert!(some(|submission| submission.installs && submission.afresh));
        assert!(some(|submission| submission.cancel_after.is_some()));
        assert!(some(|submission| submission.refused_first));
        assert!(OWNERS.iter().all(|owner| {
            submissions
                .iter()
                .any(|submission| submission.owner == *owner)
        }));
        let equal = |submission: &Submission| {
            submissions
                .iter()
                .filter(|other| other.content == submission.content)
                .count()
        };
        assert!(
            submissions
                .iter()
                .any(|submission| equal(submission) == EQUALS)
        );
        let whole: Duration = submissions.iter().map(|submission| submission.after).sum();
        assert!(whole > SPAN / 2 && whole < SPAN * 2, "{whole:?}");
    }
}

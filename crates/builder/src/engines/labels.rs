//! The labels of what is made on engines: `installation/process/purpose/number`.
//!
//! Several installations, and several processes of one, share engines. A label tells whose a
//! container or image is, and whether what it was made for still goes on.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use fastbuild_store::AttemptId;

/// The labels that are in use in this process, and its name.
#[derive(Debug)]
pub(crate) struct Labels {
    installation: String,
    /// This process, as no other on this or any other machine: a process id comes again, in a
    /// container at every start.
    process: String,
    in_use: Mutex<HashSet<String>>,
    probes: AtomicI64,
}

/// The label of something that goes on; in use until this is dropped.
#[derive(Debug)]
pub(crate) struct Label {
    text: String,
    labels: Arc<Labels>,
}

impl Labels {
    pub(crate) fn new(installation: &str) -> Self {
        Self {
            installation: installation.to_owned(),
            process: format!("{:016x}", rand::random::<u64>()),
            in_use: Mutex::default(),
            probes: AtomicI64::new(0),
        }
    }

    /// This process's own name.
    pub(crate) fn process(&self) -> &str {
        &self.process
    }

    /// The label of what an attempt at a build makes.
    pub(crate) fn attempt(self: &Arc<Self>, attempt: AttemptId) -> Label {
        self.take(attempt.build_id, attempt.number)
    }

    /// The label of a probe that belongs to no build.
    pub(crate) fn probe(self: &Arc<Self>) -> Label {
        self.take("probe", self.probes.fetch_add(1, Ordering::Relaxed))
    }

    fn take(self: &Arc<Self>, purpose: impl std::fmt::Display, number: i64) -> Label {
        let text = format!("{}/{}/{purpose}/{number}", self.installation, self.process);
        self.locked().insert(text.clone());
        Label {
            text,
            labels: Arc::clone(self),
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashSet<String>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something with this label must stay on the engine: it is another installation's,
    /// goes on in this process, or another one that `lives` made it and cleans up after itself.
    pub(crate) fn is_in_use(&self, label: &str, lives: &HashSet<String>) -> bool {
        let mut parts = label.splitn(3, '/');
        if parts.next() != Some(self.installation.as_str()) {
            return true;
        }
        match parts.next() {
            Some(process) if process == self.process => self.locked().contains(label),
            Some(process) => lives.contains(process),
            None => false,
        }
    }

    /// The attempt of a build that something with this label was made for, by this or an earlier
    /// process: `None` where it was for something else, attempt 0 where the label does not say.
    pub(crate) fn attempt_of(&self, label: &str, build_id: i64) -> Option<i64> {
        let mut parts = label.splitn(4, '/');
        let ours = parts.next() == Some(self.installation.as_str());
        let of_build = parts.nth(1).and_then(|text| text.parse().ok()) == Some(build_id);
        let attempt = parts.next().and_then(|text| text.parse().ok());
        (ours && of_build).then_some(attempt.unwrap_or_default())
    }
}

impl Label {
    /// Its text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl Drop for Label {
    fn drop(&mut self) {
        self.labels.locked().remove(&self.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_in_use_as_long_as_what_it_is_for_goes_on() {
        let labels = Arc::new(Labels::new("one"));
        let attempt = AttemptId {
            build_id: 7,
            number: 2,
        };
        let (build, probe) = (labels.attempt(attempt), labels.probe());
        let none = HashSet::new();
        for label in [&build, &probe] {
            assert!(labels.is_in_use(label.text(), &none), "{label:?}");
        }
        assert_eq!(labels.attempt_of(build.text(), 7), Some(2));
        assert_eq!(labels.attempt_of(build.text(), 8), None);
        assert_eq!(labels.attempt_of(probe.text(), 7), None);
        let text = build.text().to_owned();
        drop(build);
        assert!(!labels.is_in_use(&text, &none));
        assert!(labels.is_in_use(probe.text(), &none));
    }

    #[test]
    fn what_others_made_stays_while_they_live() {
        let labels = Labels::new("one");
        let lives = HashSet::from(["b0".to_owned()]);
        assert!(labels.is_in_use("two/x/7/1", &lives));
        assert!(labels.is_in_use("one/b0/7/1", &lives));
        assert!(!labels.is_in_use("one/c0/7/1", &lives));
        assert!(!labels.is_in_use("one", &lives));
        // As an earlier version wrote it.
        assert_eq!(labels.attempt_of("one/c0/7", 7), Some(0));
        assert_eq!(labels.attempt_of("two/c0/7/1", 7), None);
    }
}

//! What this process did, in numbers: counters and histograms that are recorded where things happen,
//! and only there. Each of several processes tells what it did itself; how many builds wait or run is
//! the store's to say ([`fastbuild_store::Store::queue_counts`]).

use std::time::Duration;

use fastbuild_spec::{
    requeue::RequeueReason,
    state::{Step, StepStatus},
};
use fastbuild_store::{Build, ClaimedBuild, DeliveryOutcome};
use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// A family of histograms.
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// What this process did since it was started. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    ended: Family<Ended, Counter>,
    durations: Histograms<Ended>,
    requeued: Family<Requeued, Counter>,
    steps: Histograms<StepEnded>,
    waits: Histogram,
    images: Family<Image, Counter>,
    profiles: Family<Profile, Counter>,
    tries: Family<Tried, Counter>,
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    state: &'static str,
    /// Empty where it succeeded.
    reason: &'static str,
}

/// Why a build was requeued.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Requeued {
    why: &'static str,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepEnded {
    step: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Image {
    how: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Profile {
    how: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Tried {
    outcome: &'static str,
}

/// How an attempt came by its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// The engine built it.
    Built,
    /// An equal build's image got its name.
    Reused,
    /// An earlier attempt's image was still there to be pushed.
    Kept,
}

impl Made {
    const ALL: [Self; 3] = [Self::Built, Self::Reused, Self::Kept];

    fn word(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Reused => "reused",
            Self::Kept => "kept",
        }
    }
}

/// Seconds from one time to another; clocks can go back, a duration cannot.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn looked(was_known: bool) -> &'static str {
    if was_known { "known" } else { "probed" }
}

fn outcome_word(outcome: DeliveryOutcome) -> &'static str {
    match outcome {
        DeliveryOutcome::Delivered => "delivered",
        DeliveryOutcome::Retry { .. } => "retry",
        DeliveryOutcome::GaveUp => "gave_up",
    }
}

/// From a tenth of a second to an hour and a half: steps and builds.
fn long() -> Histogram {
    Histogram::new(exponential_buckets(0.1, 3.0, 11))
}

/// From some milliseconds to three hours: a queue is empty, or it is not.
fn waits() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 4.0, 11))
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            ended: Family::default(),
            durations: Family::new_with_constructor(long),
            requeued: Family::default(),
            steps: Family::new_with_constructor(long),
            waits: waits(),
            images: Family::default(),
            profiles: Family::default(),
            tries: Family::default(),
        };
        // What has not happened yet is 0 and not missing, where it is known what can happen.
        for made in Made::ALL {
            metrics
                .images
                .get_or_create(&Image { how: made.word() })
                .inc_by(0);
        }
        for was_known in [true, false] {
            let how = looked(was_known);
            metrics.profiles.get_or_create(&Profile { how }).inc_by(0);
        }
        for outcome in ["delivered", "retry", "gave_up"] {
            metrics.tries.get_or_create(&Tried { outcome }).inc_by(0);
        }
        metrics
    }
}

impl Metrics {
    /// Puts everything into a registry, under names without the service's prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "builds_ended",
            "Builds that this process ended, by their end state and the reason of a failure",
            self.ended.clone(),
        );
        registry.register_with_unit(
            "build_duration",
            "From the start of a build's last attempt to its end",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "builds_put_back",
            "Attempts that came to nothing, whose builds this process put back into the queue",
            self.requeued.clone(),
        );
        registry.register_with_unit(
            "step_duration",
            "How long the steps of builds took in this process",
            Unit::Seconds,
            self.steps.clone(),
        );
        registry.register_with_unit(
            "queue_wait",
            "How long builds that this process took had been waiting in the queue",
            Unit::Seconds,
            self.waits.clone(),
        );
        registry.register(
            "images_made",
            "How builds came by their images: built, reused from an equal build, or kept from an \
             earlier attempt",
            self.images.clone(),
        );
        registry.register(
            "base_image_profiles",
            "Base images that were looked into: their profile was known, or they were probed",
            self.profiles.clone(),
        );
        registry.register(
            "callback_tries",
            "Tries of callbacks that this process made, by what followed from them",
            self.tries.clone(),
        );
    }

    /// A build has ended.
    pub(crate) fn build_ended(&self, build: &Build) {
        let ended = Ended {
            state: build.state.into(),
            reason: (build.failure.as_ref()).map_or("", |failure| failure.code.into()),
        };
        if let (Some(started), Some(finished)) = (build.started_at, build.finished_at) {
            self.durations
                .get_or_create(&ended)
                .observe(seconds(started, finished));
        }
        self.ended.get_or_create(&ended).inc();
    }

    /// A build was requeued.
    pub(crate) fn requeued(&self, reason: RequeueReason) {
        let why = reason.into();
        self.requeued.get_or_create(&Requeued { why }).inc();
    }

    /// A step has ended.
    pub(crate) fn step_ended(&self, step: Step, status: StepStatus, took: Duration) {
        let ended = StepEnded {
            step: step.into(),
            status: status.into(),
        };
        self.steps.get_or_create(&ended).observe(took.as_secs_f64());
    }

    /// A worker has taken a build.
    pub(crate) fn taken(&self, claimed: &ClaimedBuild) {
        let begun = claimed.build.started_at.unwrap_or(claimed.waiting_since);
        self.waits.observe(seconds(claimed.waiting_since, begun));
    }

    /// An attempt has its image.
    pub(crate) fn image_made(&self, made: Made) {
        self.images.get_or_create(&Image { how: made.word() }).inc();
    }

    /// A base image was looked into.
    pub(crate) fn profiled(&self, was_known: bool) {
        let how = looked(was_known);
        self.profiles.get_or_create(&Profile { how }).inc();
    }

    /// A callback was tried.
    pub(crate) fn tried(&self, outcome: DeliveryOutcome) {
        let outcome = outcome_word(outcome);
        self.tries.get_or_create(&Tried { outcome }).inc();
    }
}

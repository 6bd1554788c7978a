//! Events of a build: one numbered sequence, from which step logs, progress records and event
//! streams are derived.

use serde::{Deserialize, Serialize};

use crate::{
    failure::{Failure, Sentence},
    state::{BuildState, Step, StepStatus},
};

/// What an engine reports while it pulls, builds or pushes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "progress", rename_all = "snake_case")]
pub enum Progress {
    /// Output: whole lines, each ending in a newline.
    Log {
        /// The lines.
        text: String,
    },
    /// A stage of the Dockerfile changed its state.
    Stage {
        /// Its number, from 1.
        number: u32,
        /// How many stages are known by now.
        total: u32,
        /// Its name as the engine gives it, for example `[2/5] RUN apt-get update`.
        name: String,
        /// Its state.
        status: StageStatus,
        /// How long it took, once it ended.
        duration_ms: Option<u64>,
    },
    /// A layer is being transferred between engine and registry.
    Transfer {
        /// The layer's short id.
        layer: String,
        /// What the engine says of it, for example `Downloading` or `Pushed`.
        status: String,
        /// Bytes so far.
        current: u64,
        /// Bytes in all, where known.
        total: Option<u64>,
    },
}

/// State of a stage of the Dockerfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageStatus {
    /// It runs.
    Started,
    /// It did not run: its result was in the cache.
    Cached,
    /// It ran and ended well.
    Done,
    /// It failed.
    Failed,
}

/// One event of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The build reached a state.
    State {
        /// The state.
        state: BuildState,
    },
    /// A step began.
    StepStarted {
        /// The step.
        step: Step,
    },
    /// A step ended.
    StepFinished {
        /// The step.
        step: Step,
        /// How it ended.
        status: StepStatus,
        /// How long it took.
        duration_ms: u64,
    },
    /// The engine reported something during a step.
    Progress {
        /// The step.
        step: Step,
        /// What it reported.
        #[serde(flatten)]
        progress: Progress,
    },
    /// A warning or notice that does not end the build.
    Warning {
        /// The step it is about.
        step: Option<Step>,
        /// What it is.
        message: Sentence,
    },
    /// The build ended.
    Result {
        /// The state it ended in.
        state: BuildState,
        /// The engine's id of the image it made.
        image_id: Option<String>,
        /// The digest the registry knows that image by.
        digest: Option<String>,
        /// Why it failed. Boxed, as almost no event has one.
        failure: Option<Box<Failure>>,
    },
}

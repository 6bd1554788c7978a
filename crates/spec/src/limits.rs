//! How long a build may take: as configured, or as its request asks within what an operator allows.

use serde::{Deserialize, Serialize};

/// The names under which a request sets its limits.
pub const LIMIT_FIELDS: [&str; 3] = ["total_seconds", "silence_seconds", "push_seconds"];

/// The limits of one build in seconds, stored with it when it is queued: what an operator changes
/// later is in force for later builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildLimits {
    /// From the start of an attempt to its end.
    pub total: u64,
    /// Without a line, a step or a moved byte from the engine.
    pub silence: u64,
    /// For the push alone.
    pub push: u64,
}

/// What an operator allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitBounds {
    /// In force where a request says nothing.
    pub default: BuildLimits,
    /// The longest that a request may ask for.
    pub longest: BuildLimits,
}

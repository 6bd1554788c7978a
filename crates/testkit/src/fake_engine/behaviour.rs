//! How a scripted engine behaves.

use std::time::Duration;

use anyhow::Result;

use crate::env::TestEnv;

/// How a scripted engine behaves.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// How long each of a build's [`super::STEPS`] takes.
    pub step: Duration,
    /// Lines that each step says, evenly over that time.
    pub lines: u32,
    /// The authority that signed the registry's certificate, PEM.
    pub registry_ca: Vec<u8>,
}

impl Behaviour {
    /// An engine whose steps take so long and say one line each.
    ///
    /// # Errors
    /// When the authority's certificate cannot be read.
    pub fn new(env: &TestEnv, step: Duration) -> Result<Self> {
        Ok(Self {
            step,
            lines: 1,
            registry_ca: std::fs::read(&env.certificates.ca)?,
        })
    }

    /// The same with steps that say so many lines, at least one.
    #[must_use]
    pub fn saying(self, lines: u32) -> Self {
        Self {
            lines: lines.max(1),
            ..self
        }
    }
}

//! How a fake engine behaves.

use std::time::Duration;

use anyhow::Result;

use crate::env::TestEnv;

/// How a fake engine behaves.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// How long each of a build's [`super::STEPS`] takes.
    pub step: Duration,
    /// Lines that each step says, evenly over that time.
    pub lines: u32,
    /// The authority that signed the registry's certificate, PEM; `None` for a registry without TLS.
    pub registry_ca: Option<Vec<u8>>,
}

impl Behaviour {
    /// An engine whose steps take so long and say one line each, and that pushes to the registry of
    /// the test environment.
    ///
    /// # Errors
    /// When the authority's certificate cannot be read.
    pub fn new(env: &TestEnv, step: Duration) -> Result<Self> {
        Ok(Self {
            step,
            lines: 1,
            registry_ca: Some(std::fs::read(&env.certificates.ca)?),
        })
    }

    /// The same on a registry without TLS, such as a [`super::FakeRegistry`].
    pub fn without_tls(step: Duration) -> Self {
        Self {
            step,
            lines: 1,
            registry_ca: None,
        }
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

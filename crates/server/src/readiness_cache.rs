//! The last readiness check, so that probes do not ask engines and the registry each time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fastbuild_builder::{Builder, Dependency};
use tokio::sync::Mutex;

/// How long each dependency may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long a check holds: however often it is asked for, engines and registry are not asked more often.
const CACHE_TTL: Duration = Duration::from_secs(2);

/// The last readiness check. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadinessCache(Arc<Mutex<Option<Checked>>>);

#[derive(Debug)]
struct Checked {
    at: Instant,
    dependencies: Vec<Dependency>,
}

impl ReadinessCache {
    /// The dependencies as they are now or were a moment ago. Who asks during a check waits for that check.
    pub(crate) async fn dependencies(&self, builder: &Builder) -> Vec<Dependency> {
        let mut last = self.0.lock().await;
        if let Some(checked) = last
            .as_ref()
            .filter(|checked| checked.at.elapsed() < CACHE_TTL)
        {
            return checked.dependencies.clone();
        }
        let dependencies = builder.readiness().check(TIMEOUT).await;
        *last = Some(Checked {
            at: Instant::now(),
            dependencies: dependencies.clone(),
        });
        dependencies
    }
}

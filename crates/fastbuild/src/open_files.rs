//! How many files and connections this process may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The soft limit of most systems.
const USUAL_LIMIT: u64 = 1_024;

/// Raises the limit of open files to the most that the system grants without more rights, and returns it. The
/// usual soft limit, 1,024, is spent by a thousand clients that follow builds.
pub fn raise() -> u64 {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok(hard)
    });
    raised.unwrap_or_else(|error| {
        tracing::warn!(%error, "failed to raise the limit of open files");
        getrlimit(Resource::RLIMIT_NOFILE).map_or(USUAL_LIMIT, |(soft, _)| soft)
    })
}

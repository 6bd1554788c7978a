//! A server of a test's own, as a process that has to come up.

use std::{
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How often it is asked for.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// Waits until a server answers.
///
/// # Errors
/// Its log when it ends, or does not answer within the limit.
pub(crate) async fn wait_until_up(
    child: &mut Child,
    what: &str,
    log: &Path,
    limit: Duration,
    answers: impl Fn() -> bool,
) -> Result<()> {
    let until = Instant::now() + limit;
    loop {
        let ended = child.try_wait()?;
        if ended.is_none() && answers() {
            return Ok(());
        }
        if ended.is_some() || Instant::now() > until {
            let log = std::fs::read_to_string(log)?;
            bail!("{what} did not start:\n{log}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

//! A server of a test's own, as a process that has to come up.

use std::{
    future::ready,
    ops::ControlFlow::{Break, Continue},
    path::Path,
    process::Child,
    time::Duration,
};

use anyhow::{Result, bail};

use crate::wait::eventually;

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
    let mut check = || {
        let said = std::fs::read_to_string(log)?;
        if let Some(status) = child.try_wait()? {
            bail!("{what} ended with {status}:\n{said}");
        }
        Ok(if answers() { Break(()) } else { Continue(said) })
    };
    eventually(format!("{what} is up"), limit, || ready(check())).await
}

//! The poll loop of asynchronous code.

use std::{
    fmt::{Debug, Display},
    ops::ControlFlow::{self, Break, Continue},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::pause;

/// Checks again and again until there is a value, and returns it. A check says [`Continue`] with
/// what is there instead; an error ends the wait at once.
///
/// # Errors
/// The error of a check, or what was there last when the limit is reached.
pub async fn eventually<T, Check>(
    what: impl Display,
    limit: Duration,
    mut check: impl FnMut() -> Check,
) -> Result<T>
where
    Check: Future<Output = Result<ControlFlow<T, String>>>,
{
    let started = Instant::now();
    loop {
        match check().await? {
            Break(value) => return Ok(value),
            Continue(seen) if started.elapsed() >= limit => {
                bail!("{what}: not within {limit:?}; what was there last: {seen}")
            }
            Continue(_) => tokio::time::sleep(pause(started.elapsed())).await,
        }
    }
}

/// Checks again and again until the condition holds or the limit is reached; which of both.
///
/// # Errors
/// The error of a check.
pub async fn within<Check>(limit: Duration, mut condition: impl FnMut() -> Check) -> Result<bool>
where
    Check: Future<Output = Result<bool>>,
{
    let started = Instant::now();
    while !condition().await? {
        if started.elapsed() >= limit {
            return Ok(false);
        }
        tokio::time::sleep(pause(started.elapsed())).await;
    }
    Ok(true)
}

/// The outcome of a check: the value once the condition holds, or what it is instead.
pub fn when<T: Debug>(condition: bool, value: T) -> ControlFlow<T, String> {
    if condition {
        Break(value)
    } else {
        Continue(format!("{value:#?}"))
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use anyhow::anyhow;

    use super::*;

    #[tokio::test]
    async fn the_value_of_the_first_check_that_has_one_is_returned() {
        let mut checks = 0;
        let found = eventually("the third", Duration::from_mins(1), || {
            checks += 1;
            ready(Ok(when(checks == 3, checks)))
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn at_the_limit_the_error_names_what_was_waited_for_and_what_was_there() {
        let never = || ready(Ok(when(false, "down")));
        let error = eventually("the engine is up", Duration::ZERO, never).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "the engine is up: not within 0ns; what was there last: \"down\""
        );
    }

    #[tokio::test]
    async fn an_error_of_a_check_ends_the_wait() {
        let broken = || ready(Err(anyhow!("refused")));
        let error = eventually::<(), _>("a login", Duration::from_mins(1), broken).await;
        assert_eq!(error.unwrap_err().to_string(), "refused");
    }
}

//! Differences between this machine's clock and those of what it works with.

use fastbuild_spec::failure::{Failure, ReasonCode, Sentence};
use jiff::{SignedDuration, Timestamp};

use super::Found;

/// From here on leases, tokens and certificates begin to suffer.
const WARN_FROM: SignedDuration = SignedDuration::from_secs(5);
/// From here on signatures and tokens are refused.
const BAD_FROM: SignedDuration = SignedDuration::from_mins(5);

/// Judges a clock by what it showed between two looks at ours.
pub(super) fn judge(of: &str, shown: Timestamp, before: Timestamp, after: Timestamp) -> Found {
    // Whatever it was while the question was on its way is no difference.
    let difference = if shown < before {
        shown.duration_since(before)
    } else if shown > after {
        shown.duration_since(after)
    } else {
        SignedDuration::ZERO
    };
    let seconds = difference.as_secs();
    let (zh, en) = if seconds < 0 {
        ("慢", "behind")
    } else {
        ("快", "ahead of")
    };
    let amount = seconds.unsigned_abs();
    let said = if difference.abs() < WARN_FROM {
        Sentence::new(
            format!("{of} 的时钟与本服务一致。"),
            format!("The clock of {of} agrees with the service's."),
        )
    } else {
        Sentence::new(
            format!("{of} 的时钟比本服务{zh} {amount} 秒。"),
            format!("The clock of {of} is {amount} seconds {en} the service's."),
        )
    };
    let failure = || {
        let failure = Failure::new(ReasonCode::ClockSkewed, &said.zh, &said.en);
        Box::new(failure.with_culprit(of))
    };
    if difference.abs() >= BAD_FROM {
        Found::Bad(failure())
    } else if difference.abs() >= WARN_FROM {
        Found::Warning(failure())
    } else {
        Found::Good(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_warn_and_minutes_are_bad_in_either_direction() {
        let before: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let after = before + SignedDuration::from_secs(2);
        let state = |seconds| {
            let shown = before + SignedDuration::from_secs(seconds);
            match judge("engine a", shown, before, after) {
                Found::Good(_) => "good",
                Found::Warning(_) => "warning",
                Found::Bad(_) => "bad",
                other => panic!("{other:?}"),
            }
        };
        // The answer took two seconds: what lies between is no difference.
        assert_eq!([0, 1, 6, -4].map(state), ["good"; 4]);
        assert_eq!([7, -5, 290, -299].map(state), ["warning"; 4]);
        assert_eq!([303, -300, 86_400].map(state), ["bad"; 3]);
    }
}

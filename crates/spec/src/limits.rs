//! How long a build may take: what its request asks for, within what an operator allows.

use serde::{Deserialize, Serialize};

use crate::failure::{FieldError, Sentence};

/// The names under which a request sets its limits.
pub const LIMIT_FIELDS: [&str; 3] = ["total_seconds", "silence_seconds", "push_seconds"];

/// Limits that a request sets for its own build, in seconds; what it leaves out is as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestedLimits {
    /// From its start to its end.
    pub total: Option<u64>,
    /// Without any output.
    pub silence: Option<u64>,
    /// For the push alone.
    pub push: Option<u64>,
}

/// The limits of one build in seconds, sealed into its row when it is taken: what an operator
/// changes later is in force for later builds.
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

impl LimitBounds {
    /// The limits of a build that asks for these. `path` makes the place of a field in the request
    /// from its name ([`LIMIT_FIELDS`]).
    ///
    /// # Errors
    /// Every field that is out of bounds.
    pub fn settle(
        &self,
        requested: RequestedLimits,
        path: impl Fn(&str) -> String,
    ) -> Result<BuildLimits, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut settle = |field: &str, asked: Option<u64>, default: u64, longest: u64| {
            let Some(seconds) = asked else {
                return default;
            };
            if !(1..=longest).contains(&seconds) {
                let allowed = Sentence::new(
                    format!("应为 1 到 {longest} 之间的秒数"),
                    format!("must be a number of seconds from 1 to {longest}"),
                );
                errors.push(FieldError::new(path(field), &seconds.to_string(), allowed));
            }
            seconds
        };
        let [total, silence, push] = LIMIT_FIELDS;
        let limits = BuildLimits {
            total: settle(
                total,
                requested.total,
                self.default.total,
                self.longest.total,
            ),
            silence: settle(
                silence,
                requested.silence,
                self.default.silence,
                self.longest.silence,
            ),
            push: settle(push, requested.push, self.default.push, self.longest.push),
        };
        if errors.is_empty() {
            Ok(limits)
        } else {
            Err(errors)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: LimitBounds = LimitBounds {
        default: BuildLimits {
            total: 100,
            silence: 50,
            push: 20,
        },
        longest: BuildLimits {
            total: 1000,
            silence: 500,
            push: 200,
        },
    };

    #[test]
    fn what_is_left_out_is_as_configured() {
        let path = |field: &str| field.to_owned();
        assert_eq!(
            BOUNDS.settle(RequestedLimits::default(), path),
            Ok(BOUNDS.default)
        );
        let requested = RequestedLimits {
            total: Some(1000),
            silence: None,
            push: Some(1),
        };
        let settled = BuildLimits {
            total: 1000,
            silence: 50,
            push: 1,
        };
        assert_eq!(BOUNDS.settle(requested, path), Ok(settled));
    }

    #[test]
    fn every_field_out_of_bounds_is_named() {
        let requested = RequestedLimits {
            total: Some(1001),
            silence: Some(0),
            push: Some(200),
        };
        let errors = BOUNDS
            .settle(requested, |field| format!("task_data.limits.{field}"))
            .unwrap_err();
        let failure = crate::failure::Failure::invalid_fields(&errors);
        insta::assert_snapshot!(failure.message.en, @r#"The request has 2 mistake(s): task_data.limits.total_seconds is "1001" but must be a number of seconds from 1 to 1000; task_data.limits.silence_seconds is "0" but must be a number of seconds from 1 to 500."#);
        insta::assert_snapshot!(failure.message.zh, @"请求中有 2 处错误：task_data.limits.total_seconds 的值“1001”无效，应为 1 到 1000 之间的秒数；task_data.limits.silence_seconds 的值“0”无效，应为 1 到 500 之间的秒数。");
    }
}
